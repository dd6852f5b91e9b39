//! What can be wrong with FLV bytes, and where.

use crate::FourCc;

/// The stream cannot be read any further: the boundaries of tags are lost, or the sender breaks the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file header is damaged; the sender is no FLV encoder.
    #[error("bad FLV file header at byte {offset}: {what}")]
    Header {
        /// Bytes of the stream before the header.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A tag of a type that FLV does not have; most often tag boundaries were lost before it.
    #[error("tag type {got} at byte {offset} is none of 8, 9, 15 and 18")]
    TagType {
        /// Bytes of the stream before the tag.
        offset: u64,
        /// The type.
        got: u8,
    },
    /// An encrypted tag (FLV annex F), which nobody sends any more.
    #[error("tag at byte {offset} is encrypted")]
    Encrypted {
        /// Bytes of the stream before the tag.
        offset: u64,
    },
    /// A tag larger than [`Limits::tag_bytes`](crate::Limits::tag_bytes).
    #[error("tag at byte {offset} has {size} bytes, more than the limit of {limit}")]
    TagSize {
        /// Bytes of the stream before the tag.
        offset: u64,
        /// `DataSize`.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The inside of a tag is damaged.
    #[error("bad tag at byte {offset}")]
    Tag {
        /// Bytes of the stream before the tag.
        offset: u64,
        /// What is wrong inside.
        source: Fault,
    },
}

impl Error {
    /// Bytes of the stream before what is wrong.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        match self {
            Self::Header { offset, .. }
            | Self::TagType { offset, .. }
            | Self::Encrypted { offset }
            | Self::TagSize { offset, .. }
            | Self::Tag { offset, .. } => *offset,
        }
    }
}

/// What is wrong inside a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It ends before what it declares.
    #[error("{what} ends too early")]
    Truncated {
        /// The structure that was being read.
        what: &'static str,
    },
    /// A field has a value that its standard does not define.
    #[error("{field} has the undefined value {got}")]
    Undefined {
        /// The field, spelled as in its standard.
        field: &'static str,
        /// What it says.
        got: u32,
    },
    /// A codec by legacy number that we do not carry; a reader goes on without it.
    #[error("{kind} codec {got} is not supported")]
    Codec {
        /// `video` or `audio`.
        kind: &'static str,
        /// `CodecID` or `SoundFormat`.
        got: u8,
    },
    /// A codec by `FourCC` that we do not carry; a reader goes on without it.
    #[error("codec {0} is not supported")]
    FourCc(FourCc),
    /// Script data nested deeper, or with more values, than [`amf0`](crate::amf0) allows.
    #[error("script data is nested deeper than {depth} or has more than {values} values")]
    Amf0TooLarge {
        /// The allowed depth.
        depth: usize,
        /// The allowed number of values.
        values: usize,
    },
}

impl Fault {
    /// Whether only this tag is lost, because we do not know its codec, and the others can be used.
    #[must_use]
    pub const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Codec { .. } | Self::FourCc(_))
    }
}
