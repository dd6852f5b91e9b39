//! Why a video, a stream or a segment cannot be had.

use std::time::Duration;

use crate::index::IndexError;

/// Why media cannot be had. Clones are cheap: one request's failure is told to all who wait for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No origin is configured; the operator names one.
    #[error("no origin is configured: set BASE_URL, UPSTREAM or media")]
    NoOrigin,
    /// The origin does not know the video.
    #[error("there is no such video")]
    UnknownVideo,
    /// The origin says that this video is not to be given (204).
    #[error("the origin does not give this video")]
    Denied,
    /// The video has no such stream.
    #[error("the video has no such stream")]
    UnknownStream,
    /// The stream has no segment index, so that it has no segments; it can be read by byte ranges.
    #[error("the stream has no segment index")]
    NoIndex,
    /// The stream has fewer segments.
    #[error("the stream has {count} segments")]
    NoSegment {
        /// How many it has.
        count: u32,
    },
    /// The range lies beyond the stream's end.
    #[error("the stream has {length} bytes")]
    Range {
        /// Bytes of the stream.
        length: u64,
    },
    /// What is asked for is beyond a limit of ours.
    #[error("{what} has {bytes} bytes, and {limit} are allowed")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its bytes.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The origin answered with a status that is none of the above.
    #[error("the origin answers {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The origin's address is private, and that is not allowed; or it redirects.
    #[error("the origin is refused: {why}")]
    Refused {
        /// Why, and what would allow it.
        why: String,
    },
    /// The origin cannot be reached, or hangs up, or breaks the protocol.
    #[error("the origin cannot be reached: {why}")]
    Unreachable {
        /// What the network library said; without the origin's URL.
        why: String,
    },
    /// The origin did not answer in time.
    #[error("the origin did not answer within {deadline:?}")]
    Timeout {
        /// The time.
        deadline: Duration,
    },
    /// The origin's answer is not what it must be.
    #[error("the origin's answer is wrong: {what}")]
    Answer {
        /// What is wrong with it.
        what: String,
    },
    /// The stream's index is damaged.
    #[error("the segment index cannot be read")]
    Index(#[from] IndexError),
}

impl MediaError {
    /// Whether asking again later may help: the fault is the origin's or the network's.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::Refused { .. }
                | Self::Unreachable { .. }
                | Self::Timeout { .. }
                | Self::Answer { .. }
                | Self::Index(_)
        )
    }
}
