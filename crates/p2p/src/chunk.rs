//! The chunk protocol: what goes over a data channel between nodes and browsers.
//!
//! Text messages ask and answer ([`Message`]); binary messages carry a segment in chunks of 51,200 bytes behind a header
//! of 30 ([`Header`]), which [`Assembly`] puts together again. Bytes in, values out: nothing here knows a socket or a
//! clock. The whole protocol is in `docs/protocols/chunk.md`.

mod assembly;
mod header;
mod message;
#[cfg(test)]
mod tests;

pub use assembly::{Assembly, Misfit};
pub use header::{HEADER_LENGTH, Header, Overflow, chunk, chunk_count, unframe};
pub use message::{Code, MAX_TEXT, Message, VERSION};

/// Payload of every chunk but the last, in bytes; existing peers rely on it.
pub const CHUNK_LENGTH: usize = 51_200;
/// Bytes of a segment that we put together, at most: 10 s at 50 Mbit/s. It bounds what a peer can make us hold.
pub const MAX_SEGMENT: usize = 64 << 20;

/// One segment as the wire names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// `vid:itag`.
    pub id: String,
    /// Counts segments from 0. A peer may name any number.
    pub index: u64,
}

impl Key {
    /// A segment of a stream.
    #[must_use]
    pub fn new(id: impl Into<String>, index: u64) -> Self {
        Self { id: id.into(), index }
    }

    /// Video and stream; none where the id does not consist of exactly two parts.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str)> {
        let (vid, itag) = self.id.split_once(':')?;
        (!vid.is_empty() && !itag.is_empty() && !itag.contains(':')).then_some((vid, itag))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}|{}", self.id, self.index)
    }
}
