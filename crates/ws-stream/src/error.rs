//! What can go wrong between a socket and the hub, as HTTP statuses and as WebSocket close codes.

use std::time::Duration;

use http::StatusCode;
use sluicegate_hub::Reason;
use sluicegate_media::Codec;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::formats::Container;

/// A publisher's or a viewer's connection cannot begin or cannot go on. Each variant has one HTTP status and one
/// WebSocket close code, listed in `docs/protocols/ws-stream.md`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path under `/live/` ends in nothing that we serve; the client mends it.
    #[error("the path must end in .flv or .mp4")]
    Ending,
    /// The path is not UTF-8 after percent-decoding; the client mends it.
    #[error("the path is not readable")]
    Path,
    /// A parameter of `/publish` or `/play` is missing or empty; the client mends it.
    #[error("the parameter {name} is missing or empty")]
    Parameter {
        /// Which one.
        name: &'static str,
    },
    /// The stream's name breaks a rule; the client mends it.
    #[error("bad stream name")]
    Name(#[source] sluicegate_hub::Error),
    /// A service parameter is out of range; the operator mends it.
    #[error("configuration: {fault}")]
    Config {
        /// Which field, and what it must be.
        fault: &'static str,
    },
    /// A page of another origin asks to publish in its visitor's name.
    #[error("a page of another origin may not publish")]
    Origin,
    /// Only FLV can be published.
    #[error("only FLV can be published, at a path that ends in .flv")]
    NotPublishable,
    /// The hub refuses: the name is taken, nothing came in time, there are too many, or the stream ended.
    #[error(transparent)]
    Hub(#[from] sluicegate_hub::Error),
    /// The container cannot carry the stream's codec; the viewer takes another container.
    #[error("{} cannot carry {codec}", container.name())]
    Codec {
        /// What was asked for.
        container: Container,
        /// What the stream has.
        codec: Codec,
    },
    /// The publisher's bytes are not FLV; its connection ends.
    #[error("malformed FLV at byte {offset}")]
    Flv {
        /// Where in the publisher's stream.
        offset: u64,
        /// What is wrong there.
        source: sluicegate_flv::Error,
    },
    /// The publisher sends codecs only that we do not carry; its connection ends.
    #[error("nothing in the stream can be carried")]
    Unusable(#[source] sluicegate_flv::Fault),
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
    /// The viewer took nothing for too long; its connection ends.
    #[error("nothing could be sent for {after:?}")]
    Stalled {
        /// The time allowed.
        after: Duration,
    },
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    /// The WebSocket failed or its peer broke the protocol.
    #[error("WebSocket failed")]
    WebSocket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// A pusher of the m7s plugin's form broke its rules; its connection ends.
    #[error("the push broke off")]
    Push(#[source] crate::m7s::Violation),
    /// The peer closed the WebSocket for a reason other than a normal end.
    #[error("closed by the peer with code {code}: {reason}")]
    Closed {
        /// Its close code.
        code: u16,
        /// Its reason, which may be empty.
        reason: String,
    },
    /// A client could not connect, or the server refused it.
    #[error("cannot connect")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A server answered a pull with another status than 200.
    #[error("the server answered {status}")]
    Refused {
        /// Its answer.
        status: StatusCode,
    },
    /// The address of a pull is none that we can open.
    #[error("cannot pull from scheme {scheme}")]
    Scheme {
        /// The scheme of the address.
        scheme: String,
    },
}

impl Error {
    /// What a peer's close frame says; `None` for a normal end: 1000, 1001 or no code.
    pub(crate) fn from_close(frame: Option<&CloseFrame>) -> Option<Self> {
        let frame = frame?;
        let normal = matches!(frame.code, CloseCode::Normal | CloseCode::Away | CloseCode::Status);
        (!normal).then(|| Self::Closed { code: frame.code.into(), reason: frame.reason.to_string() })
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

impl Error {
    /// The status that tells an HTTP client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        use sluicegate_hub::Error as Hub;
        match self {
            Self::Ending | Self::Hub(Hub::NotFound { .. }) => StatusCode::NOT_FOUND,
            Self::Path | Self::Parameter { .. } | Self::Name(_) | Self::Flv { .. } | Self::Push(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Hub(Hub::Name { .. } | Hub::Configuration { .. }) => StatusCode::BAD_REQUEST,
            Self::NotPublishable | Self::Codec { .. } | Self::Unusable(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Hub(Hub::Conflict { .. } | Hub::Reserved { .. }) => StatusCode::CONFLICT,
            Self::Hub(Hub::TooManyStreams { .. } | Hub::TooManyViewers { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Hub(Hub::Ended(ended)) => ended_status(ended.reason),
            Self::Silent { .. } | Self::Slow { .. } | Self::Stalled { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Closed { .. } | Self::Connect(_) | Self::Refused { .. } | Self::Scheme { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::Hub(_) | Self::Config { .. } | Self::Io(_) | Self::WebSocket(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code of the close frame that tells a WebSocket client (RFC 6455 §7.4; 4000 and up are ours).
    #[must_use]
    pub fn close_code(&self) -> u16 {
        use sluicegate_hub::Error as Hub;
        match self {
            Self::Flv { .. } | Self::Hub(Hub::Configuration { .. }) => close::INVALID,
            Self::Push(violation) => violation.close_code(),
            Self::WebSocket(error) => match **error {
                tokio_tungstenite::tungstenite::Error::Capacity(_) => close::TOO_BIG,
                _ => close::PROTOCOL,
            },
            Self::Silent { .. } | Self::Slow { .. } | Self::Stalled { .. } => close::TIMEOUT,
            Self::Codec { .. } | Self::Unusable(_) => close::UNSUPPORTED,
            Self::Hub(Hub::Ended(ended)) => ended_code(ended.reason),
            Self::Hub(Hub::NotFound { .. }) => close::NOT_FOUND,
            Self::Hub(Hub::Conflict { .. } | Hub::Reserved { .. }) => close::CONFLICT,
            Self::Hub(Hub::TooManyStreams { .. } | Hub::TooManyViewers { .. }) => close::AGAIN,
            _ => close::FAILED,
        }
    }
}

/// The close codes that we send.
pub mod close {
    /// The stream has ended as its publisher wished.
    pub const NORMAL: u16 = 1000;
    /// The server is going away; connect again.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the WebSocket protocol.
    pub const PROTOCOL: u16 = 1002;
    /// What the publisher sent is not FLV, or a decoder configuration is damaged.
    pub const INVALID: u16 = 1007;
    /// A message is longer than allowed.
    pub const TOO_BIG: u16 = 1009;
    /// An error of ours.
    pub const FAILED: u16 = 1011;
    /// Too many streams or viewers; try again later.
    pub const AGAIN: u16 = 1013;
    /// The operator cut the stream.
    pub const CUT: u16 = 4403;
    /// No stream came in the time that a viewer waits.
    pub const NOT_FOUND: u16 = 4404;
    /// The publisher sent nothing, or the viewer took nothing, for too long.
    pub const TIMEOUT: u16 = 4408;
    /// Another publisher has the name, or has taken it.
    pub const CONFLICT: u16 = 4409;
    /// The publisher left and did not come back, or its site no longer offers the stream.
    pub const GONE: u16 = 4410;
    /// The container cannot carry the stream's codec, or we carry none of the publisher's.
    pub const UNSUPPORTED: u16 = 4415;
}

/// The status for a stream that ended before its first byte.
const fn ended_status(reason: Reason) -> StatusCode {
    match reason {
        Reason::Cut => StatusCode::FORBIDDEN,
        Reason::Replaced => StatusCode::CONFLICT,
        Reason::TooManyViewers => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::NOT_FOUND,
    }
}

/// The close code for a stream that ended.
#[must_use]
pub(crate) const fn ended_code(reason: Reason) -> u16 {
    match reason {
        Reason::Finished => close::NORMAL,
        Reason::Cut => close::CUT,
        Reason::Replaced => close::CONFLICT,
        Reason::TooManyViewers => close::AGAIN,
        _ => close::GONE,
    }
}
