//! A client's session on its socket.

mod application;
mod leg;
mod peer;
mod streams;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sluicegate_net::ws::{Accepted, WebSocket};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use self::leg::{Heard, Leg};
pub(crate) use self::peer::{Peer, Takeover};
use self::wire::{close, receive, send, sleep_until};
use crate::hooks;
use crate::info;
use crate::message;
use crate::registry::Command;
use crate::server::{Action, Session};
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
            let mut lost = self.speak(socket).await.err();
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
                    if let Some(over) = self.obey(command) {
                        return over;
                    }
                }
                Some((id, number, heard)) = hearing.recv() => {
                    if matches!(heard, Heard::Ended(_))
                        && let Some(over) = self.prepare_end(&id, &mut commands)
                    {
                        return over;
                    }
                    self.hear(&id, number, heard);
                }
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

    /// Tells the client what there is to tell; without a socket nobody hears it.
    ///
    /// # Errors
    /// Why the socket is lost.
    async fn speak(&mut self, socket: &mut Option<WebSocket>) -> Result<(), &'static str> {
        while let Some(text) = self.session.poll_text() {
            self.follow("to", &text);
            if let Some(websocket) = socket
                && !send(websocket, Message::text(text)).await
            {
                return Err("it takes nothing");
            }
        }
        Ok(())
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

    /// Does what others want. Returns what becomes of the socket when that is its end.
    fn obey(&mut self, command: Command) -> Option<Over> {
        match command {
            Command::Event { name, kind, payload } => self.session.handle_event(&name, &kind, payload.as_ref()),
            Command::PublisherParts { name } => self.session.handle_parting(&name),
            Command::PublisherEnd { name, info, waiting } => {
                self.session.handle_publisher_end(Instant::now(), &name, info, waiting);
            }
            Command::Terminate { id } => self.session.handle_termination(Instant::now(), &id),
            Command::Follow(followed) => self.followed = followed,
            Command::Disconnect => return Some(Over::Closed("the REST interface ends it")),
        }
        None
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
                Action::Part { name } => {
                    self.inner.registry.unpublished(&name);
                    self.inner.registry.part_players(&name);
                }
                Action::Release { id, role, name, info, players } => self.release(&id, role, &name, info, players),
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
}
