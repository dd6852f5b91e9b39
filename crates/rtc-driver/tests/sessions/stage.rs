//! Endpoints on a virtual network with delay and loss.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sluicegate_rtc_driver::endpoint::Datagram;
use sluicegate_rtc_driver::media::{Codec, Direction, RtpPacket, TrackId};
use sluicegate_rtc_driver::{ChannelId, Config, Endpoint, Error, Event, Message, Options, SessionId, State};

/// What a test sees of a session.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) states: Vec<State>,
    pub(crate) open: Vec<(ChannelId, String)>,
    pub(crate) closed: Vec<ChannelId>,
    pub(crate) messages: Vec<(ChannelId, Message)>,
    pub(crate) candidates: Vec<String>,
    pub(crate) tracks: Vec<(TrackId, Direction, Codec)>,
    pub(crate) packets: Vec<(TrackId, RtpPacket)>,
    pub(crate) wanted: usize,
    /// By track: the sender's clock and the RTP timestamp.
    pub(crate) reports: Vec<(TrackId, u64, u32)>,
    /// By track: what the peer lost, in 256ths, and the round trip.
    pub(crate) heard: Vec<(TrackId, u8, Option<Duration>)>,
}

/// One endpoint with the sockets that it owns.
pub(crate) struct Host {
    pub(crate) endpoint: Endpoint,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) seen: BTreeMap<SessionId, Seen>,
    /// What the host itself takes for the address that datagrams are sent to; behind NAT it is not the public one.
    pub(crate) inside: Option<IpAddr>,
    /// Neither sends nor hears anything.
    pub(crate) dead: bool,
}

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(crate) struct Flying {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) data: BytesMut,
}

/// Hosts, a clock, and what is under way between them.
pub(crate) struct Stage {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    pub(crate) delay: Duration,
    /// Datagrams lost, in thousandths.
    pub(crate) loss: u64,
    pub(crate) dropped: usize,
    /// All that was sent, for tests that replay or damage it.
    pub(crate) log: Option<Vec<Flying>>,
    flying: BTreeMap<(Instant, u64), Flying>,
    order: u64,
    random: u64,
}

pub(crate) fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 5000))
}

pub(crate) fn binary(bytes: &[u8]) -> Message {
    Message::Binary(bytes.to_vec().into())
}

/// A session and its channel at each of two hosts.
pub(crate) type Ends = ((SessionId, ChannelId), (SessionId, ChannelId));

impl Stage {
    pub(crate) fn new(configs: Vec<Config>) -> Self {
        let now = Instant::now();
        let host = |(index, config): (usize, Config)| {
            let addresses = vec![address(u8::try_from(index + 1).unwrap())];
            Host {
                endpoint: Endpoint::new(now, Arc::new(config), vec![addresses.clone()]).unwrap(),
                addresses,
                seen: BTreeMap::new(),
                inside: None,
                dead: false,
            }
        };
        Self {
            now,
            hosts: configs.into_iter().enumerate().map(host).collect(),
            delay: Duration::from_millis(1),
            loss: 0,
            dropped: 0,
            log: None,
            flying: BTreeMap::new(),
            order: 0,
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }

    pub(crate) fn pair() -> Self {
        Self::new(vec![Config::default(), Config::default()])
    }

    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.random ^= seed.wrapping_mul(0xD129_0E75_1F1B_29C5);
        self
    }

    /// Host 0 offers, host 1 answers; descriptions are carried at once.
    pub(crate) fn connect(&mut self) -> (SessionId, SessionId) {
        let (first, offer) = self.hosts[0].endpoint.offer(self.now, &Options::channel("chat")).unwrap();
        let (second, answer) = self.hosts[1].endpoint.answer(self.now, &offer, &Options::default()).unwrap();
        self.hosts[0].endpoint.accept_answer(self.now, first, &answer).unwrap();
        (first, second)
    }

    /// As `connect`, and waits for the channel at both ends.
    pub(crate) fn connected(&mut self) -> Ends {
        let (first, second) = self.connect();
        let open = |stage: &Self| stage.channel(0, first).is_some() && stage.channel(1, second).is_some();
        assert!(self.run(Duration::from_secs(30), open), "{:?} {:?}", self.hosts[0].seen, self.hosts[1].seen);
        ((first, self.channel(0, first).unwrap()), (second, self.channel(1, second).unwrap()))
    }

