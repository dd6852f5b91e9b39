//! What publishers tell their players, on its way through a relay.

use std::time::Instant;

use serde_json::Value;

use super::{Action, Session, State};
use crate::message::{ClientMessage, Role};
use crate::muted::is_of_publishers;

impl Session {
    /// The publisher of the stream that we copy tells its players something, and so those of the copy.
    pub fn handle_event(&mut self, now: Instant, kind: &str, payload: Option<Value>) {
        if self.wish.role != Role::Publish || self.state != State::Up {
            return;
        }
        let (media_session_id, kind) = (self.wish.media_session_id.clone(), kind.to_owned());
        let text = ClientMessage::StreamEvent { media_session_id, kind, payload }.encode();
        if text.len() <= self.config.event_bytes && self.events.take(now) {
            self.texts.push_back(text);
        }
    }

    /// The server tells us something as one of the stream's players.
    pub(super) fn heard_event(&mut self, kind: String, payload: Option<Value>) {
        if self.wish.role == Role::Play && is_of_publishers(&kind) {
            self.actions.push_back(Action::Tell { kind, payload });
        }
    }
}
