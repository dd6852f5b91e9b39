//! One client's session without a socket (RFC 2326): requests in, what is asked for and answers out.
//!
//! Feed it with [`ServerSession::handle_bytes`] and [`ServerSession::handle_timeout`]; take [`ServerSession::poll_event`] until it
//! gives nothing, answering each request before the next is polled; then write [`ServerSession::poll_output`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use percent_encoding::percent_decode_str;

pub(crate) mod auth;
pub(crate) mod transport;

pub use auth::Credentials;
use transport::Transport;

use crate::wire::{Item, Message, Reader, Start, Violation};

/// How long a client may be silent unless packets go on its connection; it is told a little less.
const SILENCE: Duration = Duration::from_secs(75);
const TOLD_SILENCE: u64 = 60;
/// How long the first request may take.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Tracks of one session: pictures and sound.
pub(crate) const MAX_TRACKS: usize = 2;
/// What clients may ask for.
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, RECORD";
const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));

/// A request that the driver answers.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// `DESCRIBE`; see [`ServerSession::accept_description`].
    Describe(Asked),
    /// `ANNOUNCE` with a session description; see [`ServerSession::accept`].
    Announce(Asked, Bytes),
    /// `SETUP` of the track with this place; see [`ServerSession::accept_transport`].
    SetUp(usize, Transport),
    /// `PLAY`; see [`ServerSession::accept_play`].
    Play,
    /// `RECORD`; see [`ServerSession::accept`].
    Record,
    /// A packet of the client.
    Data { channel: u8, payload: Bytes },
    /// `PAUSE`, which is answered already; `PLAY` goes on.
    Paused,
    /// `TEARDOWN`, which is answered already.
    Ended,
}

/// The stream that a client asks for, and what it shows for it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path without a leading `live/`, percent-decoded.
    pub(crate) name: String,
    /// What stands behind the path.
    pub(crate) query: String,
    pub(crate) credentials: Credentials,
    /// What the client says that it is.
    pub(crate) agent: String,
}

/// How far the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is asked for.
    New,
    /// `DESCRIBE` is answered.
    Described,
    /// `ANNOUNCE` is answered.
    Announced,
    /// Packets go.
    Playing,
    /// Packets come.
    Recording,
}

/// One client.
#[derive(Debug)]
pub(crate) struct ServerSession {
    reader: Reader,
    output: VecDeque<Bytes>,
    stage: Stage,
    /// The request that is to be answered: its number and its URI.
    pending: Option<(Option<String>, String)>,
    id: String,
    nonce: String,
    has_udp: bool,
    /// The tracks that are set up.
    tracks: [Option<Transport>; MAX_TRACKS],
    /// What a publisher calls its tracks.
    controls: Vec<Option<String>>,
    deadline: Option<Instant>,
}

impl ServerSession {
    /// A client that has just come. `secret` is random; the session's number and the nonce are made of it.
    pub(crate) fn new(secret: u128, has_udp: bool, now: Instant) -> Self {
        let [id, nonce] = [secret >> 64, secret & u128::from(u64::MAX)].map(|half| format!("{half:016x}"));
        let (reader, output, tracks) = (Reader::default(), VecDeque::new(), [None; MAX_TRACKS]);
        let deadline = now.checked_add(FIRST_REQUEST);
        let (stage, controls) = (Stage::New, Vec::new());
        Self { reader, output, stage, pending: None, id, nonce, has_udp, tracks, controls, deadline }
    }

    /// Takes bytes of the client.
    pub(crate) fn handle_bytes(&mut self, bytes: BytesMut) {
        self.reader.handle_bytes(bytes);
    }

