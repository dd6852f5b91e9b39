//! What can be wrong with control messages.

/// The control stream cannot be read any further; the link is closed and dialled again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message larger than [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES).
    #[error("a control message of kind {kind} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its kind.
        kind: u16,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A message of a known kind whose body is damaged.
    #[error("a control message of kind {kind} is damaged")]
    Body {
        /// Its kind.
        kind: u16,
    },
}
