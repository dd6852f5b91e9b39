//! What ends a session: a peer that breaks the protocol, is late, or says no.

use std::time::Duration;

/// Why a session cannot go on. The connection is closed after any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The first byte is no RTMP version that we speak; version 6 is the encrypted RTMPE.
    #[error("RTMP version {got} instead of 3")]
    Version {
        /// What the peer said.
        got: u8,
    },
    /// A chunk size of 0 or with its upper bit set (RTMP 5.4.1).
    #[error("a chunk size of {got}")]
    ChunkSize {
        /// What the peer said.
        got: u32,
    },
    /// More chunk streams than [`Limits::chunk_streams`](super::Limits::chunk_streams).
    #[error("more than {limit} chunk streams")]
    ChunkStreams {
        /// The limit.
        limit: usize,
    },
    /// A message longer than [`Limits::message_bytes`](super::Limits::message_bytes).
    #[error("a message of {got} bytes, more than the limit of {limit}")]
    MessageSize {
        /// Its length.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// Messages that have begun and not ended hold more than [`Limits::message_bytes`](super::Limits::message_bytes) together.
    #[error("unfinished messages of more than {limit} bytes")]
    Unfinished {
        /// The limit.
        limit: usize,
    },
    /// A chunk leaves out what no chunk before it on its chunk stream has said.
    #[error("chunk stream {chunk_stream} begins without a whole header")]
    Header {
        /// The chunk stream.
        chunk_stream: u32,
    },
    /// A message of the protocol itself is too short.
    #[error("a damaged message of type {kind}")]
    Control {
        /// Its type.
        kind: u8,
    },
    /// A command that cannot be read.
    #[error("a damaged command")]
    Command(#[source] sluicegate_flv::Fault),
    /// A command that lacks what it must have.
    #[error("a command without {what}")]
    Incomplete {
        /// What it lacks.
        what: &'static str,
    },
    /// The peer did not come to its next step in time.
    #[error("{what} did not come within {after:?}")]
    Late {
        /// What was awaited.
        what: &'static str,
        /// The time allowed.
        after: Duration,
    },
    /// The server says no.
    #[error("the server refuses: {code} {description}")]
    Refused {
        /// Its code, such as `NetStream.Publish.BadName`.
        code: String,
        /// What it says about it.
        description: String,
    },
}
