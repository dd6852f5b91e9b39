//! All sessions of one driver, without sockets and clock.
//!
//! *Commands* make and end sessions and speak to one of them. *Input*: [`Endpoint::handle_datagram`] and
//! [`Endpoint::handle_timeout`] note what happened; [`Endpoint::flush`] then runs each session that something happened
//! to, once, however many datagrams came for it. *Output*, after a flush: [`Endpoint::poll_transmit`],
//! [`Endpoint::poll_event`], [`Endpoint::poll_timeout`].

mod commands;
mod make;
mod relay;
mod route;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::mapping::Mapping;
use crate::media::Options;
use crate::session::Outlet;
use crate::stack::Stack;
use crate::table::Table;
use crate::timers::Timers;
use crate::{CloseReason, Config, Error, Event, Session, SessionId, State};

/// A deadline that a session repeats although it was just run is put off by so much, so that no session spins.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// A datagram that arrived.
#[derive(Debug)]
pub struct Datagram {
    /// The socket, by its place in `Endpoint::new`.
    pub socket: usize,
    /// The address it was sent to, where the host tells.
    pub to: Option<IpAddr>,
    /// Where it came from.
    pub from: SocketAddr,
    /// Its bytes.
    pub data: BytesMut,
}

/// A datagram to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The socket, by its place in `Endpoint::new`.
    pub socket: usize,
    /// Where it goes.
    pub to: SocketAddr,
    /// Its bytes.
    pub data: BytesMut,
}

/// What an endpoint has counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions made.
    pub sessions: u64,
    /// Datagrams that belonged to no session.
    pub strays: u64,
    /// Sessions dropped because the stack panicked on what a peer sent.
    pub panics: u64,
    /// Times that a session was run.
    pub runs: u64,
    /// Datagrams that the relay on a TURN server could not take.
    pub unrelayed: u64,
}

/// What a session's path is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Where DTLS and RTP go; none before a path is found.
    pub remote: Option<SocketAddr>,
    /// The round trip of the last check that was answered, about one a second.
    pub round_trip: Option<Duration>,
    /// Bytes sent, with all that WebRTC adds, without UDP and IP.
    pub sent: u64,
    /// Bytes received, likewise.
    pub received: u64,
}

struct Entry {
    /// The sockets whose addresses it announces.
    sockets: Vec<usize>,
    status: Status,
    session: Box<dyn Session>,
    /// The deadline that stands in the timers.
    armed: Option<Instant>,
    /// Waits for the next flush.
    dirty: bool,
    /// Whether the owner takes messages.
    reading: bool,
}

/// All sessions of one driver.
pub struct Endpoint {
    config: Arc<Config>,
    stack: Stack,
    /// The announced addresses of each socket. Those of the first are announced by all sessions that have none of their
    /// own.
    sockets: HashMap<usize, Vec<SocketAddr>>,
    shared_sockets: usize,
    /// Those among the sockets that accept connections by TCP; all sessions without sockets of their own announce them.
    passive: Vec<usize>,
    last_socket: usize,
    mapping: Option<Mapping>,
    mapped: Option<(SocketAddr, SocketAddr)>,
    relay: Option<relay::Relay>,
    /// The number by which sessions know the relay, once there is one.
    relay_number: Option<usize>,
    sessions: HashMap<SessionId, Entry>,
    last_id: u64,
    table: Table,
    timers: Timers<SessionId>,
    dirty: Vec<SessionId>,
    outgoing: VecDeque<Outgoing>,
    /// Empty, kept for its room.
    outlet: Outlet,
    events: VecDeque<(SessionId, Event)>,
    counters: Counters,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

/// Runs a session's code. What a peer sent may make the stack panic; that ends this session only.
fn guarded<T>(session: &mut dyn Session, run: impl FnOnce(&mut dyn Session) -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(|| run(session))).ok()
}

impl Endpoint {
    /// An endpoint on sockets that are announced as the given addresses, one list per socket.
    ///
    /// # Errors
    /// [`Error::Config`], or [`Error::Refused`] where no certificate can be made.
    pub fn new(now: Instant, config: Arc<Config>, sockets: Vec<Vec<SocketAddr>>) -> Result<Self, Error> {
        config.validate()?;
        let stun_server = config.stun_server;
        let mut endpoint = Self {
            mapping: None,
            stack: Stack::new(Arc::clone(&config))?,
            config,
            shared_sockets: sockets.len(),
            passive: Vec::new(),
            last_socket: sockets.len(),
            sockets: sockets.into_iter().enumerate().collect(),
            mapped: None,
            relay: None,
            relay_number: None,
            sessions: HashMap::new(),
            last_id: 0,
            table: Table::default(),
            timers: Timers::default(),
            dirty: Vec::new(),
            outgoing: VecDeque::new(),
            outlet: Outlet::default(),
            events: VecDeque::new(),
            counters: Counters::default(),
        };
        if endpoint.config.turn.is_some() {
            endpoint.relay_number = Some(endpoint.add_socket(Vec::new()));
        }
        if let Some(server) = stun_server {
            endpoint.set_stun_server(now, server);
        }
        Ok(endpoint)
    }

    /// Asks this STUN server from now on, by a socket of its family. What the one before told holds until this one
    /// answers.
    pub fn set_stun_server(&mut self, now: Instant, server: SocketAddr) {
        if self.mapping.as_ref().is_some_and(|mapping| mapping.server == server) {
            return;
        }
        let base = |number: &usize| self.sockets.get(number)?.first().copied().map(|base| (*number, base));
        let mut bases = (0..self.shared_sockets).filter_map(|number| base(&number));
        if let Some((socket, base)) = bases.find(|(_, base)| base.is_ipv4() == server.is_ipv4()) {
            self.mapping = Some(Mapping::new(now, server, socket, base));
        }
    }

