//! The server's end of a session: what a page or another server says, and what it hears.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::{Map, Value};
use sluicegate_net::allowance::Allowance;

use crate::message::{ClientMessage, Role, ServerMessage, Status, StreamKey, StreamRequest};
use crate::{Error, info};

mod action;
mod admission;
mod config;
mod end;
mod event;
mod keep;
mod stream;

pub use action::{Action, End, Players};
pub use config::Config;
use stream::Phase;
pub use stream::Stream;

/// Bytes of a stream's name or identification, at most.
const MAX_NAME: usize = 512;

/// One client.
///
/// *Input*: [`handle_text`](Self::handle_text), what became of [`Action`]s, [`handle_timeout`](Self::handle_timeout),
/// and [`handle_closed`](Self::handle_closed) at the end.
/// *Output* after any input: [`poll_text`](Self::poll_text) and [`poll_action`](Self::poll_action) until they are
/// empty, then [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Session {
    config: Config,
    token: String,
    state: State,
    allowance: Allowance,
    streams: BTreeMap<String, Stream>,
    texts: VecDeque<String>,
    actions: VecDeque<Action>,
    /// What the client said of itself.
    client: Map<String, Value>,
    /// The same until it is taken.
    greeting: Map<String, Value>,
    /// Whether it outlives its socket, and the name to come back by.
    kept: bool,
    resume: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was heard yet.
    New {
        deadline: Instant,
    },
    /// The application is asked whether the client may come in.
    Asking {
        deadline: Instant,
    },
    Established {
        ping: Instant,
        missed: u32,
    },
    /// Its socket is lost, its streams go on.
    Lost {
        deadline: Instant,
    },
    Closed,
}

impl Session {
    /// A session whose socket has just opened. `token` names it in REST answers and as `authToken`.
    #[must_use]
    pub fn new(config: Config, token: String, now: Instant) -> Self {
        Self {
            state: State::New { deadline: now + config.connection },
            allowance: Allowance::new(now, config.burst, config.rate),
            config,
            token,
            streams: BTreeMap::new(),
            texts: VecDeque::new(),
            actions: VecDeque::new(),
            client: Map::new(),
            greeting: Map::new(),
            kept: false,
            resume: String::new(),
        }
    }

