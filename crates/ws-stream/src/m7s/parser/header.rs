//! The header of a client's frame (RFC 6455 §5.2).

use crate::frame::MAX_CONTROL_BYTES;
use crate::m7s::{MAX_FRAME_BYTES, Violation};

/// Bytes of a mask key.
const KEY_BYTES: usize = 4;

/// A frame header in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// FIN and opcode.
    pub(super) first: u8,
    pub(super) length: usize,
    pub(super) key: [u8; KEY_BYTES],
    /// Its own size.
    pub(super) size: usize,
}

impl Header {
    /// Reads the header at the front of `bytes`, which is `offset` into the connection; `None` when it is not complete.
    pub(super) fn decode(bytes: &[u8], offset: u64) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
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
        if first & 0x08 != 0 && (first & 0x80 == 0 || length > MAX_CONTROL_BYTES as u64) {
            return Err(Violation::Control { offset });
        }
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MAX_FRAME_BYTES) else {
            return Err(Violation::TooLarge { offset, length });
        };
        let Some(key) = rest.get(field..).and_then(|rest| rest.first_chunk::<KEY_BYTES>()) else { return Ok(None) };
        Ok(Some(Self { first: *first, length, key: *key, size: 2 + field + KEY_BYTES }))
    }

    pub(super) const fn is_control(self) -> bool {
        self.first & 0x08 != 0
    }

    /// Whether its message ends with it.
    pub(super) const fn is_final(self) -> bool {
        self.first & 0x80 != 0
    }

    /// Whether it goes on with a message.
    pub(super) const fn is_continuation(self) -> bool {
        self.first & 0x0f == 0
    }

    pub(super) const fn is_text(self) -> bool {
        self.first & 0x0f == 1
    }

    /// Bytes before the mask key: what an outer header and its inner one have in common.
    pub(super) const fn before_key(self) -> usize {
        self.size.saturating_sub(KEY_BYTES)
    }

    /// Undoes the mask (RFC 6455 §5.3), eight bytes at a time.
    pub(super) fn unmask(self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.key;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (chunks, rest) = bytes.as_chunks_mut::<8>();
        for chunk in chunks {
            *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
        }
        rest.iter_mut().zip(self.key.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
}