    /// Sessions that live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Makes a session with the given channels and tracks, and the offer for its peer.
    ///
    /// # Errors
    /// [`Error::TooManySessions`], or what the session itself refuses; no session is left then.
    pub fn offer(&mut self, now: Instant, options: &Options) -> Result<(SessionId, String), Error> {
        self.offer_from(now, &self.shared(), options)
    }

    /// As [`offer`](Self::offer), from sockets of its own.
    ///
    /// # Errors
    /// As [`offer`](Self::offer).
    pub fn offer_from(
        &mut self,
        now: Instant,
        sockets: &[usize],
        options: &Options,
    ) -> Result<(SessionId, String), Error> {
        let mut session = self.make(now, sockets, options)?;
        let offer = session.create_offer(now, false)?;
        Ok((self.enter(now, sockets, session), offer))
    }

    fn shared(&self) -> Vec<usize> {
        (0..self.shared_sockets).chain(self.passive.iter().copied()).chain(self.relay_number).collect()
    }

    /// Takes a socket that accepts connections by TCP, announced as the given addresses; returns its number. Its
    /// datagrams are the frames of all its connections.
    pub fn add_passive_socket(&mut self, announced: Vec<SocketAddr>) -> usize {
        let number = self.add_socket(announced);
        self.passive.push(number);
        number
    }

    /// Takes a further socket, announced as the given addresses; returns its number.
    pub fn add_socket(&mut self, announced: Vec<SocketAddr>) -> usize {
        let number = self.last_socket;
        self.last_socket += 1;
        self.sockets.insert(number, announced);
        number
    }

    /// Forgets a socket when its sessions have ended.
    pub fn remove_socket(&mut self, number: usize) {
        self.sockets.remove(&number);
    }

    /// Makes a session from a peer's offer, and the answer.
    ///
    /// # Errors
    /// [`Error::TooManySessions`], or what the session itself refuses; no session is left then.
    pub fn answer(&mut self, now: Instant, offer: &str, options: &Options) -> Result<(SessionId, String), Error> {
        let sockets = self.shared();
        let mut session = self.make(now, &sockets, options)?;
        let answer = guarded(session.as_mut(), |session| session.handle_offer(now, offer));
        let answer = self.survived(answer, "the offer")??;
        Ok((self.enter(now, &sockets, session), answer))
    }

    /// Whether a session's messages are to come out. While they are not, its peer's window closes.
    pub fn set_reading(&mut self, id: SessionId, reading: bool) {
        if let Some(entry) = self.sessions.get_mut(&id)
            && entry.reading != reading
        {
            entry.reading = reading;
            self.touch(id);
        }
    }

    /// Ends a session; the peer is told.
    pub fn close(&mut self, now: Instant, id: SessionId) {
        let _ = self.command(now, id, |session| {
            session.close(now);
            Ok(())
        });
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(mapping) = &mut self.mapping
            && let Some(query) = mapping.handle_timeout(now)
        {
            let data = BytesMut::from(&query[..]);
            self.outgoing.push_back(Outgoing { socket: mapping.socket, to: mapping.server, data });
        }
        self.run_relay(now);
        while let Some(id) = self.timers.take_due(now) {
            if let Some(entry) = self.sessions.get_mut(&id) {
                entry.armed = None;
            }
            let _ = self.command(now, id, |session| {
                session.handle_timeout(now);
                Ok(())
            });
        }
    }

    /// Runs each session that something happened to, and tells which.
    pub fn flush(&mut self, now: Instant) -> Vec<SessionId> {
        let touched = std::mem::take(&mut self.dirty);
        for id in &touched {
            self.run(now, *id);
        }
        touched
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mapping = self.mapping.as_ref().map(Mapping::poll_timeout);
        let relay = self.relay.as_ref().and_then(relay::Relay::poll_timeout);
        [self.timers.next(), mapping, relay].into_iter().flatten().min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front().or_else(|| self.relay.as_mut()?.poll_transmit())
    }

    /// The next event of any session.
    pub fn poll_event(&mut self) -> Option<(SessionId, Event)> {
        self.events.pop_front()
    }

    fn touch(&mut self, id: SessionId) {
        if let Some(entry) = self.sessions.get_mut(&id)
            && !entry.dirty
        {
            entry.dirty = true;
            self.dirty.push(id);
        }
    }

    fn survived<T>(&mut self, outcome: Option<T>, what: &'static str) -> Result<T, Error> {
        outcome.ok_or_else(|| {
            self.counters.panics += 1;
            Error::Refused { what, said: "the stack failed on it".to_owned() }
        })
    }

    /// Speaks to one session, which then waits for the next flush.
    fn command<T>(
        &mut self,
        now: Instant,
        id: SessionId,
        run: impl FnOnce(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let entry = self.sessions.get_mut(&id).ok_or(Error::Closed)?;
        let Some(outcome) = guarded(entry.session.as_mut(), run) else {
            self.fail(id);
            return Err(Error::Closed);
        };
        // An ICE restart brings a new fragment.
        self.table.set_fragment(now, id, entry.session.fragment());
        self.touch(id);
        outcome
    }

    /// The stack panicked: its state is not to be trusted, so that nothing more is asked of it.
    fn fail(&mut self, id: SessionId) {
        self.counters.panics += 1;
        self.drop_session(id);
        self.events.push_back((id, Event::State(State::Closed(CloseReason::Fault))));
    }

    fn drop_session(&mut self, id: SessionId) {
        if let Some(mut entry) = self.sessions.remove(&id) {
            self.timers.rearm(id, &mut entry.armed, None);
        }
        self.table.remove(id);
    }
}
