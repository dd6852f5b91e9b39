//! The streams of a session: their offers, their media, their ends.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sluicegate_hub::StreamName;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::leg::{self, Heard, Leg};
use super::{Link, Over, application};
use crate::media::{Answer, MediaFuture};
use crate::message::Role;
use crate::registry::Command;
use crate::server::{End, Players, Stream};
use crate::{hooks, info};

impl Link {
    pub(super) fn stream(&self, id: &str) -> Option<&Stream> {
        self.session.streams().find(|(known, _)| *known == id).map(|(_, stream)| stream)
    }

    /// A stream's media has ended: notes whether a client of this server publishes what it plays. A publisher that is not
    /// listed any more has said before that it ends, and perhaps why, so that what others said is heard first. Returns what
    /// becomes of the socket when that is its end.
    pub(super) fn prepare_end(&mut self, id: &str, commands: &mut mpsc::Receiver<Command>) -> Option<Over> {
        let played = self.stream(id).filter(|stream| stream.role == Role::Play);
        if played.is_some_and(|stream| self.inner.registry.has_publisher(&stream.name)) {
            self.session.handle_published_here(id);
        }
        while let Ok(command) = commands.try_recv() {
            if let Some(over) = self.obey(command) {
                return Some(over);
            }
        }
        None
    }

    /// Takes what happened to a stream's media, unless the stream is not the one any more.
    pub(super) fn hear(&mut self, id: &str, number: u64, heard: Heard) {
        let heard = match heard {
            Heard::Admitted(admitted) => {
                let is_in = admitted.is_some();
                self.session.handle_admission(Instant::now(), admitted);
                if is_in {
                    self.tell_connection("ESTABLISHED");
                }
                return;
            }
            Heard::Taken(taken) => return self.session.handle_data(id.to_owned(), taken),
            of_a_stream => of_a_stream,
        };
        if self.legs.get(id).is_none_or(|leg| leg.number != number) {
            return;
        }
        match heard {
            Heard::Named(name) => self.session.handle_name(id, name),
            Heard::Answered(sdp) => self.session.handle_answer(Instant::now(), id, sdp),
            Heard::Connected => {
                let muted = self.stream(id).map(|stream| self.inner.registry.muted(&stream.name));
                self.session.handle_muted(id, muted.unwrap_or_default());
                self.session.handle_connected(id);
            }
            Heard::Ended(failure) => {
                tracing::info!(stream = id, why = failure.detail, info = failure.end.info, "a WCS stream ended");
                if !failure.end.in_order {
                    crate::metrics::failure(failure.end.info);
                }
                self.legs.remove(id);
                self.session.handle_end(Instant::now(), id, &failure.end);
            }
            Heard::Admitted(_) | Heard::Taken(_) => {}
        }
    }

    pub(super) fn release(&mut self, id: &str, role: Role, name: &str, info: &'static str, players: Players) {
        let published = role == Role::Publish;
        let about = json!({ "mediaSessionId": id, "name": name, "published": published, "info": info });
        self.tell(if published { hooks::UNPUBLISH } else { hooks::STOP }, about);
        match players {
            Players::None => {}
            Players::All(info) => {
                self.inner.registry.unpublished(name);
                self.inner.registry.end_players(name, info, false);
            }
            Players::Waiting(info) => self.inner.registry.end_players(name, info, true),
        }
        if published {
            // Its end is still heard: only then the publisher is told.
            self.legs.get(id).iter().for_each(|leg| leg.stop.cancel());
        } else {
            self.legs.remove(id);
        }
    }

    pub(super) fn answer(&mut self, id: &str, role: Role, name: &str, offer: String, custom: Option<&Value>) {
        let allowed = match role {
            Role::Publish => self.permissions.publish,
            Role::Play => self.permissions.play,
        };
        crate::metrics::stream(if role == Role::Publish { "publish" } else { "play" });
        let stream = match role {
            Role::Publish => StreamName::parse(name).ok(),
            Role::Play => application::named(&self.inner, name),
        };
        let refusal = match (&stream, role) {
            _ if !allowed || !self.may_republish(id) => Some(info::RESTRICTED),
            _ if self.inner.registry.is_taken(self.key, id) => Some(info::SESSION_ID_IN_USE),
            (None, Role::Publish) => Some(info::FAILED),
            (None, Role::Play) => Some(info::STREAM_NOT_FOUND),
            (Some(name), Role::Play)
                if self.inner.hooks.is_none() && !application::is_available(&self.inner.parts.hub, name) =>
            {
                Some(info::STREAM_NOT_FOUND)
            }
            _ => None,
        };
        let stream = match (refusal, stream) {
            (None, Some(stream)) => stream,
            (refusal, _) => {
                let info = refusal.unwrap_or(info::FAILED);
                crate::metrics::failure(info);
                return self.session.handle_end(Instant::now(), id, &End { in_order: false, info });
            }
        };
        self.session.handle_name(id, stream.to_string());
        self.legs_made += 1;
        let (number, stop) = (self.legs_made, CancellationToken::new());
        let (heard, key) = (self.heard.clone(), id.to_owned());
        let tell = async move |what| drop(heard.send((key.clone(), number, what)).await);
        let (media, address) = (Arc::clone(&self.inner.parts.media), self.peer.address);
        let answering: MediaFuture<Answer> = match &self.inner.hooks {
            None => media.answer(role, stream, offer, address),
            Some(hooks) => {
                let body = self.wish(hooks, id, &offer, custom);
                let (hooks, hub, tell) = (Arc::clone(hooks), self.inner.parts.hub.clone(), tell.clone());
                Box::pin(async move {
                    let stream = application::allowed_name(&hooks, &hub, role, stream, &body).await?;
                    tell(Heard::Named(stream.to_string())).await;
                    media.answer(role, stream, offer, address).await
                })
            }
        };
        tokio::spawn(leg::live(answering, stop.clone(), tell));
        self.legs.insert(id.to_owned(), Leg { number, stop });
    }
}
