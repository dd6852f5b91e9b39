//! What can go wrong, as HTTP statuses.

use ::http::StatusCode;
use sluicegate_media::Codec;
use sluicegate_rtc_driver as rtc;

/// A session cannot begin or go on. Each variant has one HTTP status, listed in `docs/protocols/webrtc.md`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator mends the configuration.
    #[error("configuration: {fault}")]
    Config {
        /// Which field, and what it must be.
        fault: &'static str,
    },
    /// The path names no stream; the client mends it.
    #[error("bad stream name")]
    Name(#[source] sluicegate_hub::Error),
    /// The hub refuses: the name is taken, nothing came in time, or there are too many.
    #[error(transparent)]
    Hub(#[from] sluicegate_hub::Error),
    /// The transport refuses.
    #[error(transparent)]
    Transport(#[from] rtc::Error),
    /// The description cannot be read; the client mends it.
    #[error("bad session description: {fault}")]
    Description {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Nothing in the description goes the needed way.
    #[error("the session description has nothing to {what}")]
    Nothing {
        /// `send` or `receive`.
        what: &'static str,
    },
    /// The peer has none of the codecs that are needed.
    #[error("no common codec: {ours} is needed, the peer has {theirs}")]
    Codec {
        /// What this end can do.
        ours: String,
        /// What the peer names.
        theirs: String,
    },
    /// The stream's pictures are not in the order in which they are shown.
    #[error("the stream has B-frames, which WebRTC cannot show: let the encoder leave them out (ffmpeg: -bf 0)")]
    Reordered,
    /// The stream has nothing that WebRTC carries.
    #[error("the stream has no track that WebRTC carries")]
    Unplayable,
    /// The codec changed in the middle.
    #[error("the stream changed to {codec}, which this session did not agree to")]
    Changed {
        /// The new codec.
        codec: Codec,
    },
    /// The publisher sent nothing.
    #[error("nothing was received for {seconds} s")]
    Silent {
        /// For how long.
        seconds: u64,
    },
}

impl Error {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Config { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Name(_) | Self::Description { .. } | Self::Nothing { .. } => StatusCode::BAD_REQUEST,
            Self::Hub(error) => hub_status(error),
            Self::Transport(error) => transport_status(error),
            Self::Codec { .. } | Self::Reordered | Self::Unplayable | Self::Changed { .. } => {
                StatusCode::NOT_ACCEPTABLE
            }
            Self::Silent { .. } => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The error with its causes on one line.
    #[must_use]
    pub fn line(&self) -> String {
        sluicegate_net::causes(self)
    }
}

fn hub_status(error: &sluicegate_hub::Error) -> StatusCode {
    use sluicegate_hub::Error;
    match error {
        Error::Conflict { .. } | Error::Reserved { .. } => StatusCode::CONFLICT,
        Error::NotFound { .. } | Error::Ended(_) => StatusCode::NOT_FOUND,
        Error::TooManyStreams { .. } | Error::TooManyViewers { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn transport_status(error: &rtc::Error) -> StatusCode {
    match error {
        rtc::Error::TooManySessions { .. } | rtc::Error::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        rtc::Error::DescriptionTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}
