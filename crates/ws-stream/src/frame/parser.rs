//! Reads what clients send, keeping no more than one control frame.

use bytes::Bytes;

use super::{MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode};

/// What a client said, as far as a viewer's connection cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Answer with a pong of the same payload.
    Ping(Bytes),
    /// The answer to a ping.
    Pong,
    /// The client closes, with this code if it gave one.
    Close(Option<u16>),
    /// A data frame was skipped. Its payload is the number of bytes.
    Data(u64),
}

/// The client broke the framing rules; the connection is failed with close code 1002.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, and no extension was agreed on (RFC 6455 §5.2).
    #[error("a reserved bit is set")]
    ReservedBit,
    /// The opcode has no meaning.
    #[error("opcode {0:#x} is unknown")]
    Opcode(u8),
    /// A client must mask its frames (RFC 6455 §5.1).
    #[error("the frame is not masked")]
    Unmasked,
    /// A control frame is fragmented or longer than 125 bytes (RFC 6455 §5.5).
    #[error("a control frame is fragmented or too long")]
    Control,
    /// A continuation without a beginning, or a beginning within a message (RFC 6455 §5.4).
    #[error("fragments of messages are mixed up")]
    Fragmentation,
    /// A 64-bit length has its highest bit set (RFC 6455 §5.2).
    #[error("the frame's length is out of range")]
    Length,
    /// A close frame has one byte of payload, which is no code (RFC 6455 §5.5.1).
    #[error("a close frame with half a code")]
    HalfCode,
}

/// Where the parser stands.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Header,
    /// Payload of a data frame that is skipped: bytes left, bytes in all.
    Skip(u64, u64),
    /// Payload of a control frame that is kept: its length.
    Keep(Opcode, u8),
}

/// Reads client frames from bytes in any split, in 160 bytes of memory.
#[derive(Debug, Clone)]
pub struct Parser {
    stage: Stage,
    header: [u8; MAX_HEADER_BYTES],
    header_len: u8,
    mask: [u8; 4],
    control: [u8; MAX_CONTROL_BYTES],
    control_len: u8,
    in_message: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            stage: Stage::Header,
            header: [0; MAX_HEADER_BYTES],
            header_len: 0,
            mask: [0; 4],
            control: [0; MAX_CONTROL_BYTES],
            control_len: 0,
            in_message: false,
        }
    }
}

impl Parser {
    /// Takes bytes from the front of `input` until a frame is complete or the input is used up.
    ///
    /// # Errors
    /// The client broke a rule; the parser must not be used any further.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            match self.stage {
                Stage::Header => {
                    if !self.read_header(input)? {
                        return Ok(None);
                    }
                }
                Stage::Skip(left, all) => {
                    let taken = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    *input = input.get(taken..).unwrap_or_default();
                    let left = left.saturating_sub(taken as u64);
                    if left > 0 {
                        self.stage = Stage::Skip(left, all);
                        return Ok(None);
                    }
                    self.stage = Stage::Header;
                    return Ok(Some(Event::Data(all)));
                }
                Stage::Keep(opcode, length) => {
                    if !self.read_control(length, input) {
                        return Ok(None);
                    }
                    self.stage = Stage::Header;
                    return self.control_event(opcode, length).map(Some);
                }
            }
        }
    }

    /// Gathers a header. Returns whether it is complete; the stage is then that of its payload.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, Violation> {
        loop {
            let have = usize::from(self.header_len);
            if have >= 2 {
                self.check_start()?;
                if have == self.header_size() {
                    self.finish_header()?;
                    return Ok(true);
                }
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(false) };
            *input = rest;
            if let Some(slot) = self.header.get_mut(have) {
                *slot = byte;
            }
            self.header_len += 1;
        }
    }

    fn header_size(&self) -> usize {
        match self.header[1] & 0x7F {
            126 => 8,
            127 => 14,
            _ => 6,
        }
    }

    /// Checks what the first two bytes tell.
    fn check_start(&self) -> Result<Opcode, Violation> {
        let [first, second, ..] = self.header;
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::Opcode(first & 0x0F))?;
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        if opcode.is_control() && (first & 0x80 == 0 || second & 0x7F > 125) {
            return Err(Violation::Control);
        }
        let goes_on = opcode == Opcode::Continuation;
        if !opcode.is_control() && goes_on != self.in_message {
            return Err(Violation::Fragmentation);
        }
        Ok(opcode)
    }

    fn finish_header(&mut self) -> Result<(), Violation> {
        let opcode = self.check_start()?;
        let header = self.header;
        let (length, mask) = match header[1] & 0x7F {
            126 => {
                (u64::from(u16::from_be_bytes([header[2], header[3]])), [header[4], header[5], header[6], header[7]])
            }
            127 => {
                let [_, _, a, b, c, d, e, f, g, h, mask @ ..] = header;
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), mask)
            }
            short => (u64::from(short), [header[2], header[3], header[4], header[5]]),
        };
        if length >> 63 != 0 {
            return Err(Violation::Length);
        }
        (self.mask, self.header_len, self.control_len) = (mask, 0, 0);
        self.stage = match u8::try_from(length) {
            Ok(length) if opcode.is_control() => Stage::Keep(opcode, length),
            _ => {
                self.in_message = header[0] & 0x80 == 0;
                Stage::Skip(length, length)
            }
        };
        Ok(())
    }

    /// Gathers and unmasks a control frame's payload. Returns whether it is complete.
    fn read_control(&mut self, length: u8, input: &mut &[u8]) -> bool {
        while self.control_len < length {
            let Some((&byte, rest)) = input.split_first() else { return false };
            *input = rest;
            let at = usize::from(self.control_len);
            if let Some(slot) = self.control.get_mut(at) {
                *slot = byte ^ self.mask[at % 4];
            }
            self.control_len += 1;
        }
        true
    }

    fn control_event(&self, opcode: Opcode, length: u8) -> Result<Event, Violation> {
        let payload = self.control.get(..usize::from(length)).unwrap_or_default();
        Ok(match (opcode, payload) {
            (Opcode::Ping, payload) => Event::Ping(Bytes::copy_from_slice(payload)),
            (Opcode::Close, []) => Event::Close(None),
            (Opcode::Close, [high, low, ..]) => Event::Close(Some(u16::from_be_bytes([*high, *low]))),
            (Opcode::Close, _) => return Err(Violation::HalfCode),
            _ => Event::Pong,
        })
    }
}
