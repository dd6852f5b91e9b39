//! WebSocket frames as a server of live streams needs them (RFC 6455 §5).
//!
//! Outgoing frames get a header that is the same for all viewers, so that it is made once. Incoming frames are
//! read by a [`Parser`] that keeps at most one control frame: what viewers send besides is counted and skipped.
//!
//! ```text
//!  0               1               2               3
//!  7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length 0-125|  16 bits if 126, 64 if 127    |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 4 bytes, from clients only  | payload            |
//! +------------------------------------------+--------------------+
//! ```

use bytes::{BufMut, Bytes, BytesMut};

mod parser;

pub use parser::{Event, Parser, Violation};

/// Payload of a control frame, at most (RFC 6455 §5.5).
pub const MAX_CONTROL_BYTES: usize = 125;
/// The longest header of a client frame: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER_BYTES: usize = 14;
/// Bytes of a close reason, at most: the payload without the code.
pub const MAX_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with a fragmented message.
    Continuation,
    /// Begins a text message.
    Text,
    /// Begins a binary message.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// Appends the header of an unfragmented server frame with `length` bytes of payload.
pub fn put_header(opcode: Opcode, length: usize, out: &mut BytesMut) {
    out.put_u8(0x80 | opcode.bits());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// A whole server frame. A control frame's payload is cut at [`MAX_CONTROL_BYTES`].
#[must_use]
pub fn encode(opcode: Opcode, payload: &[u8]) -> Bytes {
    let length = if opcode.is_control() { payload.len().min(MAX_CONTROL_BYTES) } else { payload.len() };
    let mut out = BytesMut::with_capacity(length.saturating_add(MAX_HEADER_BYTES));
    put_header(opcode, length, &mut out);
    out.extend(payload.iter().take(length));
    out.freeze()
}

/// A close frame (RFC 6455 §5.5.1). A reason that is too long is cut at a character's end.
#[must_use]
pub fn encode_close(code: u16, reason: &str) -> Bytes {
    let mut length = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(length) {
        length -= 1;
    }
    let mut payload = BytesMut::with_capacity(MAX_CONTROL_BYTES);
    payload.put_u16(code);
    payload.extend(reason.as_bytes().iter().take(length));
    encode(Opcode::Close, &payload)
}

#[cfg(test)]
#[path = "frame/tests.rs"]
mod tests;
