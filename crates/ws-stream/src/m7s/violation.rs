//! How a pusher can break the rules.

use super::MAX_FRAME_BYTES;

/// The pusher broke the rules; the connection is failed with [`Violation::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, an opcode has no meaning, or a frame is not masked (RFC 6455 §5.1, §5.2).
    #[error("the frame header at byte {offset} is none")]
    Header {
        /// Where in the bytes after the 101.
        offset: u64,
    },
    /// A control frame is fragmented or too long (RFC 6455 §5.5).
    #[error("the control frame at byte {offset} is fragmented or too long")]
    Control {
        /// Where.
        offset: u64,
    },
    /// A fragment goes on with no message, or a message begins within another (RFC 6455 §5.4).
    #[error("the frame at byte {offset} is out of turn among the fragments of a message")]
    Fragment {
        /// Where.
        offset: u64,
    },
    /// A message is larger than [`MAX_FRAME_BYTES`].
    #[error("the message at byte {offset} has {length} bytes, more than the limit of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// Where its latest frame begins.
        offset: u64,
        /// Its payload so far, that of the latest frame included.
        length: u64,
    },
    /// The pusher sends each tag in a message of its own, behind an outer header or behind an empty message, and this is
    /// not such a tag.
    #[error("the frame at byte {offset} is no whole tag in the form that the first one had")]
    Form {
        /// Where.
        offset: u64,
    },
}

impl Violation {
    /// The code to close with (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooLarge { .. } => crate::close::TOO_BIG,
            _ => crate::close::PROTOCOL,
        }
    }
}
