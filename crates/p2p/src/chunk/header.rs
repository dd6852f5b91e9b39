//! The 30 bytes before each chunk: `["vid:itag|index",i,n]`, padded with blanks.

use bytes::{BufMut, Bytes, BytesMut};

use super::{CHUNK_LENGTH, Key, MAX_SEGMENT};

/// Bytes of the header. Receivers cut here, whatever stands there.
pub const HEADER_LENGTH: usize = 30;

/// What stands before a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The segment.
    pub key: Key,
    /// Counts the segment's chunks from 0.
    pub number: usize,
    /// Chunks of the segment.
    pub total: usize,
}

/// The header does not fit its 30 bytes, or the id has letters that would not come back; receivers could not read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunk header of {got} bytes, {HEADER_LENGTH} of printable ASCII are allowed")]
pub struct Overflow {
    /// How long it would be.
    pub got: usize,
}

/// Chunks of a segment of `length` bytes.
#[must_use]
pub fn chunk_count(length: usize) -> usize {
    length.div_ceil(CHUNK_LENGTH)
}

fn printable(id: &str) -> bool {
    // A quotation mark and a backslash would be escaped; the bar ends the id.
    id.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\|".contains(&byte))
}

impl Header {
    /// Whether all headers of a segment of `length` bytes fit.
    ///
    /// # Errors
    /// [`Overflow`] where the longest does not.
    pub fn check(key: &Key, length: usize) -> Result<(), Overflow> {
        let total = chunk_count(length).max(1);
        Self { key: key.clone(), number: total - 1, total }.encode().map(drop)
    }

    /// The header's bytes.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn encode(&self) -> Result<[u8; HEADER_LENGTH], Overflow> {
        let text = format!("[\"{}\",{},{}]", self.key, self.number, self.total);
        let overflow = Overflow { got: text.len() };
        if !printable(&self.key.id) {
            return Err(overflow);
        }
        let mut bytes = [b' '; HEADER_LENGTH];
        bytes.get_mut(..text.len()).ok_or(overflow)?.copy_from_slice(text.as_bytes());
        Ok(bytes)
    }

    /// Reads a header. `None` for what is none, among it headers that were cut.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_LENGTH]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?.trim();
        let (name, number, total) = serde_json::from_str::<(String, usize, usize)>(text).ok()?;
        let (id, index) = name.rsplit_once('|')?;
        let fits = printable(id) && number < total && total <= chunk_count(MAX_SEGMENT);
        fits.then_some(Self { key: Key::new(id, index.parse().ok()?), number, total })
    }
}

/// Chunk `number` of a segment with its header, as it goes over the wire. `None` past the segment's end.
///
/// # Errors
/// [`Overflow`].
pub fn chunk(key: &Key, segment: &Bytes, number: usize) -> Result<Option<Bytes>, Overflow> {
    let start = number.saturating_mul(CHUNK_LENGTH);
    if start >= segment.len() {
        return Ok(None);
    }
    let payload = segment.slice(start..segment.len().min(start + CHUNK_LENGTH));
    let header = Header { key: key.clone(), number, total: chunk_count(segment.len()) };
    let mut bytes = BytesMut::with_capacity(HEADER_LENGTH + payload.len());
    bytes.put_slice(&header.encode()?);
    bytes.put(payload);
    Ok(Some(bytes.freeze()))
}

/// Takes a binary message apart. `None` for what is no chunk.
#[must_use]
pub fn unframe(message: &Bytes) -> Option<(Header, Bytes)> {
    let header = Header::decode(message.first_chunk()?)?;
    let payload = message.slice(HEADER_LENGTH..);
    (payload.len() <= CHUNK_LENGTH).then_some((header, payload))
}
