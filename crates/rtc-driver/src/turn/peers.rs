//! Whom a relay lets through: addresses that are permitted, and channels to those that much is sent to (RFC 8656
//! sections 9 and 12).
//!
//! Checks go to many addresses and come back from few, so that a permission, which is for all ports of an address, is
//! what they get, and a channel only who is sent more.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;

/// Addresses permitted or asked for at once; what goes to further ones is lost. A session has a few each.
const MAX_PERMISSIONS: usize = 4096;
/// Datagrams that wait for the permission of an address, the first check of each of its candidates; it takes one round
/// trip.
const MAX_WAITING: usize = 8;
/// The server forgets a permission after 300 s; asking again takes 16 s at most.
pub(super) const RENEW: Duration = Duration::from_secs(240);
/// How long an address that the server refuses is not asked for again.
const REFUSED: Duration = Duration::from_secs(60);
/// Channel numbers (RFC 8656 section 12), which bounds the channels: what goes to further peers takes 36 bytes more each.
const NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4FFF;
/// How long a number belongs to its peer after the last binding: 10 minutes, and 5 during which it must rest.
const RESERVED: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
enum Permission {
    /// Asked for; these datagrams wait.
    Asked(Vec<(SocketAddr, BytesMut)>),
    /// Granted, and whether it was made use of since the last renewal.
    Granted { used: bool },
    /// Not to be had.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    Bound,
    /// Not to be had, or not needed any more: the number rests.
    Resting,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    state: State,
    used: bool,
    /// When it was last asked for.
    asked: Instant,
}

/// How a datagram goes to a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By this channel.
    Channel(u16),
    /// With the peer's address.
    Addressed,
    /// It waits for a permission, which is to be asked for now.
    Ask,
    /// It waits for a permission that is asked for.
    Waits,
    /// It is lost.
    None,
}

/// What is to be done at a deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask the server again.
    Renew,
    /// Look again in so long.
    Wait(Duration),
    /// Nothing: it is forgotten.
    Forgotten,
}

/// All that one allocation lets through.
#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: HashMap<IpAddr, Permission>,
    channels: HashMap<SocketAddr, Channel>,
    numbers: HashMap<u16, SocketAddr>,
    last: u16,
}

impl Peers {
    /// The way to a peer. A datagram that waits is kept here.
    pub(super) fn way(&mut self, peer: SocketAddr, data: &BytesMut) -> Way {
        if let Some(channel) = self.channels.get_mut(&peer)
            && channel.state == State::Bound
        {
            channel.used = true;
            return Way::Channel(channel.number);
        }
        let room = self.permissions.len() < MAX_PERMISSIONS;
        match self.permissions.get_mut(&peer.ip()) {
            Some(Permission::Granted { used }) => {
                *used = true;
                Way::Addressed
            }
            Some(Permission::Asked(waiting)) if waiting.len() < MAX_WAITING => {
                waiting.push((peer, data.clone()));
                Way::Waits
            }
            None if room => {
                self.permissions.insert(peer.ip(), Permission::Asked(vec![(peer, data.clone())]));
                Way::Ask
            }
            _ => Way::None,
        }
    }

    /// The server permits an address; returns what waited for it.
    pub(super) fn granted(&mut self, ip: IpAddr) -> Vec<(SocketAddr, BytesMut)> {
        match self.permissions.get_mut(&ip) {
            // A renewal is no use.
            None | Some(Permission::Granted { .. }) => Vec::new(),
            Some(permission) => match std::mem::replace(permission, Permission::Granted { used: true }) {
                Permission::Asked(waiting) => waiting,
                _ => Vec::new(),
            },
        }
    }

    /// The server does not permit an address; tells for how long that holds.
    pub(super) fn refused(&mut self, ip: IpAddr) -> Duration {
        self.permissions.insert(ip, Permission::Refused);
        REFUSED
    }

    /// A permission's deadline has come.
    pub(super) fn permission_due(&mut self, ip: IpAddr) -> Next {
        if let Some(Permission::Granted { used }) = self.permissions.get_mut(&ip)
            && std::mem::take(used)
        {
            return Next::Renew;
        }
        self.permissions.remove(&ip);
        Next::Forgotten
    }

