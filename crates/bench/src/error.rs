//! Why a measurement cannot be made.

use std::io;

/// A measurement cannot be made; none is reported then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A socket or a file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program did not come up.
    #[error("{program} did not start: {why}")]
    Start {
        /// The program.
        program: String,
        /// What was seen instead of its address.
        why: String,
    },
    /// A server answered what the measurement cannot use.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// A soak has found what must not be.
    #[error("the soak has failed: {0}")]
    Soak(String),
    /// A session of ours could not be made, or was refused.
    #[error("WebRTC: {0}")]
    Session(#[from] sluicegate_rtc_driver::Error),
}

/// Says what was being done when a call failed.
pub(crate) trait Doing<T> {
    /// Names the step.
    fn doing(self, what: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what, source })
    }
}
