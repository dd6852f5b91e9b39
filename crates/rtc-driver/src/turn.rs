//! The client side of TURN (RFC 8656), without socket and clock: one relay of UDP on a server, for all sessions.
//!
//! *Input*: [`Client::handle`], [`Client::send`] and [`Client::handle_timeout`]; over a stream also [`Client::cut`].
//! *Output*: [`Client::poll_transmit`], all of it to the server, [`Client::poll_news`] and [`Client::poll_timeout`]. A relay
//! that is lost is asked for again with back-off until the client is dropped. Over a stream each try has a connection of its
//! own, which is opened when there is something to send and closed when a [`News::Failed`] comes.
//! `docs/protocols/webrtc.md` has the table of what happens when.

mod answers;
mod credentials;
pub(crate) mod frames;
mod message;
mod news;
mod peers;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use rand::Rng;

pub(crate) use credentials::Credentials;
pub use credentials::TurnCredential;
use message::{Builder, Login};
pub(crate) use news::{Fault, News};
use peers::{Next, Peers, RENEW, Way};
use request::{Purpose, Request};

use crate::timers::Timers;
use crate::wire::{Class, Kind, Transaction, classify};

/// First wait for an answer; it doubles each time (RFC 8489 section 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How often a request is sent; 15.5 s after the first the server counts as gone.
const SENDS: u32 = 5;
/// How long the answer to a request may take that a stream carries, which is sent once; the opening of the stream is part
/// of it.
const STREAM_WAIT: Duration = Duration::from_millis(15_500);
/// Pause between refreshes: it is the NAT that forgets, after 30 s or more, and a server that was restarted is noticed by
/// its answer.
const REFRESH: Duration = Duration::from_secs(20);
/// How often one request is signed anew because the server's nonce has changed.
const RENEWALS: u32 = 3;
/// First and longest pause after a relay was refused or lost; a relay is first asked for again at once where it was held
/// for [`HEALTHY`].
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a relay must have been held for the back-off to start anew.
const HEALTHY: Duration = Duration::from_secs(10);
/// Requests whose answers are awaited; each is for another address.
const MAX_REQUESTS: usize = 1024;
/// The first bytes of what comes by channels.
const CHANNELS: std::ops::RangeInclusive<u8> = 0x40..=0x4F;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Due {
    /// The relay is to be asked for, or refreshed.
    Relay,
    Request(Transaction),
    Permission(IpAddr),
    Channel(SocketAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Down,
    Asking,
    Up { since: Instant },
}

/// One relay on a server, asked for again whenever it is lost.
#[derive(Debug)]
pub(crate) struct Client {
    credentials: Credentials,
    /// Whether a stream carries what is sent: nothing is lost on the way then.
    streamed: bool,
    /// Whether the relay is to be of IPv6: as wanted, and as asked for now.
    ipv6: (bool, bool),
    /// What the server wants to see, once it has said so.
    login: Option<Login>,
    phase: Phase,
    /// Failures in a row.
    failures: u32,
    requests: HashMap<Transaction, Request>,
    peers: Peers,
    timers: Timers<Due>,
    armed: HashMap<Due, Instant>,
    out: VecDeque<BytesMut>,
    news: VecDeque<News>,
    /// Datagrams for peers that could not be sent.
    lost: u64,
}

impl Client {
    /// A client that asks for its relay at once, by datagrams or over streams; of IPv6, or of IPv4 where the server has
    /// that.
    pub(crate) fn new(now: Instant, credentials: Credentials, streamed: bool, ipv6: bool) -> Self {
        let mut client = Self {
            credentials,
            streamed,
            ipv6: (ipv6, ipv6),
            login: None,
            phase: Phase::Down,
            failures: 0,
            requests: HashMap::new(),
            peers: Peers::default(),
            timers: Timers::default(),
            armed: HashMap::new(),
            out: VecDeque::new(),
            news: VecDeque::new(),
            lost: 0,
        };
        client.arm(Due::Relay, now);
        client
    }

    /// Datagrams for peers that could not be sent, since the last question.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The next datagram for the server.
    pub(crate) fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.out.pop_front()
    }

    /// What became of the relay.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.take_due(now) {
            self.armed.remove(&due);
            match due {
                Due::Relay if self.phase == Phase::Down => {
                    self.phase = Phase::Asking;
                    self.ask(now, Purpose::Allocate, 0);
                }
                Due::Relay => self.ask(now, Purpose::Refresh, 0),
                Due::Request(transaction) => self.unanswered(now, transaction),
                Due::Permission(ip) => {
                    if self.peers.permission_due(ip) == Next::Renew {
                        self.ask(now, Purpose::Permit(ip), 0);
                    }
                }
                Due::Channel(peer) => match self.peers.channel_due(now, peer) {
                    (Next::Renew, number) => self.ask(now, Purpose::Bind(peer, number), 0),
                    (Next::Wait(pause), _) => self.arm(due, now + pause),
                    (Next::Forgotten, _) => {}
                },
            }
        }
    }

    /// Takes what the server sent; returns what a peer sent through it.
    pub(crate) fn handle(&mut self, now: Instant, mut data: BytesMut) -> Option<(SocketAddr, BytesMut)> {
        if data.first().is_some_and(|first| CHANNELS.contains(first)) {
            let (number, length) = (data.try_get_u16().ok()?, usize::from(data.try_get_u16().ok()?));
            let peer = self.peers.by_number(number)?;
            if data.len() < length {
                return None;
            }
            data.truncate(length);
            return Some((peer, data));
        }
        let Kind::Stun(stun) = classify(&data) else { return None };
        if stun.class == Class::Indication && stun.method == message::DATA {
            return message::data(&stun).map(|(peer, inner)| (peer, BytesMut::from(inner)));
        }
        self.answered(now, &data, &stun);
        None
    }

    /// Sends a datagram to a peer.
    pub(crate) fn send(&mut self, now: Instant, peer: SocketAddr, data: &BytesMut) {
        if !matches!(self.phase, Phase::Up { .. }) {
            self.lost += 1;
            return;
        }
        match self.peers.way(peer, data) {
            Way::Channel(number) => {
                let mut framed = BytesMut::with_capacity(4 + data.len());
                framed.put_u16(number);
                framed.put_u16(u16::try_from(data.len()).unwrap_or(u16::MAX));
                framed.put_slice(data);
                self.out.push_back(framed);
            }
            Way::Addressed => {
                self.indicate(peer, data);
                // More than checks is sent to who has been chosen.
                if !matches!(classify(data), Kind::Stun(_))
                    && let Some(number) = self.peers.open(now, peer)
                {
                    self.ask(now, Purpose::Bind(peer, number), 0);
                }
            }
            Way::Ask => self.ask(now, Purpose::Permit(peer.ip()), 0),
            Way::Waits => {}
            Way::None => self.lost += 1,
        }
    }

    /// The connection has ended, and the relay with it.
    pub(crate) fn cut(&mut self, now: Instant, fault: Fault) {
        if self.phase != Phase::Down {
            self.down(now, fault);
        }
    }

    /// Tells the server that the relay is not needed any more; over a stream the end of the connection says so.
    pub(crate) fn close(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Up { .. }) && !self.streamed {
            self.ask(now, Purpose::Release, 0);
        }
    }

    fn arm(&mut self, due: Due, at: Instant) {
        let mut note = self.armed.remove(&due);
        self.timers.rearm(due, &mut note, Some(at));
        self.armed.insert(due, at);
    }

    fn disarm(&mut self, due: Due) {
        let mut note = self.armed.remove(&due);
        self.timers.rearm(due, &mut note, None);
    }

    fn indicate(&mut self, peer: SocketAddr, data: &[u8]) {
        let message = Builder::new(message::SEND_INDICATION, rand::random(), data.len() + 48);
        self.out.push_back(message.peer(peer).data(data).unsigned());
    }

    fn ask(&mut self, now: Instant, purpose: Purpose, renewals: u32) {
        if matches!(purpose, Purpose::Permit(_) | Purpose::Bind(..)) && self.requests.len() >= MAX_REQUESTS {
            self.without(now, purpose);
            return;
        }
        let transaction: Transaction = rand::random();
        let message = Builder::new(purpose.method(), transaction, 256);
        let message = match purpose {
            Purpose::Allocate => message.relay(self.ipv6.1),
            Purpose::Refresh => message,
            Purpose::Release => message.lifetime(0),
            Purpose::Permit(ip) => message.peer(SocketAddr::new(ip, 0)),
            Purpose::Bind(peer, number) => message.channel(number).peer(peer),
        };
        let bytes = match &self.login {
            Some(login) => message.signed(login),
            None => message.unsigned(),
        };
        self.out.push_back(bytes.clone());
        self.requests.insert(transaction, Request { purpose, bytes, sends: 1, renewals });
        self.arm(Due::Request(transaction), now + if self.streamed { STREAM_WAIT } else { FIRST_WAIT });
    }

    fn unanswered(&mut self, now: Instant, transaction: Transaction) {
        let Some(request) = self.requests.get_mut(&transaction) else { return };
        if request.sends < SENDS && !self.streamed {
            let wait = FIRST_WAIT * 2_u32.saturating_pow(request.sends);
            request.sends += 1;
            self.out.push_back(request.bytes.clone());
            self.arm(Due::Request(transaction), now + wait);
            return;
        }
        let purpose = request.purpose;
        self.requests.remove(&transaction);
        match purpose {
            Purpose::Allocate | Purpose::Refresh => self.down(now, Fault::NoAnswer),
            _ => self.without(now, purpose),
        }
    }

    /// What was asked for is not to be had.
    fn without(&mut self, now: Instant, purpose: Purpose) {
        match purpose {
            Purpose::Permit(ip) => {
                let pause = self.peers.refused(ip);
                self.arm(Due::Permission(ip), now + pause);
            }
            Purpose::Bind(peer, _) => {
                self.peers.opened(peer, false);
                self.arm(Due::Channel(peer), now + RENEW);
            }
            Purpose::Release if self.phase == Phase::Asking => self.down(now, Fault::Refused(437)),
            Purpose::Allocate | Purpose::Refresh | Purpose::Release => {}
        }
    }

    /// There is no relay; the next try comes after a pause.
    fn down(&mut self, now: Instant, fault: Fault) {
        if matches!(self.phase, Phase::Up { since } if now >= since + HEALTHY) {
            self.failures = 0;
        }
        let (first, longest) = BACK_OFF;
        let pause = (first * 2_u32.saturating_pow(self.failures.min(16))).min(longest);
        let pause = if self.failures == 0 && matches!(self.phase, Phase::Up { .. }) {
            Duration::ZERO
        } else {
            pause.mul_f64(rand::rng().random_range(0.5..1.0))
        };

        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Down;
        self.login = None;
        self.ipv6.1 = self.ipv6.0;
        self.requests.clear();
        self.peers = Peers::default();
        if self.streamed {
            // It was for the connection that ends now.
            self.out.clear();
        }
        (self.timers, self.armed) = (Timers::default(), HashMap::new());
        self.arm(Due::Relay, now + pause);
        self.news.push_back(News::Failed(fault));
    }
}