    /// The number for a channel that is to be asked for; none where the peer has one, or there is none left.
    pub(super) fn open(&mut self, now: Instant, peer: SocketAddr) -> Option<u16> {
        if let Some(channel) = self.channels.get_mut(&peer) {
            // A peer takes up its number again, but one that was refused just now would be again.
            let rested = channel.state == State::Resting && now >= channel.asked + RENEW;
            return rested.then(|| {
                (channel.state, channel.used, channel.asked) = (State::Asked, true, now);
                channel.number
            });
        }
        if self.numbers.len() >= NUMBERS.len() {
            return None;
        }
        let span = NUMBERS.end() - NUMBERS.start() + 1;
        let mut free = (0..span).map(|step| NUMBERS.start() + (self.last + step) % span);
        let number = free.find(|number| !self.numbers.contains_key(number))?;
        self.last = (number - NUMBERS.start() + 1) % span;
        self.numbers.insert(number, peer);
        self.channels.insert(peer, Channel { number, state: State::Asked, used: true, asked: now });
        Some(number)
    }

    /// The server has bound a channel, or not.
    pub(super) fn opened(&mut self, peer: SocketAddr, bound: bool) {
        if let Some(channel) = self.channels.get_mut(&peer) {
            channel.state = if bound { State::Bound } else { State::Resting };
        }
    }

    /// A channel's deadline has come; it is renewed while it is in use, which renews the permission, too.
    pub(super) fn channel_due(&mut self, now: Instant, peer: SocketAddr) -> (Next, u16) {
        let Some(channel) = self.channels.get_mut(&peer) else { return (Next::Forgotten, 0) };
        let number = channel.number;
        if channel.state == State::Bound && std::mem::take(&mut channel.used) {
            channel.asked = now;
            return (Next::Renew, number);
        }
        channel.state = State::Resting;
        let free = channel.asked + RESERVED;
        if now < free {
            return (Next::Wait(free - now), number);
        }
        self.channels.remove(&peer);
        self.numbers.remove(&number);
        (Next::Forgotten, number)
    }

    /// Whose channel this is.
    pub(super) fn by_number(&self, number: u16) -> Option<SocketAddr> {
        self.numbers.get(&number).copied()
    }

    /// Entries of all kinds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.permissions.len() + self.channels.len() + self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::from((0x0A00_0000_u32 + number).to_be_bytes()), 5000)
    }

    #[test]
    fn what_is_not_used_is_forgotten_and_numbers_rest() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let check = BytesMut::from(&b"check"[..]);
        assert_eq!(peers.way(peer(1), &check), Way::Ask);
        assert_eq!(peers.way(peer(1), &check), Way::Waits);
        assert_eq!(peers.granted(peer(1).ip()).len(), 2);
        assert_eq!(peers.way(peer(1), &check), Way::Addressed);
        assert_eq!(peers.open(now, peer(1)), Some(0x4000));
        assert_eq!(peers.open(now, peer(1)), None);
        assert_eq!(peers.way(peer(1), &check), Way::Addressed);
        peers.opened(peer(1), true);
        assert_eq!((peers.way(peer(1), &check), peers.by_number(0x4000)), (Way::Channel(0x4000), Some(peer(1))));
        assert_eq!(peers.permission_due(peer(1).ip()), Next::Renew);
        assert_eq!(peers.permission_due(peer(1).ip()), Next::Forgotten);
        let renewed = now + RENEW;
        assert_eq!(peers.channel_due(renewed, peer(1)).0, Next::Renew);
        assert_eq!(peers.channel_due(renewed + RENEW, peer(1)).0, Next::Wait(RESERVED - RENEW));
        assert_eq!(peers.way(peer(1), &check), Way::Ask);
        // Nobody else gets the number meanwhile, its peer does.
        assert_eq!(peers.open(renewed + RENEW, peer(2)), Some(0x4001));
        assert_eq!(peers.open(renewed + RENEW, peer(1)), Some(0x4000));
        peers.opened(peer(1), false);
        assert_eq!(peers.open(renewed + RENEW, peer(1)), None);
        assert_eq!(peers.channel_due(renewed + RENEW + RESERVED, peer(1)).0, Next::Forgotten);
        assert_eq!(peers.by_number(0x4000), None);
    }

    #[test]
    fn tables_are_bounded() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let check = BytesMut::from(&b"check"[..]);
        for number in 0..10_000 {
            peers.way(peer(number), &check);
            peers.open(now, peer(number));
        }
        assert_eq!(peers.len(), MAX_PERMISSIONS + 2 * NUMBERS.len());
        assert_eq!(peers.way(peer(20_000), &check), Way::None);
        for port in 0..20 {
            peers.way(SocketAddr::new(peer(1).ip(), port), &check);
        }
        assert_eq!(peers.granted(peer(1).ip()).len(), MAX_WAITING);
        peers.refused(peer(2).ip());
        assert_eq!(peers.way(peer(2), &check), Way::None);
    }
}
