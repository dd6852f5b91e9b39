//! The relay on a TURN server: one more socket for sessions, whose datagrams go to the server and come from there.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use bytes::BytesMut;

use super::{Datagram, Endpoint, Outgoing};
use crate::TurnTransport;
use crate::turn::{Client, Credentials, Fault, News};

/// The relay and the way to it.
#[derive(Debug)]
pub(super) struct Relay {
    client: Client,
    server: SocketAddr,
    /// The socket that the server is spoken to by, and nobody else.
    way: usize,
    /// The number by which sessions know the relay.
    number: usize,
}

impl Relay {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Outgoing> {
        let data = self.client.poll_transmit()?;
        Some(Outgoing { socket: self.way, to: self.server, data })
    }
}

impl Endpoint {
    /// Asks this TURN server for a relay from now on, by the socket `way`, which is for nothing else. A relay on another
    /// server is given up with its paths. `today` is the time of day.
    pub(crate) fn set_turn_server(&mut self, now: Instant, today: SystemTime, server: SocketAddr, way: usize) {
        let Some(turn) = &self.config.turn else { return };
        let credentials = Credentials::new(turn.username.clone(), turn.credential.clone(), now, today);
        let (streamed, ipv6) = (turn.transport != TurnTransport::Udp, turn.ipv6);
        self.close_relay(now);
        if let Some(number) = self.relay_number {
            self.sockets.insert(number, Vec::new());
            let client = Client::new(now, credentials, streamed, ipv6);
            self.relay = Some(Relay { client, server, way, number });
        }
    }

    /// The connection to the TURN server has ended.
    pub(crate) fn cut_relay(&mut self, now: Instant, fault: Fault) {
        if let Some(relay) = &mut self.relay {
            relay.client.cut(now, fault);
        }
    }

    /// Tells the TURN server that the relay is not needed any more.
    pub(crate) fn close_relay(&mut self, now: Instant) {
        if let Some(relay) = &mut self.relay {
            relay.client.close(now);
            self.outgoing.extend(std::iter::from_fn(|| relay.poll_transmit()));
        }
    }

    /// What became of the relay; sessions have been told.
    pub(crate) fn poll_relay(&mut self, now: Instant) -> Option<News> {
        let relay = self.relay.as_mut()?;
        self.counters.unrelayed += relay.client.take_lost();
        let (news, number) = (relay.client.poll_news()?, relay.number);
        let News::Relayed(address) = news else {
            self.sockets.insert(number, Vec::new());
            return Some(news);
        };
        self.sockets.insert(number, vec![address]);
        let told = self.sessions.iter().filter(|(_, entry)| entry.sockets.contains(&number)).map(|(id, _)| *id);
        for id in told.collect::<Vec<_>>() {
            // A session that does not take it goes on with the addresses it has.
            let _ = self.command(now, id, |session| session.add_relayed_address(now, address));
        }
        Some(news)
    }

    pub(super) fn run_relay(&mut self, now: Instant) {
        if let Some(relay) = &mut self.relay {
            relay.client.handle_timeout(now);
        }
    }

    /// What a peer sent, where it came through the relay; the server's own words are taken here.
    pub(super) fn unwrapped(&mut self, now: Instant, datagram: Datagram) -> Option<Datagram> {
        let Some(relay) = self.relay.as_mut().filter(|relay| relay.way == datagram.socket) else {
            return Some(datagram);
        };
        if datagram.from != relay.server {
            self.counters.strays += 1;
            return None;
        }
        let (from, data): (SocketAddr, BytesMut) = relay.client.handle(now, datagram.data)?;
        Some(Datagram { socket: relay.number, to: None, from, data })
    }

    /// Queues a datagram, wrapped where it goes by the relay.
    pub(super) fn push(&mut self, now: Instant, outgoing: Outgoing) {
        match self.relay.as_mut().filter(|relay| relay.number == outgoing.socket) {
            Some(relay) => relay.client.send(now, outgoing.to, &outgoing.data),
            None => self.outgoing.push_back(outgoing),
        }
    }
}
