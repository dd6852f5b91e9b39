//! What can go wrong in the hub, and why a stream ends.

use crate::{Owner, StreamName};

/// An operation on the hub failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration leaves no room to work; the operator mends it.
    #[error("hub configuration: {fault}")]
    Config {
        /// Which field, and what it must be.
        fault: &'static str,
    },
    /// The text is no stream name, or chooses no variant of one; whoever sent it mends it.
    #[error("stream name: {fault}")]
    Name {
        /// Which rule it breaks.
        fault: &'static str,
    },
    /// Somebody else publishes this stream; try again when they have left, or ask to replace.
    #[error("stream {name} is published already, by {by}")]
    Conflict {
        /// The stream.
        name: StreamName,
        /// The protocol of the live publisher.
        by: &'static str,
    },
    /// The name belongs to a connected site.
    #[error("stream name {name} is reserved for site {owner}")]
    Reserved {
        /// The stream.
        name: StreamName,
        /// Whose it is.
        owner: Owner,
    },
    /// There are as many streams as the configuration allows.
    #[error("{limit} streams exist, which is the limit")]
    TooManyStreams {
        /// [`Config::max_streams`](crate::Config::max_streams).
        limit: usize,
    },
    /// The stream has as many viewers as the configuration allows.
    #[error("stream {name} has {limit} viewers, which is the limit")]
    TooManyViewers {
        /// The stream.
        name: StreamName,
        /// [`Config::max_viewers`](crate::Config::max_viewers).
        limit: usize,
    },
    /// Nothing playable came in time.
    #[error("stream {name} does not exist or sends nothing")]
    NotFound {
        /// The stream.
        name: StreamName,
    },
    /// The publisher sent a decoder configuration that cannot be read; its connection ends.
    #[error("track {track} has a bad {codec} configuration")]
    Configuration {
        /// The track's number.
        track: u8,
        /// The codec whose configuration it claims to be.
        codec: sluicegate_media::Codec,
        /// What is wrong with it.
        source: sluicegate_media::Error,
    },
    /// The stream is over for this publisher or viewer.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// The stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream has ended: {reason}")]
pub struct Ended {
    /// Why.
    pub reason: Reason,
}

/// Why a stream ended for a publisher or a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The publisher said that it is done.
    #[error("the publisher has finished")]
    Finished,
    /// The publisher was away for longer than viewers are kept.
    #[error("the publisher is gone")]
    PublisherGone,
    /// An operator cut the stream.
    #[error("cut by the operator")]
    Cut,
    /// Another publisher took the place of this one.
    #[error("replaced by a newer publisher")]
    Replaced,
    /// The site that offered the stream no longer does.
    #[error("no longer offered by its site")]
    Withdrawn,
    /// The stream has as many viewers as it may.
    #[error("too many viewers")]
    TooManyViewers,
}
