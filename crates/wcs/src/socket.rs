//! A client's session on its socket.

mod application;
mod leg;
mod peer;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sluicegate_hub::StreamName;
use sluicegate_net::ws::{Accepted, WebSocket};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use self::leg::{Heard, Leg};
pub(crate) use self::peer::{Peer, Takeover};
use self::wire::{close, receive, send, sleep_until};
use crate::hooks;
use crate::info;
use crate::media::{Answer, MediaFuture};
use crate::message::{self, Role};
use crate::registry::Command;
use crate::server::{Action, End, Session};
use crate::service::{Inner, Permissions};

/// How long an upgrade may take from our 101 to the socket.
const UPGRADE: Duration = Duration::from_secs(10);
/// Why sessions end with the program.
const ENDS: &str = "the server ends";
/// Letters of a message's name in the log; clients make names up.
const MAX_SHOWN: usize = 64;
/// Events of a session's streams that wait for it.
const EVENTS: usize = 64;

/// What becomes of a socket.
enum Over {
    /// It is closed, for this reason.
    Closed(&'static str),
    /// It goes to the session that the client had before.
    Handed(mpsc::Sender<Takeover>, Map<String, Value>),
}

/// A session with all that belongs to it.
struct Link {
    inner: Arc<Inner>,
    key: u64,
    peer: Peer,
    permissions: Permissions,
    session: Session,
    legs: HashMap<String, Leg>,
    legs_made: u64,
    heard: mpsc::Sender<(String, u64, Heard)>,
    /// For others, where the client comes back.
    returning: mpsc::Sender<Takeover>,
    /// The socket is to be dropped.
    leaves: bool,
    /// Whether the log names each message.
    followed: bool,
}

/// Serves a client until one of the two ends it.
pub(crate) async fn serve(inner: Arc<Inner>, accepted: Accepted, peer: Peer, permissions: Permissions) {
    let _guard = inner.parts.shutdown.guard();
    let mut websocket = match tokio::time::timeout(UPGRADE, accepted.websocket()).await {
        Ok(Ok(websocket)) => websocket,
        Ok(Err(error)) => return tracing::debug!(%error, "a client left during its upgrade"),
        Err(_) => return tracing::debug!("a client's upgrade took too long"),
    };
    let token = peer.token();
    let Some((key, commands)) = inner.registry.join(&token, peer.address, inner.config.clients) else {
        return close(&mut websocket, 1013, "there are too many clients").await;
    };
    tracing::debug!(session = token, "a WCS client connects");
    let mut session = Session::new(inner.config.session.clone(), token.clone(), Instant::now());
    session.keep_as(format!("{token}/{}", uuid::Uuid::new_v4().simple()));
    let ((heard, hearing), (returning, returns)) = (mpsc::channel(EVENTS), mpsc::channel(1));
    let legs = HashMap::new();
    let mut link = Link {
        inner,
        key,
        peer,
        permissions,
        session,
        legs,
        legs_made: 0,
        heard,
        returning,
        leaves: false,
        followed: false,
    };
    let mut socket = Some(websocket);
    let over = link.run(&mut socket, commands, hearing, returns).await;
    link.session.handle_closed();
    link.act();
    let why = match &over {
        Over::Closed(why) => {
            link.tell_connection("DISCONNECTED");
            why
        }
        Over::Handed(..) => "it goes on with its session",
    };
    link.inner.registry.leave(key);
    tracing::debug!(session = token, why, "a WCS client is gone");
    match (over, socket) {
        (Over::Closed(why), Some(mut websocket)) => {
            close(&mut websocket, if why == ENDS { 1001 } else { 1000 }, why).await;
        }
        (Over::Handed(to, fields), Some(websocket)) => {
            let Link { peer, permissions, .. } = link;
            // A session that ends just now takes nobody: the client comes again.
            drop(to.try_send(Takeover { websocket, peer, permissions, fields }));
        }
        (_, None) => {}
    }
}

impl Link {
    /// Runs until the session is over, or another has its socket.
    async fn run(
        &mut self,
        socket: &mut Option<WebSocket>,
        mut commands: mpsc::Receiver<Command>,
        mut hearing: mpsc::Receiver<(String, u64, Heard)>,
        mut returns: mpsc::Receiver<Takeover>,
    ) -> Over {
        let shutdown = self.inner.parts.shutdown.clone();
        loop {
            let over = self.act();
            if self.leaves {
                (*socket, self.leaves) = (None, false);
            }
            // What a session has is in the lists before the client hears of it.
            self.inner.registry.update(self.key, self.session.client(), self.session.streams());
            if let Some(name) = self.session.kept() {
                self.inner.registry.keep(self.key, name, &self.returning);
            }
            let mut lost = None;
            while let Some(text) = self.session.poll_text() {
                self.follow("to", &text);
                // Without a socket nobody hears it.
                if let Some(websocket) = socket
                    && !send(websocket, Message::text(text)).await
                {
                    lost = Some("it takes nothing");
                    break;
                }
            }
            if let Some(over) = over {
                return over;
            }
            if self.session.is_deserted() {
                return Over::Closed(info::KEEP_ALIVE);
            }
            let due = self.session.poll_timeout().map(tokio::time::Instant::from_std);
            tokio::select! {
                message = receive(socket), if lost.is_none() => match message {
                    Some(Ok(Message::Text(text))) => self.text(text.as_str()),
                    Some(Ok(Message::Close(_))) | None => lost = Some("it left"),
                    Some(Ok(_)) => {}
                    Some(Err(_)) => lost = Some("its connection failed"),
                },
                Some(Takeover { websocket, peer, permissions, fields }) = returns.recv() => {
                    tracing::debug!(session = self.peer.token(), from = peer.token(), "a WCS client is back");
                    (*socket, self.peer.address, self.permissions) = (Some(websocket), peer.address, permissions);
                    self.session.handle_return(Instant::now(), fields);
                    continue;
                }
                () = std::future::ready(()), if lost.is_some() => {}
                Some(command) = commands.recv() => {
                    if let Command::Disconnect = command {
                        return Over::Closed("the REST interface ends it");
                    }
                    self.obey(command);
                }
                Some((id, number, heard)) = hearing.recv() => self.hear(&id, number, heard),
                () = sleep_until(due) => self.session.handle_timeout(Instant::now()),
                () = shutdown.begun() => return Over::Closed(ENDS),
            }
            if let Some(why) = lost {
                *socket = None;
                if !self.session.handle_lost(Instant::now()) {
                    return Over::Closed(why);
                }
            }
        }
    }