    pub(crate) fn seen(&self, host: usize, id: SessionId) -> &Seen {
        static NOTHING: Seen = Seen {
            states: Vec::new(),
            open: Vec::new(),
            closed: Vec::new(),
            messages: Vec::new(),
            candidates: Vec::new(),
            tracks: Vec::new(),
            packets: Vec::new(),
            wanted: 0,
            reports: Vec::new(),
            heard: Vec::new(),
        };
        self.hosts[host].seen.get(&id).unwrap_or(&NOTHING)
    }

    pub(crate) fn channel(&self, host: usize, id: SessionId) -> Option<ChannelId> {
        self.seen(host, id).open.first().map(|(channel, _)| *channel)
    }

    pub(crate) fn state(&self, host: usize, id: SessionId) -> Option<State> {
        self.seen(host, id).states.last().copied()
    }

    pub(crate) fn send(&mut self, host: usize, to: (SessionId, ChannelId), message: Message) -> Result<(), Error> {
        self.hosts[host].endpoint.send(self.now, to.0, to.1, message)
    }

    /// A number below `below`, the same in every run.
    pub(crate) fn chance(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Puts a datagram on the way that no host sent.
    pub(crate) fn inject(&mut self, flying: Flying) {
        self.order += 1;
        self.flying.insert((self.now, self.order), flying);
    }

    fn collect(&mut self, host: usize) {
        let now = self.now;
        let here = &mut self.hosts[host];
        here.endpoint.flush(now);
        let events = std::iter::from_fn(|| here.endpoint.poll_event()).collect::<Vec<_>>();
        for (id, event) in events {
            let seen = here.seen.entry(id).or_default();
            match event {
                Event::State(state) => seen.states.push(state),
                Event::ChannelOpen { channel, label, .. } => seen.open.push((channel, label)),
                Event::ChannelClosed(channel) => seen.closed.push(channel),
                Event::Message { channel, message } => seen.messages.push((channel, message)),
                Event::Candidate(candidate) => seen.candidates.push(candidate),
                Event::TrackOpen { track, direction, codec, .. } => seen.tracks.push((track, direction, codec)),
                Event::Rtp { track, packet } => seen.packets.push((track, packet)),
                Event::SenderReport { track, ntp, timestamp } => seen.reports.push((track, ntp, timestamp)),
                Event::ReceiverReport { track, lost, round_trip } => seen.heard.push((track, lost, round_trip)),
                Event::KeyFrameWanted(_) => seen.wanted += 1,
                _ => {}
            }
        }
        let sent: VecDeque<_> = std::iter::from_fn(|| here.endpoint.poll_transmit()).collect();
        let (dead, addresses) = (here.dead, here.addresses.clone());
        for outgoing in sent {
            let flying = Flying { from: addresses[outgoing.socket], to: outgoing.to, data: outgoing.data };
            if let Some(log) = &mut self.log {
                log.push(flying.clone());
            }
            if dead || self.chance(1000) < self.loss {
                self.dropped += 1;
                continue;
            }
            self.order += 1;
            self.flying.insert((now + self.delay, self.order), flying);
        }
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            let Flying { from, to, data } = entry.remove();
            let now = self.now;
            for host in self.hosts.iter_mut().filter(|host| !host.dead) {
                if let Some(socket) = host.addresses.iter().position(|address| *address == to) {
                    let to = Some(host.inside.unwrap_or(to.ip()));
                    host.endpoint.handle_datagram(now, Datagram { socket, to, from, data: data.clone() });
                }
            }
        }
    }

    /// Lets time pass until `done`, or for `limit`; tells whether it was done.
    pub(crate) fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        for _ in 0..1_000_000 {
            for host in 0..self.hosts.len() {
                self.collect(host);
            }
            if done(self) {
                return true;
            }
            let timers = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout());
            let arrivals = self.flying.keys().next().map(|(at, _)| *at);
            let next = timers.chain(arrivals).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            self.arrive();
            let now = self.now;
            for host in &mut self.hosts {
                host.endpoint.handle_timeout(now);
            }
        }
        panic!("a million steps within {limit:?}: something spins");
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.run(time, |_| false);
    }
}
