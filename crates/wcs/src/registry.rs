//! Who is connected, with which streams; the way to each session's task.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::Muted;
use crate::message::Role;
use crate::server::Stream;
use crate::socket::Takeover;

/// Commands that wait for one session; more are lost on it. Each is small.
pub(crate) const WAITING: usize = 256;

/// What a session's task hears from outside.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// A publisher tells the players of a name something.
    Event { name: String, kind: String, payload: Option<Value> },
    /// The publisher of a name has ended, and is about to say why.
    PublisherParts { name: String },
    /// The publisher of a name has ended; for all its players, or those who wait for it.
    PublisherEnd { name: String, info: &'static str, waiting: bool },
    /// The REST interface ends a stream.
    Terminate { id: String },
    /// The REST interface wants the session's messages in the log, or no more.
    Follow(bool),
    /// The REST interface ends the session.
    Disconnect,
}

/// What a publisher tells its players: what kind of event, and what comes along.
pub(crate) type Told = (String, Option<Value>);

/// A connected client.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) token: String,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) since: SystemTime,
    pub(crate) client: Map<String, Value>,
    pub(crate) streams: BTreeMap<String, Listed>,
    commands: mpsc::Sender<Command>,
    /// The name to come back by, and the way there.
    kept: Option<(String, mpsc::Sender<Takeover>)>,
}

/// A stream of a connected client.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) stream: Stream,
    pub(crate) since: SystemTime,
}

impl Entry {
    pub(crate) fn send(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!(session = self.token, "a session does not keep up with what others tell it");
        }
    }

    fn plays(&self, name: &str) -> bool {
        self.streams.values().any(|listed| listed.stream.role == Role::Play && listed.stream.name == name)
    }
}

/// The connected clients. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<u64, Entry>,
    last: u64,
    /// What publishers have muted, by the stream's name; those that have muted nothing are not in it.
    muted: BTreeMap<String, Muted>,
    /// Relays that hear what publishers of a name tell, as its players do.
    relays: Vec<(String, mpsc::Sender<Told>)>,
}

impl Registry {
    /// A panic while the lock was held leaves a table that is still whole.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client unless there are `limit`.
    pub(crate) fn join(
        &self,
        token: &str,
        address: Option<SocketAddr>,
        limit: usize,
    ) -> Option<(u64, mpsc::Receiver<Command>)> {
        let mut table = self.lock();
        if table.entries.len() >= limit {
            return None;
        }
        table.last += 1;
        let (key, (commands, hearing)) = (table.last, mpsc::channel(WAITING));
        let (token, since) = (token.to_owned(), SystemTime::now());
        let entry = Entry { token, address, since, client: Map::new(), streams: BTreeMap::new(), commands, kept: None };
        table.entries.insert(key, entry);
        crate::metrics::sessions(table.entries.len());
        Some((key, hearing))
    }

    pub(crate) fn leave(&self, key: u64) {
        let mut table = self.lock();
        table.entries.remove(&key);
        crate::metrics::sessions(table.entries.len());
    }

    /// Notes that a session's client may come back by a name.
    pub(crate) fn keep(&self, key: u64, name: &str, to: &mpsc::Sender<Takeover>) {
        let mut table = self.lock();
        let entry = table.entries.get_mut(&key).filter(|entry| entry.kept.is_none());
        entry.into_iter().for_each(|entry| entry.kept = Some((name.to_owned(), to.clone())));
    }

    /// The way to the session of a name.
    pub(crate) fn kept(&self, name: &str) -> Option<mpsc::Sender<Takeover>> {
        let table = self.lock();
        let mut kept = table.entries.values().filter_map(|entry| entry.kept.as_ref());
        kept.find(|(known, _)| known == name).map(|(_, to)| to.clone())
    }

    /// Notes what a session has now.
    pub(crate) fn update<'a>(
        &self,
        key: u64,
        client: &Map<String, Value>,
        streams: impl Iterator<Item = (&'a str, &'a Stream)>,
    ) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&key) else { return };
        if entry.client.is_empty() {
            entry.client.clone_from(client);
        }
        let known = std::mem::take(&mut entry.streams);
        let since = |id: &str| known.get(id).map_or_else(SystemTime::now, |listed| listed.since);
        entry.streams =
            streams.map(|(id, stream)| (id.to_owned(), Listed { stream: stream.clone(), since: since(id) })).collect();
    }

    /// Whether another session than `key` has a stream of this identification.
    pub(crate) fn is_taken(&self, key: u64, id: &str) -> bool {
        let table = self.lock();
        table.entries.iter().any(|(other, entry)| *other != key && entry.streams.contains_key(id))
    }

    pub(crate) fn list(&self) -> Vec<Entry> {
        self.lock().entries.values().cloned().collect()
    }

    /// The publisher of a name tells its players something, and those who come later if it concerns them.
    pub(crate) fn tell(&self, name: &str, kind: &str, payload: Option<&Value>) {
        let mut table = self.lock();
        let mut muted = table.muted.remove(name).unwrap_or_default();
        muted.note(kind);
        if muted != Muted::default() {
            table.muted.insert(name.to_owned(), muted);
        }
        let (name, kind, payload) = (name.to_owned(), kind.to_owned(), payload.cloned());
        for (_, relay) in table.relays.iter().filter(|(heard, _)| *heard == name) {
            // A relay that does not keep up misses it, as a session does.
            let _ = relay.try_send((kind.clone(), payload.clone()));
        }
        table.tell_players(&name.clone(), &Command::Event { name, kind, payload });
    }

    /// What the publisher of a name has muted.
    pub(crate) fn muted(&self, name: &str) -> Muted {
        self.lock().muted.get(name).copied().unwrap_or_default()
    }

    /// What the publishers of a name tell from now on, as long as somebody listens.
    pub(crate) fn listen(&self, name: &str) -> mpsc::Receiver<Told> {
        let mut table = self.lock();
        table.relays.retain(|(_, relay)| !relay.is_closed());
        let (told, hearing) = mpsc::channel(WAITING);
        table.relays.push((name.to_owned(), told));
        hearing
    }

    /// The publisher of a name is gone, with what it has muted.
    pub(crate) fn unpublished(&self, name: &str) {
        self.lock().muted.remove(name);
    }

    /// Whether a client publishes a name.
    pub(crate) fn has_publisher(&self, name: &str) -> bool {
        let table = self.lock();
        let mut streams = table.entries.values().flat_map(|entry| entry.streams.values());
        streams.any(|listed| listed.stream.holds_its_name() && listed.stream.name == name)
    }

    /// Tells all sessions that play a name that it is about to be said why it has ended.
    pub(crate) fn part_players(&self, name: &str) {
        self.lock().tell_players(name, &Command::PublisherParts { name: name.to_owned() });
    }

    /// Tells all sessions that play a name that it has ended.
    pub(crate) fn end_players(&self, name: &str, info: &'static str, waiting: bool) {
        self.lock().tell_players(name, &Command::PublisherEnd { name: name.to_owned(), info, waiting });
    }
}

impl Table {
    fn tell_players(&self, name: &str, command: &Command) {
        self.entries.values().filter(|entry| entry.plays(name)).for_each(|entry| entry.send(command.clone()));
    }
}
