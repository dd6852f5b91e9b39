//! Messages to bytes and back.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Error, Message, body};

/// Bytes of one message's body, at most: the offers of a site with a thousand streams. A peer can make us hold this
/// much.
pub const MAX_BODY_BYTES: usize = 64 << 10;

const HEADER_BYTES: usize = 6;

/// The bytes of a message.
///
/// ```text
/// length       kind         body
/// u32          u16          length - 2 bytes, by bincode
/// ```
///
/// # Errors
/// [`Error::TooLarge`] when its body is beyond [`MAX_BODY_BYTES`].
pub fn encode(message: &Message) -> Result<Bytes, Error> {
    let (kind, body) = body::encode(message);
    // A body beyond the limit comes back empty, and no message has an empty body.
    if body.is_empty() || body.len() > MAX_BODY_BYTES {
        return Err(Error::TooLarge { kind, size: body.len(), limit: MAX_BODY_BYTES });
    }
    let mut out = BytesMut::with_capacity(body.len().saturating_add(HEADER_BYTES));
    out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_add(2));
    out.put_u16(kind);
    out.put_slice(&body);
    Ok(out.freeze())
}

/// Takes bytes and gives messages; messages of unknown kinds are skipped.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Appends bytes of the stream.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    pub fn poll(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let Some(&[l0, l1, l2, l3, k0, k1]) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
            let kind = u16::from_be_bytes([k0, k1]);
            let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
            let size = length.checked_sub(2).ok_or(Error::Body { kind })?;
            if size > MAX_BODY_BYTES {
                return Err(Error::TooLarge { kind, size, limit: MAX_BODY_BYTES });
            }
            if self.buffer.len() < size.saturating_add(HEADER_BYTES) {
                return Ok(None);
            }
            self.buffer.advance(HEADER_BYTES);
            let body = self.buffer.split_to(size);
            if let Some(message) = body::decode(kind, &body).map_err(|()| Error::Body { kind })? {
                return Ok(Some(message));
            }
        }
    }
}

#[cfg(test)]
mod tests;
