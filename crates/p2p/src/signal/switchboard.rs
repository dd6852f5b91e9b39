//! Who is connected, and what goes to whom. Knows no socket and no clock.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::Target;
use super::message::{self, Asked};

/// How much the server takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sockets in all. Default 10,000, some 20 KiB each.
    pub sockets: usize,
    /// Sockets in one room. Default 1,000: each newcomer is told to all others.
    pub room_sockets: usize,
    /// Sockets of one uid in a room. Default 4: a page that reconnects, and its forgotten predecessors.
    pub uid_sockets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sockets: 10_000, room_sockets: 1_000, uid_sockets: 4 }
    }
}

/// Names a socket between the driver and the switchboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(u64);

/// A message for a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// For whom.
    pub to: SocketId,
    /// The bytes, as they came where they are relayed.
    pub payload: Bytes,
    /// Whether they go in a text frame.
    pub text: bool,
}

/// Why a socket may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are as many sockets as there may be.
    #[error("the server has as many sockets as it takes")]
    Full,
    /// The room has.
    #[error("the room has as many sockets as it takes")]
    RoomFull,
    /// The uid has.
    #[error("this uid has as many sockets as it may have")]
    UidFull,
}

#[derive(Debug)]
struct Socket {
    room: String,
    uid: String,
    knows_offline: bool,
}

/// All sockets. A room is the set of those that hear of each other.
#[derive(Debug, Default)]
pub struct Switchboard {
    limits: Limits,
    sockets: HashMap<SocketId, Socket>,
    /// The sockets of each room in the order in which they came.
    rooms: HashMap<String, BTreeMap<SocketId, String>>,
    last: u64,
    spoofed: u64,
}

impl Switchboard {
    /// An empty switchboard.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sockets in all.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Rooms with somebody in them.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Messages that were dropped because they came in another's name.
    #[must_use]
    pub fn spoofed(&self) -> u64 {
        self.spoofed
    }

    /// A socket joins its room: it is told who is there, and all others that it has come.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn join(&mut self, target: &Target) -> Result<(SocketId, Vec<Delivery>), Refusal> {
        let room = self.rooms.get(&target.room);
        let of_uid = room.map_or(0, |room| room.values().filter(|uid| **uid == target.uid).count());
        if self.sockets.len() >= self.limits.sockets {
            return Err(Refusal::Full);
        }
        if room.is_some_and(|room| room.len() >= self.limits.room_sockets) {
            return Err(Refusal::RoomFull);
        }
        if of_uid >= self.limits.uid_sockets {
            return Err(Refusal::UidFull);
        }
        self.last = self.last.saturating_add(1);
        let id = SocketId(self.last);
        let room = self.rooms.entry(target.room.clone()).or_default();
        let mut ids: Vec<&str> = Vec::new();
        for uid in room.values().filter(|uid| **uid != target.uid) {
            if !ids.contains(&uid.as_str()) {
                ids.push(uid);
            }
        }
        let mut out = vec![text(id, message::init(&ids))];
        let online = Bytes::from(message::presence("online", &target.uid));
        let others = room.iter().filter(|(_, uid)| **uid != target.uid);
        out.extend(others.map(|(&to, _)| Delivery { to, payload: online.clone(), text: true }));
        room.insert(id, target.uid.clone());
        let socket = Socket { room: target.room.clone(), uid: target.uid.clone(), knows_offline: false };
        self.sockets.insert(id, socket);
        Ok((id, out))
    }

    /// A message came: it goes to every socket of the uid that it names, byte for byte, the sender's own included.
    pub fn handle_message(&mut self, from: SocketId, payload: &Bytes, is_text: bool) -> Vec<Delivery> {
        let Some(socket) = self.sockets.get_mut(&from) else { return Vec::new() };
        match message::read(payload) {
            Asked::Relay { to, from: named } => {
                if named.is_some_and(|named| named != socket.uid) {
                    self.spoofed = self.spoofed.saturating_add(1);
                    return Vec::new();
                }
                let room = self.rooms.get(&socket.room).into_iter().flatten();
                let wanted = room.filter(|(_, uid)| **uid == to).map(|(&to, _)| to);
                wanted.map(|to| Delivery { to, payload: payload.clone(), text: is_text }).collect()
            }
            Asked::Hello => {
                socket.knows_offline = true;
                Vec::new()
            }
            Asked::Nothing => Vec::new(),
        }
    }

    /// A socket is gone. Those who know the event are told when it was the last of its uid.
    pub fn leave(&mut self, id: SocketId) -> Vec<Delivery> {
        let Some(gone) = self.sockets.remove(&id) else { return Vec::new() };
        let Some(room) = self.rooms.get_mut(&gone.room) else { return Vec::new() };
        room.remove(&id);
        if room.is_empty() {
            self.rooms.remove(&gone.room);
            return Vec::new();
        }
        if room.values().any(|uid| *uid == gone.uid) {
            return Vec::new();
        }
        let offline = Bytes::from(message::presence("offline", &gone.uid));
        let knows = |id: &&SocketId| self.sockets.get(id).is_some_and(|socket| socket.knows_offline);
        room.keys().filter(knows).map(|&to| Delivery { to, payload: offline.clone(), text: true }).collect()
    }
}

fn text(to: SocketId, payload: String) -> Delivery {
    Delivery { to, payload: payload.into(), text: true }
}

#[cfg(test)]
mod tests;
