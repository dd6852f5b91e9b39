//! What can go wrong with sound.

/// Sound cannot be turned into Opus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The track is of a kind that is not decoded here; it stays silent for those who need Opus.
    #[error("this AAC cannot be decoded here: {why}")]
    Unsupported {
        /// What about it.
        why: String,
    },
    /// An access unit cannot be decoded; its sound is lost.
    #[error("an access unit of AAC is damaged: {why}")]
    Damaged {
        /// The decoder's words.
        why: String,
    },
    /// The resampler or the encoder failed, which no input should make it do.
    #[error("{what} failed: {why}")]
    Failed {
        /// Which part.
        what: &'static str,
        /// Its words.
        why: String,
    },
}
