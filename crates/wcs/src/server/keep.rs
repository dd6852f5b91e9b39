//! A session that outlives its socket: what a client asks for by `keepAlive` and comes back to by `authToken`.

use std::time::Instant;

use serde_json::{Map, Value};

use super::stream::Phase;
use super::{Action, Session, State};
use crate::message::ServerMessage;

impl Session {
    /// The name that a client who asks for it is told, to come back by. Whoever knows it is taken for that client.
    pub fn keep_as(&mut self, token: String) {
        self.resume = token;
    }

    /// The name by which the client may come back; none where it has not asked for that.
    #[must_use]
    pub fn kept(&self) -> Option<&str> {
        self.kept.then_some(self.resume.as_str())
    }

    /// Notes what the client wants to be kept. Whether it has come back by a name: [`Action::Resume`] asks whose it is.
    pub(super) fn returns(&mut self, now: Instant, fields: &Map<String, Value>) -> bool {
        let wants = fields.get("keepAlive").and_then(Value::as_bool).unwrap_or_default();
        self.kept = wants && !self.config.keep.is_zero() && !self.resume.is_empty();
        let token = fields.get("authToken").and_then(Value::as_str).filter(|_| self.kept);
        let Some(token) = token.map(str::to_owned) else { return false };
        self.state = State::Asking { deadline: now + self.config.answer };
        self.actions.push_back(Action::Resume { token, fields: fields.clone() });
        true
    }

    /// The name that the client came with is nobody's: its session begins as any.
    pub fn handle_unknown(&mut self, now: Instant, fields: Map<String, Value>) {
        if matches!(self.state, State::Asking { .. }) {
            self.begin(now, fields);
        }
    }

    /// The socket is lost. Whether the session waits for another, as one does whose streams go on.
    pub fn handle_lost(&mut self, now: Instant) -> bool {
        let waits = self.kept && self.streams().next().is_some();
        if waits {
            self.state = State::Lost { deadline: now + self.config.keep };
            self.settle(now);
            self.texts.clear();
        }
        waits
    }

    /// The client has come back on another socket, with these fields.
    pub fn handle_return(&mut self, now: Instant, fields: Map<String, Value>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.texts.clear();
        self.welcome(now, fields);
        let up = self.streams.iter().filter(|(_, stream)| stream.phase == Phase::Up);
        let told: Vec<_> = up.map(|(id, stream)| stream.status(id.clone(), stream.role.up(), None)).collect();
        for status in told {
            self.texts.push_back(ServerMessage::Status(status).encode());
        }
    }

    /// Whether the session waits for a socket and has nothing left that is worth it.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        matches!(self.state, State::Lost { .. }) && self.streams().next().is_none()
    }
}