    /// The streams that are not about to end, as far as clients know, by identification.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &Stream)> {
        let live = self.streams.iter().filter(|(_, stream)| stream.is_listed());
        live.map(|(id, stream)| (id.as_str(), stream))
    }

    /// What the client said of itself in `connection`; empty before.
    #[must_use]
    pub fn client(&self) -> &Map<String, Value> {
        &self.client
    }

    /// Takes a message of the client.
    ///
    /// # Errors
    /// What is wrong with a text that is skipped.
    pub fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), Error> {
        if self.state == State::Closed {
            return Ok(());
        }
        if !self.allowance.take(now) {
            self.close("it sends too much");
            return Ok(());
        }
        if let State::Established { missed, .. } = &mut self.state {
            *missed = 0;
        }
        self.handle(now, ClientMessage::decode(text)?);
        Ok(())
    }

    fn handle(&mut self, now: Instant, message: ClientMessage) {
        match message {
            ClientMessage::Connection(fields) => self.connected(now, fields),
            ClientMessage::Publish(request) => self.requested(now, Role::Publish, &request),
            ClientMessage::Play(request) => self.requested(now, Role::Play, &request),
            ClientMessage::Unpublish(key) => self.stopped(now, Role::Publish, &key),
            ClientMessage::Stop(key) => self.stopped(now, Role::Play, &key),
            ClientMessage::Ping => self.send(&ServerMessage::Pong),
            ClientMessage::Available(key) if key.media_session_id.len().max(key.name.len()) <= MAX_NAME => {
                self.actions.push_back(Action::Find { id: key.media_session_id, name: key.name });
            }
            ClientMessage::StreamEvent { media_session_id, kind, payload } => {
                self.told(&media_session_id, kind, payload);
            }
            ClientMessage::SendData { operation_id, payload } => {
                self.actions.push_back(Action::Data { operation_id, payload });
            }
            ClientMessage::Pong | ClientMessage::Available(_) | ClientMessage::Other(_) => {}
        }
    }

    fn requested(&mut self, now: Instant, role: Role, request: &StreamRequest) {
        let StreamRequest { media_session_id: id, name, sdp, custom, .. } = request;
        // What has ended but for its reason is in nobody's way.
        if self.streams.get(id).is_some_and(Stream::is_parting) {
            self.expire(now, id);
        }
        let held = self.streams.values().filter(|stream| !stream.is_parting()).count();
        let fault = if id.is_empty() {
            Some(info::NO_SESSION_ID)
        } else if !matches!(self.state, State::Established { .. }) {
            Some(info::SESSION_NOT_READY)
        } else if self.streams.contains_key(id) {
            // The stream that there is goes on: a status would end it at the client.
            return;
        } else if held >= self.config.streams || name.len().max(id.len()) > MAX_NAME {
            Some(info::FAILED)
        } else {
            None
        };
        let stream = Stream::new(role, request, Phase::Answering { deadline: now + self.config.answer });
        if let Some(fault) = fault {
            return self.send(&ServerMessage::Status(stream.status(id.clone(), Status::Failed, Some(fault))));
        }
        let (id, name, offer, custom) = (id.clone(), name.clone(), sdp.clone(), custom.clone());
        self.actions.push_back(Action::Answer { id: id.clone(), role, name, offer, custom });
        self.streams.insert(id, stream);
    }

    fn stopped(&mut self, now: Instant, role: Role, key: &StreamKey) {
        let id = &key.media_session_id;
        if self.streams.get(id).is_none_or(|stream| stream.role != role) {
            // A page whose stream is gone already waits for this answer.
            let request = StreamRequest { name: key.name.clone(), ..StreamRequest::default() };
            let gone = Stream::new(role, &request, Phase::Up);
            return self.send(&ServerMessage::Status(gone.status(id.clone(), role.down(), None)));
        }
        let info = match role {
            Role::Publish => info::STOPPED_BY_PUBLISHER,
            Role::Play => info::STOPPED_BY_USER,
        };
        self.release(now, &key.media_session_id.clone(), role.down(), info);
    }

    /// The answer to a stream's offer.
    pub fn handle_answer(&mut self, now: Instant, id: &str, answer: String) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if matches!(stream.phase, Phase::Answering { .. }) {
            stream.phase = Phase::Connecting { deadline: now + self.config.connect };
            let (name, muted) = (stream.name.clone(), stream.muted);
            for kind in muted.events() {
                self.actions.push_back(Action::Tell { name: name.clone(), kind: kind.to_owned(), payload: None });
            }
            self.send(&ServerMessage::RemoteSdp { media_session_id: id.to_owned(), sdp: answer });
        }
    }

    /// The application has given a stream another name.
    pub fn handle_name(&mut self, id: &str, name: String) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.name = name;
        }
    }

    /// Whether the application took data.
    pub fn handle_data(&mut self, operation_id: String, accepted: bool) {
        self.send(&ServerMessage::DataStatus { operation_id, accepted });
    }

    /// Media flows.
    pub fn handle_connected(&mut self, id: &str) {
        let waits = |stream: &&mut Stream| matches!(stream.phase, Phase::Answering { .. } | Phase::Connecting { .. });
        let Some(stream) = self.streams.get_mut(id).filter(waits) else { return };
        stream.phase = Phase::Up;
        let republish = stream.republish.clone().map(|url| Action::Republish { name: stream.name.clone(), url });
        self.actions.extend(republish);
        let status = stream.status(id.to_owned(), stream.role.up(), None);
        self.send(&ServerMessage::Status(status));
    }

    /// Whether somebody publishes the name that a question was about.
    pub fn handle_availability(&mut self, id: String, available: bool) {
        let info = (!available).then(|| info::STREAM_NOT_FOUND.to_owned());
        self.send(&ServerMessage::Available { media_session_id: id, available, info });
    }

    /// Somebody ends a stream by the REST interface.
    pub fn handle_termination(&mut self, now: Instant, id: &str) {
        if let Some(role) = self.streams.get(id).map(|stream| stream.role) {
            self.release(now, id, role.down(), info::STOPPED_BY_REST);
        }
    }

    fn ids(&self, wanted: impl Fn(&Stream) -> bool) -> Vec<String> {
        self.streams.iter().filter(|(_, stream)| wanted(stream)).map(|(id, _)| id.clone()).collect()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::New { deadline } if deadline <= now => return self.close("it does not say what it wants"),
            State::Lost { deadline } if deadline <= now => return self.close(info::KEEP_ALIVE),
            State::Asking { deadline } if deadline <= now => return self.close("the application does not answer"),
            State::Established { ping, missed } if ping <= now => {
                if missed >= self.config.missed {
                    if self.handle_lost(now) {
                        return self.actions.push_back(Action::Leave);
                    }
                    return self.close(info::KEEP_ALIVE);
                }
                self.state = State::Established { ping: now + self.config.ping, missed: missed + 1 };
                self.send(&ServerMessage::Ping);
            }
            _ => {}
        }
        let late = self.ids(|stream| stream.phase.deadline().is_some_and(|deadline| deadline <= now));
        for id in late {
            self.expire(now, &id);
        }
    }

    fn close(&mut self, why: &'static str) {
        self.handle_closed();
        self.actions.push_back(Action::Close(why));
    }

    fn send(&mut self, message: &ServerMessage) {
        if let ServerMessage::Status(status) = message
            && self.config.reports
        {
            self.actions.push_back(Action::Report(status.clone()));
        }
        self.texts.push_back(message.encode());
    }

    /// The next text for the client.
    pub fn poll_text(&mut self) -> Option<String> {
        self.texts.pop_front()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; never once the session is closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match self.state {
            State::New { deadline } | State::Asking { deadline } | State::Lost { deadline } => deadline,
            State::Established { ping, .. } => ping,
            State::Closed => return None,
        };
        self.streams.values().filter_map(|stream| stream.phase.deadline()).chain([own]).min()
    }
}

/// Lets a fresh session and an established one hear a text.
pub(crate) fn fuzz(text: &str) {
    let now = Instant::now();
    for established in [false, true] {
        let mut session = Session::new(Config::default(), String::new(), now);
        if established {
            session.connected(now, Map::new());
        }
        let _ = session.handle_text(now, text);
        session.handle_timeout(now + std::time::Duration::from_secs(60));
        while session.poll_text().is_some() || session.poll_action().is_some() {}
    }
}

#[cfg(test)]
mod tests;