    /// Names a message in the log where the REST interface asks for that; what is in it may be secret.
    fn follow(&self, direction: &'static str, text: &str) {
        if self.followed {
            let name = message::name(text).unwrap_or_else(|| "unreadable".to_owned());
            let name: String = name.chars().take(MAX_SHOWN).collect();
            tracing::info!(session = self.peer.token(), direction, name, "a message of a client that is followed");
        }
    }

    fn text(&mut self, text: &str) {
        self.follow("from", text);
        if let Err(error) = self.session.handle_text(Instant::now(), text) {
            crate::metrics::unreadable();
            tracing::debug!(error = &error as &dyn std::error::Error, "a client's text is skipped");
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Event { name, kind, payload } => self.session.handle_event(&name, &kind, payload.as_ref()),
            Command::PublisherEnd { name, info } => self.session.handle_publisher_end(Instant::now(), &name, info),
            Command::Terminate { id } => self.session.handle_termination(Instant::now(), &id),
            Command::Follow(followed) => self.followed = followed,
            Command::Disconnect => {}
        }
    }

    /// Takes what happened to a stream's media, unless the stream is not the one any more.
    fn hear(&mut self, id: &str, number: u64, heard: Heard) {
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
                let stream = self.session.streams().find(|(known, _)| *known == id);
                let muted = stream.map(|(_, stream)| self.inner.registry.muted(&stream.name));
                self.session.handle_muted(id, muted.unwrap_or_default());
                self.session.handle_connected(id);
            }
            Heard::Ended(failure) => {
                tracing::info!(stream = id, why = failure.detail, info = failure.end.info, "a WCS stream ended");
                if !failure.end.in_order {
                    crate::metrics::failure(failure.end.info);
                }
                self.legs.remove(id);
                let stream = self.session.streams().find(|(known, _)| *known == id);
                let held = stream.filter(|(_, stream)| stream.holds_its_name());
                let name = held.map(|(_, stream)| stream.name.clone());
                self.session.handle_end(id, &failure.end);
                name.into_iter().for_each(|name| self.publisher_ended(&name, info::STOPPED_BY_PUBLISHER));
            }
            Heard::Admitted(_) | Heard::Taken(_) => {}
        }
    }

    fn publisher_ended(&self, name: &str, info: &'static str) {
        self.inner.registry.unpublished(name);
        self.inner.registry.end_players(name, info);
    }

    /// Does what the session wants done. Returns what becomes of its socket, when it is over.
    fn act(&mut self) -> Option<Over> {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Admit { mut fields } => {
                    fields.retain(|key, _| !matches!(key.as_str(), "authToken" | "sipPassword"));
                    self.ask(hooks::CONNECT, fields.into(), String::new(), Heard::Admitted);
                }
                Action::Data { operation_id, payload } => {
                    let data = json!({ "operationId": operation_id, "payload": payload });
                    self.ask(hooks::SEND_DATA, data, operation_id, |said| Heard::Taken(said.is_some()));
                }
                Action::Report(status) => {
                    self.tell(hooks::STREAM_STATUS, serde_json::to_value(&status).unwrap_or_default());
                }
                Action::Answer { id, role, name, offer, custom } => {
                    self.answer(&id, role, &name, offer, custom.as_ref())
                }
                Action::Release { id, role: Role::Publish, name, held, info } => {
                    let about = json!({ "mediaSessionId": id, "name": name, "published": true, "info": info });
                    self.tell(hooks::UNPUBLISH, about);
                    if held {
                        self.publisher_ended(&name, info);
                    }
                    // Its end is still heard: only then the publisher is told.
                    self.legs.get(&id).iter().for_each(|leg| leg.stop.cancel());
                }
                Action::Release { id, name, info, .. } => {
                    let about = json!({ "mediaSessionId": id, "name": name, "published": false, "info": info });
                    self.tell(hooks::STOP, about);
                    self.legs.remove(&id);
                }
                Action::Find { id, name } => {
                    let available = application::named(&self.inner, &name)
                        .is_some_and(|name| application::is_available(&self.inner.parts.hub, &name));
                    self.session.handle_availability(id, available);
                }
                Action::Tell { name, kind, payload } => {
                    self.inner.registry.tell(&name, &kind, payload.as_ref());
                }
                Action::Republish { name, url } => application::republish(&self.inner, &name, &url),
                Action::Resume { token, fields } => match self.inner.registry.kept(&token) {
                    Some(to) => return Some(Over::Handed(to, fields)),
                    None => self.session.handle_unknown(Instant::now(), fields),
                },
                Action::Leave => self.leaves = true,
                Action::Close(why) => return Some(Over::Closed(why)),
            }
        }
        None
    }

    fn answer(&mut self, id: &str, role: Role, name: &str, offer: String, custom: Option<&Value>) {
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
                return self.session.handle_end(id, &End { in_order: false, info });
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
