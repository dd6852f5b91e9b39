//! Where the segments of a stream are: the `sidx` boxes of MP4 and the Cues of `WebM`.
//!
//! Parsers take the bytes of an index and say where segments are, or which further bytes they need. They know no
//! network; every count and size that they read is bounded before it is used.

mod build;
mod cues;
mod sidx;

pub use build::{Builder, MAX_PART};
pub use cues::Cues;
pub(crate) use cues::{Children, Element, SegmentHead, segment_head, unsigned};
pub(crate) use sidx::BoxHead;
pub use sidx::{Reference, Sidx, write as write_sidx};

use crate::media::{ByteRange, Stream};

/// Segments of a stream, at most. At two seconds a segment that is 36 hours; 1 MiB.
pub const MAX_SEGMENTS: usize = 65_536;

/// An index that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It ends before what it announces; the stream's document names the wrong range, or the origin cuts.
    #[error("the index ends within {0}")]
    Short(&'static str),
    /// It is not what it should be.
    #[error("the index is wrong: {0}")]
    Wrong(&'static str),
    /// It has more segments, levels or parts than we take.
    #[error("the index has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// Where the segments of a stream are, in order. Clones are deep; share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    ranges: Vec<ByteRange>,
}

impl SegmentIndex {
    /// Makes one of ranges.
    ///
    /// # Errors
    /// There are more than [`MAX_SEGMENTS`], one is empty, or one begins before the one before it ends.
    pub fn new(ranges: Vec<ByteRange>) -> Result<Self, IndexError> {
        if ranges.len() > MAX_SEGMENTS {
            return Err(IndexError::TooMany { what: "segments", limit: MAX_SEGMENTS });
        }
        if ranges.iter().any(|range| range.count() == 0) {
            return Err(IndexError::Wrong("an empty segment"));
        }
        if ranges.iter().zip(ranges.iter().skip(1)).any(|(one, next)| one.end >= next.start) {
            return Err(IndexError::Wrong("segments that overlap"));
        }
        Ok(Self { ranges })
    }

    /// How many segments.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.ranges.len()).unwrap_or(u32::MAX)
    }

    /// Where a segment is; `None` beyond the last.
    #[must_use]
    pub fn segment(&self, index: u32) -> Option<ByteRange> {
        self.ranges.get(usize::try_from(index).ok()?).copied()
    }

    /// All of them.
    #[must_use]
    pub fn segments(&self) -> &[ByteRange] {
        &self.ranges
    }
}

/// Reads an index from a whole file in memory as [`Builder`] asks for it, for fuzzing. The first byte chooses the
/// container, the next two where the index ends.
pub fn fuzz_index(data: &[u8]) {
    let [kind, high, low, file @ ..] = data else { return };
    let last = u64::from(u16::from_be_bytes([*high, *low]));
    let len = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let mime = if kind & 1 == 0 { "video/mp4" } else { "video/webm" };
    let index = ByteRange { start: u64::from(kind >> 1), end: last.min(len.saturating_sub(1)) };
    let init = ByteRange { start: 0, end: index.start.saturating_sub(1) };
    let stream =
        Stream { mime: mime.to_owned(), len: Some(len), init: Some(init), index: Some(index), ..Stream::default() };
    // Whether segments lie within the file is checked where they are made; the seeds' test and proptest look again.
    let _ = read_from(file, &stream);
}

/// Runs a [`Builder`] on a whole file.
fn read_from(file: &[u8], stream: &Stream) -> Result<SegmentIndex, IndexError> {
    let mut builder = Builder::new(stream)?;
    while let Some(range) = builder.wants() {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let end = place(range.end).saturating_add(1);
        builder.handle(file.get(place(range.start)..end).unwrap_or_default())?;
    }
    builder.finish()
}

#[cfg(test)]
mod tests;