    /// Acts on the deadline.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), Violation> {
        if self.deadline.is_some_and(|deadline| now >= deadline) { Err(Violation::Silent) } else { Ok(()) }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is to be written.
    pub(crate) fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    /// What the client wants next.
    pub(crate) fn poll_event(&mut self, now: Instant) -> Result<Option<Event>, Violation> {
        while self.pending.is_none() {
            match self.reader.poll()? {
                None => return Ok(None),
                Some(Item::Data { channel, payload }) if self.stage == Stage::Recording => {
                    self.heard(now);
                    return Ok(Some(Event::Data { channel, payload }));
                }
                // Receiver reports of players.
                Some(Item::Data { .. }) => {}
                Some(Item::Message(message)) => {
                    let event = self.request(&message);
                    self.heard(now);
                    if event.is_some() {
                        return Ok(event);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The tracks that are set up.
    pub(crate) fn tracks(&self) -> [Option<Transport>; MAX_TRACKS] {
        self.tracks
    }

    /// The base of the pending request's URI: without the place of a track.
    pub(crate) fn base(&self) -> String {
        let uri = self.pending.as_ref().map(|(_, uri)| uri.as_str()).unwrap_or_default();
        let base = uri.rsplit_once("/trackID=").map_or(uri, |(base, _)| base);
        base.trim_end_matches('/').to_owned()
    }

    /// Answers `DESCRIBE`.
    pub(crate) fn accept_description(&mut self, description: String) {
        self.stage = Stage::Described;
        let headers = [("Content-Base", format!("{}/", self.base())), ("Content-Type", "application/sdp".to_owned())];
        self.answer(200, headers, description.into());
    }

    /// Answers `SETUP`. `ports` are ours for UDP.
    pub(crate) fn accept_transport(&mut self, place: usize, how: Transport, ports: Option<(u16, u16)>, ssrc: u32) {
        if let Some(track) = self.tracks.get_mut(place) {
            *track = Some(how);
        }
        let transport = how.answer(ports, ssrc, self.stage == Stage::Announced);
        let headers = [("Transport", transport), ("Session", format!("{};timeout={TOLD_SILENCE}", self.id))];
        self.answer(200, headers, Bytes::new());
    }

    /// Answers `PLAY`; `info` is the value of `RTP-Info`.
    pub(crate) fn accept_play(&mut self, info: String) {
        self.stage = Stage::Playing;
        if self.gets_packets() {
            self.deadline = None;
        }
        let headers = [("Session", self.id.clone()), ("Range", "npt=now-".to_owned()), ("RTP-Info", info)];
        self.answer(200, headers, Bytes::new());
    }

    /// Answers `ANNOUNCE` or `RECORD`.
    pub(crate) fn accept(&mut self) {
        if self.stage == Stage::Announced {
            self.stage = Stage::Recording;
            return self.answer(200, [("Session", self.id.clone())], Bytes::new());
        }
        self.stage = Stage::Announced;
        self.answer(200, [], Bytes::new());
    }

    /// Refuses the pending request. 401 asks for credentials.
    pub(crate) fn refuse(&mut self, status: u16) {
        let asked = if status == 401 { Vec::from(auth::challenges(&self.nonce)) } else { Vec::new() };
        self.answer(status, asked.into_iter().map(|challenge| ("WWW-Authenticate", challenge)), Bytes::new());
    }

    fn heard(&mut self, now: Instant) {
        self.deadline = if self.gets_packets() { None } else { now.checked_add(SILENCE) };
    }

    /// Clients that get packets on their connection need not say anything; a dead one takes nothing.
    fn gets_packets(&self) -> bool {
        let by_udp = self.tracks.iter().flatten().any(|track| matches!(track, Transport::Udp(..)));
        self.stage == Stage::Playing && !by_udp
    }

    fn request(&mut self, message: &Message) -> Option<Event> {
        let Start::Request { method, uri } = &message.start else { return None };
        self.pending = Some((message.header("CSeq").map(ToOwned::to_owned), uri.clone()));
        if let Some(id) = message.header("Session")
            && id.split(';').next().is_some_and(|id| id.trim() != self.id)
        {
            return self.refused(454);
        }
        if message.header("Require").is_some() {
            return self.refused(551);
        }
        match (method.as_str(), self.stage) {
            ("OPTIONS", _) => {
                self.answer(200, [("Public", METHODS.to_owned())], Bytes::new());
                None
            }
            // Keep-alives.
            ("GET_PARAMETER" | "SET_PARAMETER", _) => {
                self.answer(200, [("Session", self.id.clone())], Bytes::new());
                None
            }
            ("TEARDOWN", _) => {
                (self.stage, self.tracks) = (Stage::New, [None; MAX_TRACKS]);
                self.answer(200, [("Session", self.id.clone())], Bytes::new());
                Some(Event::Ended)
            }
            ("PAUSE", Stage::Playing) => {
                self.stage = Stage::Described;
                self.answer(200, [("Session", self.id.clone())], Bytes::new());
                Some(Event::Paused)
            }
            ("DESCRIBE", Stage::New | Stage::Described) => Some(Event::Describe(self.asked(message, method, uri))),
            ("ANNOUNCE", Stage::New) => {
                self.controls = crate::sdp::controls(&message.body);
                Some(Event::Announce(self.asked(message, method, uri), message.body.clone()))
            }
            ("SETUP", Stage::Described | Stage::Announced) => self.set_up(message),
            ("PLAY", Stage::Described) if self.is_set_up() => Some(Event::Play),
            // A second PLAY is a keep-alive of some clients.
            ("PLAY", Stage::Playing) => {
                self.answer(200, [("Session", self.id.clone())], Bytes::new());
                None
            }
            ("RECORD", Stage::Announced) if self.is_set_up() => Some(Event::Record),
            ("DESCRIBE" | "ANNOUNCE" | "SETUP" | "PLAY" | "PAUSE" | "RECORD", _) => self.refused(455),
            _ => self.refused(501),
        }
    }

    fn set_up(&mut self, message: &Message) -> Option<Event> {
        let (_, uri) = self.pending.as_ref()?;
        let publishes = self.stage == Stage::Announced;
        let place = if publishes { self.announced(uri) } else { described(uri) };
        let Some(place) = place.filter(|place| *place < MAX_TRACKS) else { return self.refused(404) };
        let wishes = message.header("Transport").unwrap_or_default();
        // Publishers come by TCP only.
        let chosen = transport::choose(wishes, place, self.has_udp && !publishes);
        let Some(chosen) = chosen else { return self.refused(461) };
        let taken = |other: &Transport| match (*other, chosen) {
            (Transport::Interleaved(a, b), Transport::Interleaved(c, d)) => [c, d].contains(&a) || [c, d].contains(&b),
            // One way for all tracks.
            (Transport::Interleaved(..), _) | (_, Transport::Interleaved(..)) => true,
            _ => false,
        };
        let others = self.tracks.iter().enumerate().filter(|(other, _)| *other != place);
        if others.filter_map(|(_, track)| track.as_ref()).any(taken) {
            return self.refused(461);
        }
        Some(Event::SetUp(place, chosen))
    }

    /// The place of a publisher's track. One that has no name is the first.
    fn announced(&self, uri: &str) -> Option<usize> {
        let uri = uri.trim_end_matches('/');
        let is_meant =
            |control: &Option<String>| control.as_ref().is_none_or(|control| uri.ends_with(control.as_str()));
        self.controls.iter().position(is_meant)
    }

    fn is_set_up(&self) -> bool {
        self.tracks.iter().any(Option::is_some)
    }

    fn asked(&self, message: &Message, method: &str, uri: &str) -> Asked {
        let path = uri.split_once("://").map_or(uri, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let name = decoded.trim_matches('/');
        let name = name.strip_prefix("live/").unwrap_or(name).to_owned();
        // Some clients add the slash of the base behind the query.
        let query = query.trim_end_matches('/');
        let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
        let token = token.map(|token| percent_decode_str(token).decode_utf8_lossy().into_owned());
        let credentials = Credentials::read(message, method, token, &self.nonce);
        let agent = message.header("User-Agent").unwrap_or_default().to_owned();
        Asked { name, query: query.to_owned(), credentials, agent }
    }

    fn refused(&mut self, status: u16) -> Option<Event> {
        self.refuse(status);
        None
    }

    fn answer(&mut self, status: u16, headers: impl IntoIterator<Item = (&'static str, String)>, body: Bytes) {
        let Some((cseq, _)) = self.pending.take() else { return };
        let cseq = cseq.map(|cseq| ("CSeq", cseq));
        let all = cseq.into_iter().chain([("Server", AGENT.to_owned())]).chain(headers);
        let headers = all.map(|(name, value)| (name.to_owned(), value)).collect();
        self.output.push_back(Message { start: Start::Answer { status }, headers, body }.encode());
    }
}

/// The place of a track as we describe it. Without one it is the first.
fn described(uri: &str) -> Option<usize> {
    uri.rsplit_once("/trackID=").map_or(Some(0), |(_, place)| place.trim_end_matches('/').parse().ok())
}

/// One fuzzed run of a client against a server that takes whatever is asked for.
pub fn fuzz_server(data: &[u8]) {
    let now = Instant::now();
    let mut session = ServerSession::new(7, true, now);
    session.handle_bytes(data.into());
    while let Ok(Some(event)) = session.poll_event(now) {
        match event {
            Event::Describe(asked) => {
                let _ = asked.credentials.prove("token");
                session.accept_description("v=0\r\n".to_owned());
            }
            Event::SetUp(place, how) => session.accept_transport(place, how, Some((1, 2)), 1),
            Event::Play => session.accept_play(String::new()),
            Event::Announce(_, body) => {
                let _ = crate::sdp::parse(&body);
                session.accept();
            }
            Event::Record => session.accept(),
            Event::Data { payload, .. } => drop(crate::wire::rtp::parse(payload)),
            Event::Paused | Event::Ended => {}
        }
        while session.poll_output().is_some() {}
    }
}

#[cfg(test)]
mod tests;
