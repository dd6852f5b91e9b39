//! Why a pull ends.

use std::time::Duration;

/// A stream cannot be pulled, or not any longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no server; whoever gave it mends it.
    #[error("an RTSP URL must be rtsp://HOST/PATH, or rtsp+udp://HOST/PATH")]
    Url,
    /// The server cannot be reached, refuses, or breaks the protocol.
    #[error("{doing}")]
    Protocol {
        /// What was under way.
        doing: &'static str,
        /// What went wrong, as the library tells it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server did not answer in time.
    #[error("{doing}: no answer within {after:?}")]
    Late {
        /// What was under way.
        doing: &'static str,
        /// The time allowed.
        after: Duration,
    },
    /// The server has neither pictures nor sound that can be carried.
    #[error("nothing in the stream can be carried; it has {found}")]
    Unusable {
        /// The encodings that it has.
        found: String,
    },
    /// The server sent nothing that can be used for too long.
    #[error("no frame came for {after:?}")]
    Silent {
        /// The time allowed.
        after: Duration,
    },
    /// The hub refuses the stream, or ended it.
    #[error(transparent)]
    Hub(#[from] sluicegate_hub::Error),
}
