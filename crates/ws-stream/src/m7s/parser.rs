//! Reads the raw bytes of a pusher after the 101, quirk or not.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::MAX_CONTROL_BYTES;

/// Payload of one frame, at most; it is held in memory as a whole. FLV's own limit of a tag is 16 MiB, and no camera's
/// key frame comes near. The same as for other publishers.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
/// The mask key of outer headers, and of nothing else that an original sends.
const OUTER_KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const BINARY: u8 = 0x82;
/// `PreviousTagSize`.
const TRAILER_BYTES: usize = 4;

/// What a pusher said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes of FLV; never empty.
    Flv(Bytes),
    /// Answer with a pong of the same payload.
    Ping(Bytes),
    /// It closes, with this code if it gave one.
    Close(Option<u16>),
}

/// The pusher broke the rules; the connection is failed with [`Violation::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, an opcode has no meaning, or a frame is not masked (RFC 6455 §5.1, §5.2).
    #[error("the frame header at byte {offset} is none")]
    Header {
        /// Where in the bytes after the 101.
        offset: u64,
    },
    /// A control frame is fragmented or too long (RFC 6455 §5.5).
    #[error("the control frame at byte {offset} is fragmented or too long")]
    Control {
        /// Where.
        offset: u64,
    },
    /// A frame is larger than [`MAX_FRAME_BYTES`].
    #[error("the frame at byte {offset} has {length} bytes, more than the limit of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// Where.
        offset: u64,
        /// Its payload.
        length: u64,
    },
    /// The pusher sends tags behind outer headers, and this one is not such a tag.
    #[error("the frame at byte {offset} does not repeat its outer header, or holds no whole tag")]
    Quirk {
        /// Where.
        offset: u64,
    },
}

impl Violation {
    /// The code to close with (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooLarge { .. } => crate::close::TOO_BIG,
            _ => crate::close::PROTOCOL,
        }
    }
}

/// How tags come. Latched at the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    /// Behind outer headers.
    Quirk,
    /// As RFC 6455 says.
    Plain,
}

/// A frame header in the buffer.
#[derive(Debug, Clone, Copy)]
struct Header {
    first: u8,
    length: usize,
    key: [u8; 4],
    /// Its own size.
    size: usize,
}

impl Header {
    const fn is_control(self) -> bool {
        self.first & 0x08 != 0
    }
}

/// Takes bytes and gives events. After a violation it gives the same again.
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    /// Bytes that have left the buffer.
    offset: u64,
    form: Form,
    /// Binary messages so far; the first two are the file header and the metadata, and never behind outer headers.
    messages: u64,
    /// An outer header was dropped; its inner frame comes next.
    inner: bool,
    failed: Option<Violation>,
}

/// What became of a control frame.
enum Control {
    Event(Event),
    /// It said nothing that anybody waits for.
    Nothing,
    /// It is not complete.
    Wait,
}

impl Default for Parser {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), offset: 0, form: Form::Unknown, messages: 0, inner: false, failed: None }
    }
}

