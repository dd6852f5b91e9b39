//! The beginning of a session: who the client is, and whether the application takes it.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{Action, Session, State};
use crate::message::ServerMessage;

impl Session {
    pub(super) fn connected(&mut self, now: Instant, fields: Map<String, Value>) {
        if matches!(self.state, State::New { .. }) && !self.returns(now, &fields) {
            self.begin(now, fields);
        }
    }

    pub(super) fn begin(&mut self, now: Instant, fields: Map<String, Value>) {
        if self.config.reports {
            self.state = State::Asking { deadline: now + self.config.answer };
            self.actions.push_back(Action::Admit { fields: fields.clone() });
            self.greeting = fields;
        } else {
            self.welcome(now, fields);
        }
    }

    /// Whether the application takes the client, and which fields it adds or changes.
    pub fn handle_admission(&mut self, now: Instant, admitted: Option<Map<String, Value>>) {
        if !matches!(self.state, State::Asking { .. }) {
            return;
        }
        match admitted {
            Some(changes) => {
                let mut fields = std::mem::take(&mut self.greeting);
                fields.extend(changes);
                self.welcome(now, fields);
            }
            None => self.close("the application refuses it"),
        }
    }

    pub(super) fn welcome(&mut self, now: Instant, fields: Map<String, Value>) {
        self.state = State::Established { ping: now + self.config.ping, missed: 0 };
        let mut answer = fields.clone();
        self.client = fields;
        // The rest is for the server's application, and may be a secret.
        self.client.retain(|key, _| matches!(key.as_str(), "appKey" | "clientVersion" | "mediaProviders"));
        let ours = json!({
            "status": "ESTABLISHED",
            "authToken": self.kept().unwrap_or(&self.token),
            "useWsTunnel": false,
            "useWsTunnelPacketization2": false,
            "useBase64BinaryEncoding": false,
        });
        answer.extend(ours.as_object().cloned().unwrap_or_default());
        self.send(&ServerMessage::UserData(answer));
    }
}
