//! Why a pull, a push or a client's connection ends.

use std::time::Duration;

use crate::Violation;

/// A stream cannot be pulled, pushed or served, or not any longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no server; whoever gave it mends it.
    #[error("an RTSP URL must be rtsp://HOST/PATH, rtsps://HOST/PATH or rtsp+udp://HOST/PATH")]
    Url,
    /// The URL asks for TLS and for datagrams, which would be in the clear; whoever gave it asks for one of them.
    #[error("media by UDP are not encrypted; use rtsps://, where they come on the connection, or rtsp+udp://")]
    SecureDatagrams,
    /// What follows `#` is no fingerprint, or stands where there is no certificate; whoever gave the URL mends it.
    #[error(
        "behind # an rtsps:// URL may have sha256= and the 64 hexadecimal digits of the server's certificate, and no other URL"
    )]
    Fingerprint,
    /// The server's certificate is not trusted; the operator says so, or not.
    #[error(
        "{host} shows a certificate that is not trusted; if it is the server's own, put #sha256={shown} behind the URL, \
         or let this system trust its authority"
    )]
    Untrusted {
        /// Host and port.
        host: String,
        /// The certificate that it shows.
        shown: crate::Fingerprint,
        /// Why it is not trusted.
        source: Box<Self>,
    },
    /// The server shows another certificate than the URL has; the operator looks whether it was renewed.
    #[error("{host} shows another certificate than the URL tells; if it was renewed, it is #sha256={shown} now")]
    OtherCertificate {
        /// Host and port.
        host: String,
        /// The certificate that it shows.
        shown: crate::Fingerprint,
    },
    /// What answers is not TLS; whoever gave the URL asks without, or at another port.
    #[error("{host} does not speak TLS; use rtsp://, or the port where it does")]
    NotSecure {
        /// Host and port.
        host: String,
    },
    /// The server sends by UDP only, which would be in the clear; the operator asks for `rtsp+udp:`, or not.
    #[error("the server takes TLS for its commands only and sends media by UDP (461)")]
    DatagramsOnly,
    /// The server cannot be reached, refuses, or breaks the protocol.
    #[error("{doing}")]
    Protocol {
        /// What was under way.
        doing: &'static str,
        /// What went wrong, as the library tells it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server did not answer in time.
    #[error("{doing}: no answer within {after:?}")]
    Late {
        /// What was under way.
        doing: &'static str,
        /// The time allowed.
        after: Duration,
    },
    /// The library that pulls cannot go on with what the server said.
    #[error("the server says something that breaks the RTSP library")]
    Library,
    /// The server has neither pictures nor sound that can be carried.
    #[error("nothing in the stream can be carried; it has {found}")]
    Unusable {
        /// The encodings that it has.
        found: String,
    },
    /// The server sent nothing that can be used for too long.
    #[error("no frame came for {after:?}")]
    Silent {
        /// The time allowed.
        after: Duration,
    },
    /// The hub refuses the stream, or ended it.
    #[error(transparent)]
    Hub(#[from] sluicegate_hub::Error),
    /// A service parameter is out of range; the operator mends it.
    #[error("configuration: {fault}")]
    Config {
        /// Which field, and what it must be.
        fault: &'static str,
    },
    /// The port cannot be listened on.
    #[error(transparent)]
    Listen(sluicegate_net::Error),
    /// The server cannot be reached, or is not trusted.
    #[error("cannot connect")]
    Connect(#[source] sluicegate_net::Error),
    /// The other side breaks the protocol, is late, or refuses.
    #[error(transparent)]
    Wire(#[from] Violation),
    /// The credentials are missing or wrong.
    #[error("a valid token is needed, as the password of any user or as ?token=TOKEN")]
    Denied,
    /// The server wants credentials of a kind that we do not have.
    #[error("the server wants other credentials than the URL has")]
    Credentials,
    /// User and password of the URL are not those of the server; whoever gave the URL mends it.
    #[error("the server does not take the user and password of the URL (401 Unauthorized)")]
    Login,
    /// The tracks of the stream have become others than those that were described.
    #[error("the stream's tracks have changed")]
    Changed,
    /// The other side took nothing for too long; its connection ends.
    #[error("nothing could be sent for {after:?}")]
    Stalled {
        /// The time allowed.
        after: Duration,
    },
    /// The other side has hung up in the middle.
    #[error("the connection was closed")]
    Closed,
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The status that tells a client (RFC 2326 section 7.1.1).
    pub(crate) fn status(&self) -> u16 {
        use sluicegate_hub::{Ended, Error as Hub, Reason};
        match self {
            Self::Denied => 401,
            Self::Hub(Hub::Conflict { .. } | Hub::Reserved { .. }) => 403,
            Self::Hub(Hub::Ended(Ended { reason: Reason::TooManyViewers })) => 453,
            Self::Hub(Hub::Name { .. } | Hub::NotFound { .. } | Hub::Ended(_)) => 404,
            Self::Wire(Violation::Description) | Self::Unusable { .. } => 415,
            Self::Wire(_) => 400,
            _ => 503,
        }
    }

    /// Whether a server that we ask sends by another transport (RFC 2326 section 11.3.10).
    pub(crate) fn is_other_transport(&self) -> bool {
        let Self::Protocol { source, .. } = self else { return false };
        source.downcast_ref::<retina::Error>().and_then(retina::Error::status_code) == Some(461)
    }

    /// A word for counters.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => "silent",
            Self::Wire(Violation::Silent) | Self::Stalled { .. } | Self::Silent { .. } => "silent",
            Self::Wire(_) => "malformed",
            Self::Hub(_) | Self::Changed => "closed",
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
