//! The table of relays: streams that are copied to other servers or from them, and how each of these copies stands.
//!
//! A protocol registers itself as a [`Target`] under its URL schemes or its own name, so that services need not know
//! each other. The table tries again as each relay's [`Retry`] says, and tells its state.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Hub;

mod demand;
mod run;
mod spec;
mod standing;

pub use spec::{Direction, Retry, Spec};
pub use standing::{Standing, State, Status};

/// Relays in all, those that have stopped or failed not counted. Each costs a connection and a viewer's place.
pub const MAX_RELAYS: usize = 256;
/// Relays that have stopped or failed and are still shown.
const MAX_ENDED: usize = 64;

/// Why a transfer ended.
pub type TargetError = Box<dyn std::error::Error + Send + Sync>;
/// A transfer under way; dropping it ends it.
pub type Transfer = Pin<Box<dyn Future<Output = Result<(), TargetError>> + Send>>;

/// A protocol that can push a stream to a URL, and perhaps pull one.
pub trait Target: Send + Sync + 'static {
    /// Does what `spec` asks, until the stream ends or `progress` is stopped. Pulls are asked only of a protocol that
    /// [pulls](Self::pulls).
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer;

    /// Whether it pulls as well.
    fn pulls(&self) -> bool {
        false
    }
}

/// What a transfer tells, and hears.
#[derive(Debug, Clone)]
pub struct Progress {
    state: watch::Sender<Standing>,
    stop: CancellationToken,
}

impl Progress {
    /// The other side takes the stream.
    pub fn publishing(&self) {
        self.tell(State::Publishing, None);
    }

    /// The stream comes from the other side.
    pub fn playing(&self) {
        self.tell(State::Playing, None);
    }

    /// The other side is there and has been asked; it knows the transfer by `remote_id`.
    pub fn asked(&self, remote_id: impl Into<String>) {
        let remote_id = Some(remote_id.into());
        self.state.send_modify(|standing| standing.remote_id = remote_id);
    }

    fn tell(&self, state: State, reason: Option<String>) {
        self.state.send_modify(|standing| {
            (standing.state, standing.reason, standing.since) = (state, reason, SystemTime::now());
        });
    }

    /// Cancelled when the relay is to end in order.
    #[must_use]
    pub fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }
}

/// Why a relay was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No protocol is registered for the URL's scheme.
    #[error("nothing here pushes to {scheme}: URLs")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The protocol pushes only.
    #[error("nothing here pulls by {protocol}")]
    Direction {
        /// The protocol.
        protocol: String,
    },
    /// Only what comes from elsewhere can wait for a viewer.
    #[error("on demand is for pulls: a push would have nobody to wait for")]
    Demand,
    /// The same copy of the same stream is under way.
    #[error("the same relay is under way, with id {id}")]
    Exists {
        /// Its number.
        id: u64,
    },
    /// There are [`MAX_RELAYS`].
    #[error("there are {MAX_RELAYS} relays, which is the limit")]
    TooMany,
}

/// The relays of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Relays(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Where streams are offered that are pulled on demand.
    hub: Option<Hub>,
    table: Mutex<Table>,
    /// Counts changes of which relays there are.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Table {
    targets: BTreeMap<&'static str, Arc<dyn Target>>,
    relays: BTreeMap<u64, Relay>,
    last: u64,
}

struct Relay {
    spec: Spec,
    created: SystemTime,
    state: watch::Sender<Standing>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Relays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relays").field("relays", &self.list()).finish()
    }
}

impl Relays {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty table for streams of this hub, which can be pulled on demand.
    #[must_use]
    pub fn of(hub: &Hub) -> Self {
        Self(Arc::new(Inner { hub: Some(hub.clone()), ..Inner::default() }))
    }