impl Parser {
    /// Appends bytes of the connection.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next event, `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn poll(&mut self) -> Result<Option<Event>, Violation> {
        match self.failed {
            Some(violation) => Err(violation),
            None => self.step().inspect_err(|violation| self.failed = Some(*violation)),
        }
    }

    fn step(&mut self) -> Result<Option<Event>, Violation> {
        loop {
            if self.inner {
                return self.tag();
            }
            let Some(header) = self.header(0)? else { return Ok(None) };
            let control = if header.is_control() { Some((0, header)) } else { self.between(header)? };
            if let Some((at, control)) = control {
                match self.control(at, control) {
                    Control::Event(event) => return Ok(Some(event)),
                    Control::Nothing => continue,
                    Control::Wait => return Ok(None),
                }
            }
            match self.is_outer(header) {
                None => return Ok(None),
                Some(true) => {
                    self.advance(header.size);
                    (self.form, self.inner) = (Form::Quirk, true);
                    continue;
                }
                Some(false) if self.form == Form::Quirk && header.length > 0 => {
                    return Err(Violation::Quirk { offset: self.offset });
                }
                Some(false) => {}
            }
            match self.data(header) {
                None => return Ok(None),
                Some(payload) if payload.is_empty() => {}
                Some(payload) => return Ok(Some(Event::Flv(payload))),
            }
        }
    }

    /// The header of a frame `at` bytes into the buffer; `None` when it is not complete.
    fn header(&self, at: usize) -> Result<Option<Header>, Violation> {
        let offset = self.offset.saturating_add(at as u64);
        let bytes = self.buffer.get(at..).unwrap_or_default();
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let control = first & 0x08 != 0;
        let known = matches!(first & 0x0f, 0..=2 | 8..=10);
        if first & 0x70 != 0 || !known || second & 0x80 == 0 {
            return Err(Violation::Header { offset });
        }
        let (length, field) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(field) => (u64::from(u16::from_be_bytes(*field)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(field) => (u64::from_be_bytes(*field), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        if control && (first & 0x80 == 0 || length > MAX_CONTROL_BYTES as u64) {
            return Err(Violation::Control { offset });
        }
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MAX_FRAME_BYTES) else {
            return Err(Violation::TooLarge { offset, length });
        };
        let Some(key) = rest.get(field..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
        Ok(Some(Header { first: *first, length, key: *key, size: 2 + field + 4 }))
    }

    fn may_be_outer(&self, header: Header) -> bool {
        self.messages >= 2
            && self.form != Form::Plain
            && header.first == BINARY
            && header.key == OUTER_KEY
            && header.length > 0
    }

    /// The control frame that sits between an outer header and its inner frame, and where. A payload that conforms
    /// begins with a tag's type, which masked by this key is no control frame's first byte.
    fn between(&self, header: Header) -> Result<Option<(usize, Header)>, Violation> {
        match self.buffer.get(header.size) {
            Some(0x88..=0x8a) if self.may_be_outer(header) => {
                Ok(self.header(header.size)?.map(|control| (header.size, control)))
            }
            _ => Ok(None),
        }
    }

    /// Whether the header is an outer one: the frame behind it begins as it does. `None` while too little is there.
    fn is_outer(&self, header: Header) -> Option<bool> {
        if !self.may_be_outer(header) {
            return Some(false);
        }
        match self.buffer.get(header.size)? {
            &BINARY => {
                let field = header.size - OUTER_KEY.len();
                let (outer, rest) = self.buffer.split_at_checked(header.size)?;
                Some(outer.get(..field) == Some(rest.get(..field)?))
            }
            // A control frame that is not complete.
            0x88..=0x8a => None,
            _ => Some(false),
        }
    }

    /// The inner frame, which must be one whole tag; `None` while it is not complete.
    fn tag(&mut self) -> Result<Option<Event>, Violation> {
        let offset = self.offset;
        let Some(header) = self.header(0)? else { return Ok(None) };
        let Some(payload) = self.data(header) else { return Ok(None) };
        self.inner = false;
        let [8 | 9 | 18, a, b, c, ..] = payload.as_ref() else { return Err(Violation::Quirk { offset }) };
        let whole = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX).saturating_add(11);
        match payload.len() {
            length if length == whole.saturating_add(TRAILER_BYTES) => Ok(Some(Event::Flv(payload))),
            // Without its trailer it is completed, so that what follows is FLV.
            length if length == whole => {
                let size = u32::try_from(whole).unwrap_or(u32::MAX).to_be_bytes();
                Ok(Some(Event::Flv([payload.as_ref(), &size].concat().into())))
            }
            _ => Err(Violation::Quirk { offset }),
        }
    }

    /// The unmasked payload of the data frame at the front, once it is complete.
    fn data(&mut self, header: Header) -> Option<Bytes> {
        if self.buffer.len() < header.size.saturating_add(header.length) {
            return None;
        }
        self.advance(header.size);
        self.offset = self.offset.saturating_add(header.length as u64);
        let mut payload = self.buffer.split_to(header.length);
        unmask(&mut payload, header.key);
        // Continuations and the empty messages of the conforming form are not counted.
        if header.first & 0x0f == 2 && header.length > 0 {
            self.messages = self.messages.saturating_add(1);
            if self.messages == 3 && self.form == Form::Unknown {
                self.form = Form::Plain;
            }
        }
        // Text is a sign of life only.
        Some(if header.first & 0x0f == 1 { Bytes::new() } else { payload.freeze() })
    }

    /// Takes the control frame `at` bytes into the buffer out of it.
    fn control(&mut self, at: usize, header: Header) -> Control {
        let size = header.size + header.length;
        let Some(frame) = self.buffer.get(at..).and_then(|rest| rest.get(..size)) else { return Control::Wait };
        let mut payload = BytesMut::from(frame.get(header.size..).unwrap_or_default());
        unmask(&mut payload, header.key);
        let mut rest = self.buffer.split_off(at);
        rest.advance(size);
        self.offset = self.offset.saturating_add(size as u64);
        self.buffer.unsplit(rest);
        match (header.first & 0x0f, payload.as_ref()) {
            (8, [high, low, ..]) => Control::Event(Event::Close(Some(u16::from_be_bytes([*high, *low])))),
            (8, _) => Control::Event(Event::Close(None)),
            (9, _) => Control::Event(Event::Ping(payload.freeze())),
            _ => Control::Nothing,
        }
    }

    fn advance(&mut self, count: usize) {
        self.buffer.advance(count);
        self.offset = self.offset.saturating_add(count as u64);
    }
}

/// RFC 6455 §5.3, eight bytes at a time.
fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests;
