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
    /// A publisher's media has ended in order, and its name is free. Why is not known yet: [`Session::handle_parting`] of
    /// its players' sessions, for which [`Action::Release`] follows.
    Part {
        /// The stream's name.
        name: String,
    },
    /// End a stream's media, if it has not ended by itself.
    Release {
        /// The stream within the session.
        id: String,
        /// What the client wanted.
        role: Role,
        /// Its name.
        name: String,
        /// Why.
        info: &'static str,
        /// Who else hears of it.
        players: Players,
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

/// Who hears that a stream has ended, and why in their words: [`Session::handle_publisher_end`] of their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Players {
    /// Nobody: it was a player, or the name may be another's.
    None,
    /// All players of its name.
    All(&'static str),
    /// Those who wait since [`Action::Part`].
    Waiting(&'static str),
}

/// Why a stream's media has ended, or never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Whether that is in order; else the stream has failed.
    pub in_order: bool,
    /// What the client is told, of [`crate::info`].
    pub info: &'static str,
}
