//! How streams end: from this side, by their media, by their socket; and who is told why.
//!
//! A page that leaves ends its media and its socket at nearly the same time, and each goes its own way: whichever is heard
//! first, the text that players hear is the socket's. So a publisher's goodbye is kept for [`Config::parting`] unless the
//! socket says something sooner; [`Action::Part`] tells its players' sessions to wait for that too, since their media ends
//! by then. The name itself is free at once.

use std::time::Instant;

#[cfg(doc)]
use super::Config;
use super::stream::Phase;
use super::{Action, End, Session, State};
use crate::info;
use crate::message::{Role, ServerMessage, Status};

impl Session {
    /// Ends a stream from this side. A player is told at once, a publisher when its media has ended.
    pub(super) fn release(&mut self, now: Instant, id: &str, status: Status, info: &'static str) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.is_ending()) else { return };
        let (role, name, players) = (stream.role, stream.name.clone(), stream.players(info));
        self.actions.push_back(Action::Release { id: id.to_owned(), role, name, info, players });
        let told = (role == Role::Play || info != info::STOPPED_BY_PUBLISHER).then_some(info);
        if role == Role::Publish && !stream.is_parting() {
            stream.phase = Phase::Ending { deadline: now + self.config.ending, status, info: told };
        } else {
            self.tell_end(id, status, told);
        }
    }

    /// A stream's media has ended, or could not begin.
    pub fn handle_end(&mut self, now: Instant, id: &str, end: &End) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let goodbye = end.in_order && end.info == info::STOPPED_BY_USER;
        let of_its_stream = end.in_order && [info::STOPPED_BY_PUBLISHER, info::STOPPED_BY_SESSION].contains(&end.info);
        match (stream.phase, stream.role) {
            (Phase::Parting { .. }, _) => {}
            (Phase::Ending { status, info, .. }, _) => self.tell_end(id, status, info),
            (_, Role::Publish) if goodbye && stream.holds_its_name() => self.part(now, id),
            (_, Role::Play) if of_its_stream && stream.waits => {
                // The publisher's session decides first: this is for one that never does.
                stream.phase = Phase::Parting { deadline: now + 2 * self.config.parting };
            }
            (phase, role) => {
                if matches!(phase, Phase::Connecting { .. } | Phase::Up) {
                    let players = stream.players(if end.in_order { end.info } else { info::STOPPED_BY_PUBLISHER });
                    let (id, name) = (id.to_owned(), stream.name.clone());
                    self.actions.push_back(Action::Release { id, role, name, info: end.info, players });
                }
                match (end.in_order, role) {
                    (true, Role::Publish) if goodbye => self.tell_end(id, Status::Unpublished, None),
                    (true, _) => self.tell_end(id, role.down(), Some(end.info)),
                    (false, _) => self.tell_end(id, Status::Failed, Some(end.info)),
                }
            }
        }
    }

    /// A publisher has said goodbye by its media.
    fn part(&mut self, now: Instant, id: &str) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.phase = Phase::Parting { deadline: now + self.config.parting };
        self.actions.push_back(Action::Part { name: stream.name.clone() });
        if matches!(self.state, State::Lost { .. }) {
            // Its socket has said all that it will.
            self.release(now, id, Status::Unpublished, info::STOPPED_BY_SESSION);
        }
    }

    /// A stream is over, and its client hears so.
    fn tell_end(&mut self, id: &str, status: Status, info: Option<&str>) {
        if let Some(stream) = self.streams.remove(id) {
            self.send(&ServerMessage::Status(stream.status(id.to_owned(), status, info)));
        }
    }

    /// The publisher of `name` is a client of this server and about to say why it ends: players whose media ends wait for
    /// [`handle_publisher_end`](Self::handle_publisher_end).
    pub fn handle_parting(&mut self, name: &str) {
        let players = self.streams.values_mut().filter(|stream| stream.plays(name));
        players.for_each(|stream| stream.waits = true);
    }

    /// The publisher of the stream that a player has is a client of this server: as
    /// [`handle_parting`](Self::handle_parting), for this player alone.
    pub fn handle_published_here(&mut self, id: &str) {
        self.streams.get_mut(id).into_iter().for_each(|stream| stream.waits = true);
    }

    /// The publisher of `name` has ended, and so do its players; `waiting` only those that wait for it, since others play
    /// what somebody else publishes by now.
    pub fn handle_publisher_end(&mut self, now: Instant, name: &str, info: &'static str, waiting: bool) {
        let ids = self.ids(|stream| stream.plays(name) && (stream.waits || !waiting));
        ids.iter().for_each(|id| self.release(now, id, Status::Stopped, info));
    }

    /// What a stream that is late becomes.
    pub(super) fn expire(&mut self, now: Instant, id: &str) {
        let Some(stream) = self.streams.get(id) else { return };
        match (stream.phase, stream.role) {
            (Phase::Ending { status, info, .. }, _) => self.tell_end(id, status, info),
            (Phase::Parting { .. }, role) => self.release(now, id, role.down(), info::STOPPED_BY_PUBLISHER),
            (Phase::Connecting { .. }, _) => self.release(now, id, Status::Failed, info::FAILED_BY_ICE_TIMEOUT),
            (Phase::Answering { .. } | Phase::Up, _) => self.release(now, id, Status::Failed, info::FAILED),
        }
    }

    /// The socket is lost and the session goes on: what publishers that have said goodbye waited for.
    pub(super) fn settle(&mut self, now: Instant) {
        let parting = self.ids(|stream| stream.role == Role::Publish && stream.is_parting());
        parting.iter().for_each(|id| self.release(now, id, Status::Unpublished, info::STOPPED_BY_SESSION));
    }

    /// The socket is closed; streams of the session end with it.
    pub fn handle_closed(&mut self) {
        self.state = State::Closed;
        self.texts.clear();
        for (id, stream) in std::mem::take(&mut self.streams).into_iter().filter(|(_, stream)| !stream.is_ending()) {
            let info = info::STOPPED_BY_SESSION;
            let players = stream.players(info);
            self.actions.push_back(Action::Release { id, role: stream.role, name: stream.name, info, players });
        }
    }
}

#[cfg(test)]
mod tests;
