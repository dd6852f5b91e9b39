//! The table of relays: streams that are copied to other servers, and how each of these copies stands.
//!
//! A protocol registers itself as a [`Target`] under its URL schemes, so that services need not know each other. The
//! table tries again as each relay's [`Retry`] says, and tells its state.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::StreamName;

mod run;

/// Relays in all, those that have stopped or failed not counted. Each costs a connection and a viewer's place.
pub const MAX_RELAYS: usize = 256;
/// Relays that have stopped or failed and are still shown.
const MAX_ENDED: usize = 64;

/// Why a transfer ended.
pub type TargetError = Box<dyn std::error::Error + Send + Sync>;
/// A transfer under way; dropping it ends it.
pub type Transfer = Pin<Box<dyn Future<Output = Result<(), TargetError>> + Send>>;

/// A protocol that can push a stream to a URL.
pub trait Target: Send + Sync + 'static {
    /// Pushes `stream` to `url` until it ends or `progress` is stopped.
    fn push(&self, stream: StreamName, url: String, progress: Progress) -> Transfer;
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
        self.state.send_modify(|standing| (standing.state, standing.reason) = (State::Publishing, None));
    }

    /// Cancelled when the relay is to end in order.
    #[must_use]
    pub fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }
}

/// How often a relay is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// For ever.
    Always,
    /// This often after a failure; 0 is never.
    Times(u32),
}

/// A relay that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The stream here.
    pub stream: StreamName,
    /// Where it is pushed.
    pub target: String,
    /// How often it is tried again.
    pub retry: Retry,
    /// Whether it is kept over a restart of the program.
    pub saved: bool,
}

/// How a relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not tried yet.
    New,
    /// The target is being reached.
    Connecting,
    /// The target takes the stream.
    Publishing,
    /// It failed and will be tried again.
    Retrying,
    /// Somebody stopped it.
    Stopped,
    /// It failed and will not be tried again.
    Failed,
}

impl State {
    /// Its name in APIs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Connecting => "CONNECTING",
            Self::Publishing => "PUBLISHING",
            Self::Retrying => "RETRYING",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing more happens.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// The state of a relay, with what went wrong last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Why it is retried, stopped or failed.
    pub reason: Option<String>,
    /// How often it was begun.
    pub attempts: u32,
}

/// A relay in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its number, unique in the process.
    pub id: u64,
    /// What was asked for.
    pub spec: Spec,
    /// How it stands.
    pub standing: Standing,
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
    /// There are [`MAX_RELAYS`].
    #[error("there are {MAX_RELAYS} relays, which is the limit")]
    TooMany,
}

/// The relays of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Relays(Arc<Inner>);

#[derive(Default)]
struct Inner {
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

    /// Pushes to URLs of these schemes go through `target`.
    pub fn register(&self, schemes: &[&'static str], target: &Arc<dyn Target>) {
        let mut table = self.lock();
        schemes.iter().for_each(|scheme| drop(table.targets.insert(scheme, Arc::clone(target))));
    }

    /// Whether a protocol is registered for this scheme.
    #[must_use]
    pub fn speaks(&self, scheme: &str) -> bool {
        self.lock().targets.contains_key(scheme)
    }

    /// Begins a push. The same stream to the same target is begun once: the relay that there is is returned.
    ///
    /// # Errors
    /// [`Error`].
    pub fn push(&self, spec: Spec) -> Result<(u64, watch::Receiver<Standing>), Error> {
        let mut table = self.lock();
        let same = |relay: &Relay| relay.spec.stream == spec.stream && relay.spec.target == spec.target;
        let live = |relay: &Relay| !relay.state.borrow().state.is_ended();
        let known = table.relays.iter_mut().find(|(_, relay)| same(relay) && live(relay));
        if let Some((id, relay)) = known {
            relay.spec.saved |= spec.saved;
            let found = (*id, relay.state.subscribe());
            drop(table);
            self.changed();
            return Ok(found);
        }
        let scheme = spec.target.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let target = table.targets.get(scheme.as_str()).map(Arc::clone).ok_or(Error::Scheme { scheme })?;
        if table.relays.values().filter(|relay| live(relay)).count() >= MAX_RELAYS {
            return Err(Error::TooMany);
        }
        table.last += 1;
        let (id, stop) = (table.last, CancellationToken::new());
        let (state, standing) = watch::channel(Standing { state: State::New, reason: None, attempts: 0 });
        let progress = Progress { state: state.clone(), stop: stop.clone() };
        tokio::spawn(run::run(spec.clone(), target, progress));
        table.relays.insert(id, Relay { spec, state, stop });
        table.forget_the_oldest_ended();
        drop(table);
        self.changed();
        Ok((id, standing))
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

impl Table {
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
