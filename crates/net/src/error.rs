//! What can go wrong on the network.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

/// A connection could not be made or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on; it is in use, or not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key cannot be used; the operator mends the file.
    #[error("{}: {what}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What the system or the TLS library said, where it said something.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// TLS cannot be set up with these settings.
    #[error("TLS settings")]
    Tls(#[source] rustls::Error),
    /// The URL's scheme, host or port cannot be dialled.
    #[error("{url} cannot be dialled: {what}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The other side cannot be reached, or its certificate is not trusted.
    #[error("cannot reach {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system or TLS said.
        source: io::Error,
    },
    /// The other side did not answer in time.
    #[error("{host} did not answer within {deadline:?}")]
    Timeout {
        /// Host and port.
        host: String,
        /// The time.
        deadline: Duration,
    },
    /// The other side answered an upgrade with something else.
    #[error("refused with {status}: {excerpt}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// The beginning of its answer's body, at most 512 bytes.
        excerpt: String,
    },
    /// The other side breaks the WebSocket protocol.
    #[error("WebSocket handshake with {host}")]
    WebSocket {
        /// Host and port.
        host: String,
        /// What the WebSocket library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The status with which the other side refused, if it did.
    #[must_use]
    pub fn refused(&self) -> Option<StatusCode> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }

    /// Whether the other side answers, but does not know what was dialled: 404, 405, or an upgrade without our
    /// subprotocol.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
        match self {
            Self::Refused { status, .. } => matches!(*status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
            Self::WebSocket { source, .. } => source.downcast_ref::<WsError>().is_some_and(|error| {
                matches!(error, WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)))
            }),
            _ => false,
        }
    }
}

/// An error with its causes, on one line: for logs, problem documents and close frames.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