    /// Relays to URLs of these schemes, or by protocols of these names, go through `target`.
    pub fn register(&self, names: &[&'static str], target: &Arc<dyn Target>) {
        let mut table = self.lock();
        names.iter().for_each(|name| drop(table.targets.insert(name, Arc::clone(target))));
    }

    /// Whether a protocol is registered for this scheme or by this name.
    #[must_use]
    pub fn speaks(&self, scheme: &str) -> bool {
        self.lock().targets.contains_key(scheme)
    }

    /// Begins a relay. The same is begun once: the one that there is is returned.
    ///
    /// # Errors
    /// [`Error`], but for [`Error::Exists`].
    pub fn push(&self, spec: Spec) -> Result<(u64, watch::Receiver<Standing>), Error> {
        let mut table = self.lock();
        if let Some(id) = table.same(&spec)
            && let Some(relay) = table.relays.get_mut(&id)
        {
            relay.spec.saved |= spec.saved;
            let found = (id, relay.state.subscribe());
            drop(table);
            self.changed();
            return Ok(found);
        }
        let begun = table.begin(spec, self.0.hub.as_ref())?;
        drop(table);
        self.changed();
        Ok(begun)
    }

    /// Begins a relay that is not under way.
    ///
    /// # Errors
    /// [`Error`].
    pub fn begin(&self, spec: Spec) -> Result<(u64, watch::Receiver<Standing>), Error> {
        let mut table = self.lock();
        if let Some(id) = table.same(&spec) {
            return Err(Error::Exists { id });
        }
        let begun = table.begin(spec, self.0.hub.as_ref())?;
        drop(table);
        self.changed();
        Ok(begun)
    }

    /// Takes a relay out of the table; one that is under way is ended. Returns whether there was one.
    pub fn forget(&self, id: u64) -> bool {
        let relay = self.lock().relays.remove(&id);
        let was = relay.inspect(|relay| relay.stop.cancel()).is_some();
        self.changed();
        was
    }

    /// Ends a relay in order, and does not keep it over a restart. Returns whether there was one to end.
    pub fn stop(&self, id: u64) -> bool {
        let mut table = self.lock();
        let relay = table.relays.get_mut(&id).filter(|relay| !relay.state.borrow().state.is_ended());
        let was = relay.is_some();
        if let Some(relay) = relay {
            relay.spec.saved = false;
            relay.stop.cancel();
        }
        drop(table);
        self.changed();
        was
    }

    /// How a relay stands, now and from now on.
    #[must_use]
    pub fn watch(&self, id: u64) -> Option<watch::Receiver<Standing>> {
        self.lock().relays.get(&id).map(|relay| relay.state.subscribe())
    }

    /// Ends all, keeping what is saved; for the end of the program.
    pub fn shut_down(&self) {
        self.lock().relays.values().for_each(|relay| relay.stop.cancel());
    }

    /// All relays, in the order in which they were begun.
    #[must_use]
    pub fn list(&self) -> Vec<Status> {
        let table = self.lock();
        let status = |(&id, relay): (&u64, &Relay)| Status {
            id,
            spec: relay.spec.clone(),
            standing: relay.state.borrow().clone(),
            created: relay.created,
        };
        table.relays.iter().map(status).collect()
    }

    /// What is kept over a restart.
    #[must_use]
    pub fn saved(&self) -> Vec<Spec> {
        self.lock().relays.values().map(|relay| relay.spec.clone()).filter(|spec| spec.saved).collect()
    }

    /// Changes when relays come, go or are saved.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A panic while the lock was held leaves a table that is still whole.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    fn is_live(&self) -> bool {
        !self.state.borrow().state.is_ended()
    }
}

impl Table {
    /// A live relay of the same.
    fn same(&self, spec: &Spec) -> Option<u64> {
        let found = self.relays.iter().find(|(_, relay)| relay.spec.is_same(spec) && relay.is_live());
        found.map(|(id, _)| *id)
    }

    fn begin(&mut self, spec: Spec, hub: Option<&Hub>) -> Result<(u64, watch::Receiver<Standing>), Error> {
        let protocol = spec.protocol();
        let target = self.targets.get(protocol.as_str()).map(Arc::clone);
        let target = target.ok_or_else(|| Error::Scheme { scheme: protocol.clone() })?;
        if spec.on_demand && spec.direction == Direction::Push {
            return Err(Error::Demand);
        }
        if spec.direction == Direction::Pull && !target.pulls() {
            return Err(Error::Direction { protocol });
        }
        if self.relays.values().filter(|relay| relay.is_live()).count() >= MAX_RELAYS {
            return Err(Error::TooMany);
        }
        self.last += 1;
        let (id, stop, created) = (self.last, CancellationToken::new(), SystemTime::now());
        let standing = Standing { state: State::New, reason: None, attempts: 0, since: created, remote_id: None };
        let (state, standing) = watch::channel(standing);
        let progress = Progress { state: state.clone(), stop: stop.clone() };
        match hub.filter(|_| spec.on_demand) {
            Some(hub) => drop(tokio::spawn(demand::run(hub.clone(), spec.clone(), target, progress))),
            None => drop(tokio::spawn(run::run(spec.clone(), target, progress))),
        }
        self.relays.insert(id, Relay { spec, created, state, stop });
        self.forget_the_oldest_ended();
        Ok((id, standing))
    }

    fn forget_the_oldest_ended(&mut self) {
        let ended = |relay: &Relay| relay.state.borrow().state.is_ended();
        let old: Vec<u64> = self.relays.iter().filter(|(_, relay)| ended(relay)).map(|(id, _)| *id).collect();
        let surplus = old.len().saturating_sub(MAX_ENDED);
        old.iter().take(surplus).for_each(|id| drop(self.relays.remove(id)));
    }
}

/// Between two tries: 0.5 s, doubled each time, 10 s at most.
fn wait(failures: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << failures.min(5)).min(Duration::from_secs(10))
}

#[cfg(test)]
mod tests;
