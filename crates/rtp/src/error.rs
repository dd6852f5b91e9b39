//! What can be wrong with a payload.

/// An RTP payload cannot be read; the picture or sound that it belongs to is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It ends before what it declares.
    #[error("a payload of {codec} ends too early")]
    Truncated {
        /// The payload format.
        codec: &'static str,
    },
    /// It is of a kind that nobody negotiates.
    #[error("a payload of {codec} has type {got}, which is not supported")]
    Unsupported {
        /// The payload format.
        codec: &'static str,
        /// Its type.
        got: u8,
    },
    /// A fragment without its beginning.
    #[error("a fragment of {codec} without its beginning")]
    Fragment {
        /// The payload format.
        codec: &'static str,
    },
    /// A picture beyond the limit.
    #[error("a picture of more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}
