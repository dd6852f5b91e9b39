//! Datagrams to sessions and back, and what a session's run brings out.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Datagram, Endpoint, MIN_PAUSE, Outgoing, guarded};
use crate::session::{Carrier, Transmit};
use crate::table::{Check, Claim};
use crate::wire::{Class, Kind, Stun, classify};
use crate::{ChannelId, CloseReason, Event, Message, SessionId, State};

/// Rounds of one run. Two are the rule: what an event makes the session send comes out in the second.
const MAX_ROUNDS: usize = 8;

/// What one run of a session brought out.
#[derive(Default)]
struct Harvest {
    events: Vec<Event>,
    transmits: Vec<Transmit>,
}

impl Endpoint {
    /// Gives a datagram to its session. Datagrams of no session are counted and dropped.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        let Some(datagram) = self.unwrapped(now, datagram) else { return };
        let path = (datagram.socket, datagram.from);
        let mut local = self.announced(&datagram);
        let (mut proven, mut round_trip) = (false, None);
        let id = match classify(&datagram.data) {
            Kind::Stun(stun) if stun.class == Class::Request => {
                stun.receiver().and_then(|fragment| self.table.by_fragment(fragment))
            }
            Kind::Stun(stun) => match self.table.take_check(&stun.transaction, path) {
                Some(check) => {
                    // The answer comes to the address that the check left from.
                    local = Some(check.local);
                    proven = stun.class == Class::Success;
                    round_trip = Some(now.saturating_duration_since(check.sent));
                    Some(check.id)
                }
                None if self.is_mapping(now, datagram.from, &stun) => return,
                None => self.table.by_path(path),
            },
            Kind::Dtls | Kind::Rtp => self.table.by_path(path),
            Kind::Unknown => None,
        };
        let (Some(id), Some(local)) = (id, local) else {
            self.counters.strays += 1;
            return;
        };
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.status.received += datagram.data.len() as u64;
            entry.status.round_trip = round_trip.or(entry.status.round_trip);
        }
        let passive = self.passive.contains(&datagram.socket);
        let handed = self.command(now, id, |session| {
            if passive {
                session.handle_frame(now, local, datagram.from, datagram.data);
            } else {
                session.handle_datagram(now, local, datagram.from, datagram.data);
            }
            Ok(())
        });
        if proven && handed.is_ok() {
            self.claim(now, id, path, true);
        }
    }

    /// The announced address that a datagram was sent to: behind one-to-one NAT the host knows another.
    fn announced(&self, datagram: &Datagram) -> Option<SocketAddr> {
        let announced = self.sockets.get(&datagram.socket)?;
        let exact = announced.iter().find(|address| Some(address.ip()) == datagram.to);
        exact.or_else(|| announced.first()).copied()
    }

    fn claim(&mut self, now: Instant, id: SessionId, path: (usize, SocketAddr), proven: bool) {
        match self.table.claim(now, id, path, proven) {
            Claim::Held => {}
            // A session without proof may still get its path by answering a check.
            Claim::Refused if !proven => {}
            Claim::Refused => self.end(now, id, CloseReason::AddressInUse),
            Claim::Displaced(other) => self.end(now, other, CloseReason::Replaced),
        }
    }

    /// Ends a session for a reason of the endpoint's own.
    pub(crate) fn end(&mut self, now: Instant, id: SessionId, reason: CloseReason) {
        let Some(entry) = self.sessions.get_mut(&id) else { return };
        let harvest = guarded(entry.session.as_mut(), |session| {
            session.close(now);
            harvest(session, true)
        });
        let Some(mut harvest) = harvest else {
            self.fail(id);
            return;
        };
        harvest.events.retain(|event| !matches!(event, Event::State(State::Closed(_))));
        harvest.events.push(Event::State(State::Closed(reason)));
        self.deliver(now, id, harvest);
    }

    /// Runs a session: everything that it has to say comes out, and its next deadline is armed.
    pub(super) fn run(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get_mut(&id) else { return };
        entry.dirty = false;
        self.counters.runs += 1;
        let reading = entry.reading;
        let Some((harvest, deadline)) = guarded(entry.session.as_mut(), |session| {
            let harvest = harvest(session, reading);
            (harvest, session.poll_timeout())
        }) else {
            self.fail(id);
            return;
        };
        let deadline = deadline.map(|at| at.max(now + MIN_PAUSE));
        self.timers.rearm(id, &mut entry.armed, deadline);
        self.deliver(now, id, harvest);
    }

    fn deliver(&mut self, now: Instant, id: SessionId, harvest: Harvest) {
        for transmit in harvest.transmits {
            self.post(now, id, transmit);
        }
        let mut ended = false;
        for event in harvest.events {
            ended |= matches!(event, Event::State(State::Closed(_)));
            self.events.push_back((id, event));
        }
        if ended {
            self.drop_session(id);
        }
    }

    /// As [`post`](Self::post), for packets that most often all go the same way.
    pub(super) fn post_media(&mut self, now: Instant, id: SessionId, transmits: impl Iterator<Item = Transmit>) {
        let (mut way, mut sent) = (None, 0);
        for transmit in transmits {
            let Transmit { carrier, local, remote, .. } = transmit;
            match way {
                Some((known, socket)) if known == (carrier, local, remote) && classify(&transmit.data) == Kind::Rtp => {
                    sent += transmit.data.len() as u64;
                    self.push(now, Outgoing { socket, to: remote, data: transmit.data });
                }
                _ => {
                    let socket = self.post(now, id, transmit);
                    way = socket.map(|socket| ((carrier, local, remote), socket));
                }
            }
        }
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.status.sent += sent;
        }
    }

    /// Queues a datagram; tells by which socket.
    fn post(&mut self, now: Instant, id: SessionId, transmit: Transmit) -> Option<usize> {
        let Transmit { carrier, local, remote, data } = transmit;
        let entry = self.sessions.get_mut(&id)?;
        let announces = |number: &&usize| {
            let announced = self.sockets.get(number).is_some_and(|announced| announced.contains(&local));
            announced && self.passive.contains(number) == (carrier == Carrier::Tcp)
        };
        let socket = entry.sockets.iter().find(announces).copied()?;
        entry.status.sent += data.len() as u64;
        match classify(&data) {
            Kind::Dtls | Kind::Rtp => entry.status.remote = Some(remote),
            Kind::Stun(stun) => match stun.class {
                Class::Request => {
                    let check = Check { id, local, path: (socket, remote), sent: now };
                    self.table.note_check(stun.transaction, check);
                }
                // The session answers only checks that carry its password.
                Class::Success => self.claim(now, id, (socket, remote), false),
                Class::Indication | Class::Failure => {}
            },
            Kind::Unknown => {}
        }
        self.push(now, Outgoing { socket, to: remote, data });
        Some(socket)
    }

    /// Takes the answer of the STUN server. All sessions learn of a new address, which is the one time that they are
    /// gone through.
    fn is_mapping(&mut self, now: Instant, from: SocketAddr, stun: &Stun<'_>) -> bool {
        let Some(mapping) = &mut self.mapping else { return false };
        if !mapping.takes(now, from, &stun.transaction) {
            return false;
        }
        let (base, socket) = (mapping.base, mapping.socket);
        let own = |address: &SocketAddr| self.sockets.values().flatten().any(|announced| announced == address);
        let mapped = stun.mapped_address().filter(|address| !own(address)).map(|mapped| (base, mapped));
        if let Some((base, address)) = mapped
            && self.mapped != mapped
        {
            self.mapped = mapped;
            let told = self.sessions.iter().filter(|(_, entry)| entry.sockets.contains(&socket)).map(|(id, _)| *id);
            for id in told.collect::<Vec<_>>() {
                // A session that does not take it goes on with the addresses it has.
                let _ = self.command(now, id, |session| session.add_mapped_address(now, base, address));
            }
        }
        true
    }
}

fn harvest(session: &mut dyn crate::Session, reading: bool) -> Harvest {
    let mut harvest = Harvest::default();
    for _ in 0..MAX_ROUNDS {
        let before = (harvest.events.len(), harvest.transmits.len());
        harvest.events.extend(std::iter::from_fn(|| session.poll_event()));
        if reading {
            let message = |(channel, message): (ChannelId, Message)| Event::Message { channel, message };
            harvest.events.extend(std::iter::from_fn(|| session.poll_message().map(message)));
        }
        harvest.transmits.extend(std::iter::from_fn(|| session.poll_transmit()));
        if (harvest.events.len(), harvest.transmits.len()) == before {
            break;
        }
    }
    harvest
}
