//! The file header and tags (FLV E.2 to E.4.1).

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a tag's header.
pub(crate) const TAG_HEADER_BYTES: usize = 11;
/// Bytes of `PreviousTagSize`.
pub(crate) const TRAILER_BYTES: usize = 4;

/// What the file header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `TypeFlagsAudio`.
    pub audio: bool,
    /// `TypeFlagsVideo`.
    pub video: bool,
}

impl Header {
    /// The header of 9 bytes and the `PreviousTagSize0` after it.
    ///
    /// ```text
    /// 46 4c 56   01       0000 0A0V   00 00 00 09   00 00 00 00
    /// "FLV"      version  flags       DataOffset    PreviousTagSize0
    /// ```
    #[must_use]
    pub const fn encode(self) -> [u8; 13] {
        let flags = (self.audio as u8) << 2 | self.video as u8;
        [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
    }
}

/// What a tag holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18: AMF0 script data. Type 15, the same behind one byte, is read as this.
    Script,
}

impl TagKind {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::Script => 18,
        }
    }
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it holds.
    pub kind: TagKind,
    /// Decoding time in milliseconds; it wraps after 49.7 days.
    pub timestamp: u32,
    /// The body.
    pub data: Bytes,
    /// Bytes of the stream before the tag.
    pub offset: u64,
}

impl Tag {
    /// Appends the tag with its `PreviousTagSize`.
    ///
    /// ```text
    /// TagType  DataSize  Timestamp  TimestampExtended  StreamID  Data       PreviousTagSize
    /// u8       u24       u24        u8 (upper bits)    u24 = 0   DataSize   u32 = DataSize + 11
    /// ```
    pub fn encode(&self, out: &mut BytesMut) {
        put(out, self.kind, self.timestamp, |out| out.extend_from_slice(&self.data));
    }
}

/// Appends a tag whose body is written by `body`. A body over 16 MiB cannot be told in `DataSize` and is left out.
pub(crate) fn put(out: &mut BytesMut, kind: TagKind, timestamp: u32, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    let [upper, a, b, c] = timestamp.to_be_bytes();
    out.put_slice(&[kind.number(), 0, 0, 0, a, b, c, upper, 0, 0, 0]);
    body(out);
    let size = out.len().saturating_sub(start).saturating_sub(TAG_HEADER_BYTES);
    let Some([0, size @ ..]) = u32::try_from(size).ok().map(u32::to_be_bytes) else { return out.truncate(start) };
    let whole = out.len().saturating_sub(start);
    if let Some(field) = out.get_mut(start.saturating_add(1)..start.saturating_add(4)) {
        field.copy_from_slice(&size);
    }
    out.put_u32(u32::try_from(whole).unwrap_or(u32::MAX));
}
