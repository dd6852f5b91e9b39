//! What can go wrong between a socket and the hub.

use std::time::Duration;

use sluicegate_media::Codec;

use crate::protocol::{Violation, status};

/// A connection cannot begin or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A service parameter is out of range; the operator mends it.
    #[error("configuration: {fault}")]
    Config {
        /// Which field, and what it must be.
        fault: &'static str,
    },
    /// The port cannot be listened on.
    #[error(transparent)]
    Listen(sluicegate_net::Error),
    /// The URL names no server, app and stream; whoever gave it mends it.
    #[error("an RTMP URL must be rtmp://HOST/APP/STREAM or rtmps://HOST/APP/STREAM")]
    Url,
    /// The server cannot be reached, or is not trusted.
    #[error("cannot connect")]
    Connect(#[source] sluicegate_net::Error),
    /// The peer breaks the protocol, is late, or refuses.
    #[error(transparent)]
    Protocol(#[from] Violation),
    /// The credentials are missing or wrong.
    #[error("a valid token is needed, as in APP/STREAM?token=TOKEN")]
    Denied,
    /// The hub refuses: the name is bad or taken, nothing came in time, there are too many, or the stream ended.
    #[error(transparent)]
    Hub(#[from] sluicegate_hub::Error),
    /// What is published is damaged; the connection ends.
    #[error("damaged media")]
    Media(#[source] sluicegate_flv::Error),
    /// The publisher sends codecs only that we do not carry; its connection ends.
    #[error("nothing in the stream can be carried")]
    Unusable(#[source] sluicegate_flv::Fault),
    /// The other side has told that it does not take the stream's codec.
    #[error("the other side does not take {codec}")]
    Codec {
        /// What the stream has.
        codec: Codec,
    },
    /// The publisher sent nothing for too long; its connection ends.
    #[error("nothing was received for {after:?}")]
    Silent {
        /// The time allowed.
        after: Duration,
    },
    /// The publisher's bytes completed no frame for too long; its connection ends.
    #[error("no frame was completed for {after:?}")]
    Slow {
        /// The time allowed.
        after: Duration,
    },
    /// The peer took nothing for too long; its connection ends.
    #[error("nothing could be sent for {after:?}")]
    Stalled {
        /// The time allowed.
        after: Duration,
    },
    /// The peer has hung up in the middle.
    #[error("the connection was closed")]
    Closed,
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The code of the `onStatus` that tells a client; listed in `docs/protocols/rtmp.md`.
    #[must_use]
    pub fn status(&self, publishes: bool) -> &'static str {
        use sluicegate_hub::Error as Hub;
        match self {
            Self::Denied if publishes => status::DENIED,
            Self::Hub(Hub::Name { .. } | Hub::Conflict { .. } | Hub::Reserved { .. }) if publishes => status::BAD_NAME,
            Self::Hub(Hub::Name { .. } | Hub::NotFound { .. } | Hub::Ended(_)) if !publishes => status::NOT_FOUND,
            _ if publishes => status::REJECTED,
            _ => status::PLAY_FAILED,
        }
    }

    /// A word for counters.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => "silent",
            Self::Protocol(_) | Self::Media(_) | Self::Unusable(_) => "malformed",
            Self::Silent { .. } | Self::Slow { .. } | Self::Stalled { .. } => "silent",
            Self::Hub(_) | Self::Codec { .. } => "closed",
            Self::Denied => "denied",
            _ => "failed",
        }
    }

    /// The error and its causes on one line.
    #[must_use]
    pub fn reason(&self) -> String {
        sluicegate_net::causes(self)
    }
}
