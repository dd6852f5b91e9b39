//! Where the segments of a stream are: the `sidx` boxes of MP4 and the Cues of `WebM`.
//!
//! Parsers take the bytes of an index and say where segments are, or which further bytes they need. They know no
//! network; every count and size that they read is bounded before it is used.

mod build;
mod cues;
mod sidx;

pub use build::{Builder, MAX_PART};
pub use cues::Cues;
pub(crate) use sidx::BoxHead;
pub use sidx::{Reference, Sidx, write as write_sidx};

use crate::media::ByteRange;

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
    /// Makes one of ranges that are not empty.
    ///
    /// # Errors
    /// There are more than [`MAX_SEGMENTS`], or one is reversed.
    pub fn new(ranges: Vec<ByteRange>) -> Result<Self, IndexError> {
        if ranges.len() > MAX_SEGMENTS {
            return Err(IndexError::TooMany { what: "segments", limit: MAX_SEGMENTS });
        }
        if ranges.iter().any(|range| range.count() == 0) {
            return Err(IndexError::Wrong("an empty segment"));
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
