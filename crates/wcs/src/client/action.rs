//! What a session is for, wants done, and comes to.

use serde_json::Value;

#[cfg(doc)]
use super::{Config, Session};
use crate::message::{Role, Status};

/// What is asked of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whether the stream is sent or received.
    pub role: Role,
    /// The stream's name there.
    pub name: String,
    /// Our identification of it there.
    pub media_session_id: String,
    /// The name of the application there; `defaultApp` where nobody knows better.
    pub app_key: String,
}

/// What the owner of a session is to do, or hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Make an offer: [`Session::handle_offer`] or [`Session::handle_media_end`] follows.
    Offer,
    /// Take the answer to it.
    Accept(String),
    /// The stream is up.
    Up,
    /// Tell the players of our copy something, as its publisher at the server does.
    Tell {
        /// What kind of event.
        kind: String,
        /// What comes along.
        payload: Option<Value>,
    },
    /// The stream is over and the socket is to be closed; nothing follows.
    Ended(Ended),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// We stopped it.
    #[error("stopped")]
    Stopped,
    /// The server says so, in its own words.
    #[error("the server says {}{}", .status.name(), .info.as_ref().map(|info| format!(": {info}")).unwrap_or_default())]
    Server {
        /// The status.
        status: Status,
        /// The server's reason.
        info: Option<String>,
    },
    /// The server has not answered in time.
    #[error("the server has not answered {what} in time")]
    Timeout {
        /// The message that waits for an answer.
        what: &'static str,
    },
    /// The server was silent for longer than [`Config::silence`].
    #[error("the server has fallen silent")]
    Silence,
    /// The server sends more than [`Config::rate`].
    #[error("the server sends too much")]
    Flood,
    /// The server closed the socket, or it broke.
    #[error("the connection has ended")]
    Closed,
    /// Our own media has ended, or could not begin.
    #[error("{0}")]
    Media(&'static str),
}

/// What our offer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    /// Pictures.
    pub video: bool,
    /// Sound.
    pub audio: bool,
}
