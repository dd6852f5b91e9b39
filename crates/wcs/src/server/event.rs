//! What publishers tell their players.

use serde_json::Value;

use super::stream::Phase;
use super::{Action, Session, Stream};
use crate::Muted;
use crate::message::{Role, ServerMessage};

impl Session {
    /// The client tells the players of its stream something.
    pub(super) fn told(&mut self, id: &str, kind: String, payload: Option<Value>) {
        let published = self.streams.get_mut(id).filter(|stream| stream.role == Role::Publish);
        let Some(stream) = published else { return };
        stream.muted.note(&kind);
        // Before its offer is answered the name may be somebody else's.
        if stream.holds_its_name() {
            self.actions.push_back(Action::Tell { name: stream.name.clone(), kind, payload });
        }
    }

    /// A publisher of `name` tells its players something.
    pub fn handle_event(&mut self, name: &str, kind: &str, payload: Option<&Value>) {
        let playing = |stream: &Stream| stream.role == Role::Play && stream.name == name && stream.phase == Phase::Up;
        for id in self.ids(playing) {
            self.streams.get_mut(&id).into_iter().for_each(|stream| stream.muted.note(kind));
            let (kind, payload) = (kind.to_owned(), payload.cloned());
            self.send(&ServerMessage::StreamEvent { media_session_id: id, kind, payload });
        }
    }

    /// What the publisher of a played stream has muted, before the client hears that it plays.
    pub fn handle_muted(&mut self, id: &str, muted: Muted) {
        if let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.role == Role::Play) {
            stream.muted = muted;
        }
    }
}
