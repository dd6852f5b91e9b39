//! What a session wants done, and hears of it.

use serde_json::{Map, Value};

#[cfg(doc)]
use super::Session;
use crate::message::{Role, StreamStatus};

/// What the owner of a session is to do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Say whether the client may come in: [`Session::handle_admission`] follows. Only where the configuration says
    /// `reports`.
    Admit {
        /// What it said of itself.
        fields: Map<String, Value>,
    },
    /// Give the socket to the session of this name: [`Session::handle_return`] of that one, or
    /// [`Session::handle_unknown`] of this where there is none.
    Resume {
        /// The name.
        token: String,
        /// What the client said of itself.
        fields: Map<String, Value>,
    },
    /// Drop the socket; the session goes on, and waits for another.
    Leave,
    /// Answer an offer; [`Session::handle_answer`] or [`Session::handle_end`] follows.
    Answer {
        /// The stream within the session.
        id: String,
        /// What the client wants.
        role: Role,
        /// The stream's name.
        name: String,
        /// Its description.
        offer: String,
        /// What the page gives for the application.
        custom: Option<Value>,
    },
    /// Take data for the application: [`Session::handle_data`] follows.
    Data {
        /// Names the operation.
        operation_id: String,
        /// What the page sends.
        payload: Option<Value>,
    },
    /// Tell the application how a stream stands. Only where the configuration says `reports`.
    Report(StreamStatus),
    /// End a stream's media.
    Release {
        /// The stream within the session.
        id: String,
        /// What the client wanted.
        role: Role,
        /// Its name.
        name: String,
        /// Whether the name was its own; before an offer is answered it may be another's.
        held: bool,
        /// Why, as its players hear it when it was published.
        info: &'static str,
    },
    /// Say whether somebody publishes a name: [`Session::handle_availability`] follows.
    Find {
        /// Names the question.
        id: String,
        /// The stream's name.
        name: String,
    },
    /// Tell the players of a name something: [`Session::handle_event`] of their sessions.
    Tell {
        /// The stream's name.
        name: String,
        /// What kind of event.
        kind: String,
        /// What comes along.
        payload: Option<Value>,
    },
    /// Republish a stream that is up by RTMP, as long as it is.
    Republish {
        /// The stream's name.
        name: String,
        /// Where to, as the client says.
        url: String,
    },
    /// Close the socket; nothing follows.
    Close(&'static str),
}

/// Why a stream's media has ended, or never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Whether that is in order; else the stream has failed.
    pub in_order: bool,
    /// What the client is told, of [`crate::info`].
    pub info: &'static str,
}
