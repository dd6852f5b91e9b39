//! What a peer can get wrong in a message.

/// A text is no message that this crate understands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not `{"message": …, "data": […]}`; the peer is at fault, the text is skipped.
    #[error("not a message of WCS")]
    Envelope(#[source] serde_json::Error),
    /// The message is known but its argument cannot be read; the peer is at fault, the message is skipped.
    #[error("the argument of {message} cannot be read")]
    Argument {
        /// The message's name.
        message: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}
