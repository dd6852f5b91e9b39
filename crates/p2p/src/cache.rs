//! A cache with a budget of bytes, and one request for what many want at the same time.

mod disk;
mod lru;

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

pub use disk::Disk;
pub use lru::Lru;

/// What a failure or a small entry costs beside its own bytes.
const ENTRY: usize = 256;

type Flight<V, E> = BoxFuture<'static, Result<V, E>>;

/// What was read, and what is being read.
///
/// Whoever asks first begins to read, whoever asks meanwhile waits for the same. When nobody waits any more, the
/// reading is dropped. Failures are kept as long as the reader says. Clones share it.
///
/// `sluicegate_p2p_cache_asked_total{store,outcome}` counts who found it `kept`, waited for what was being read
/// (`joined`) and began to read (`read`); `sluicegate_p2p_cache_bytes{store}` is what is kept.
#[derive(Debug)]
pub struct Store<K, V, E> {
    name: &'static str,
    shelf: Arc<Mutex<Shelf<K, V, E>>>,
}

#[derive(Debug)]
struct Shelf<K, V, E> {
    kept: Lru<K, Result<V, E>>,
    flights: HashMap<K, (u64, WeakShared<Flight<V, E>>)>,
    begun: u64,
}

/// For how long a result is kept, and what it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For how long.
    pub time: Duration,
    /// Its bytes.
    pub bytes: usize,
}

impl<K, V, E> Clone for Store<K, V, E> {
    fn clone(&self) -> Self {
        Self { name: self.name, shelf: Arc::clone(&self.shelf) }
    }
}

impl<K, V, E> Store<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// An empty one that keeps at most `budget` bytes; its name is that of its metrics.
    #[must_use]
    pub fn new(name: &'static str, budget: usize) -> Self {
        let shelf = Shelf { kept: Lru::new(budget), flights: HashMap::new(), begun: 0 };
        Self { name, shelf: Arc::new(Mutex::new(shelf)) }
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("sluicegate_p2p_cache_asked_total", "store" => self.name, "outcome" => outcome).increment(1);
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<K, V, E>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept, without reading.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Result<V, E>> {
        self.lock().kept.get(key, Instant::now()).cloned()
    }

    /// Bytes that are kept, and readings that go on.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let shelf = self.lock();
        (shelf.kept.bytes(), shelf.flights.len())
    }

    /// All that is kept, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(K, Result<V, E>)> {
        let now = Instant::now();
        self.lock().kept.iter(now).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Keeps a result, instead of what is kept under that key.
    pub fn put(&self, key: &K, result: Result<V, E>, keep: Keep) {
        let bytes = keep.bytes.saturating_add(ENTRY);
        let mut shelf = self.lock();
        shelf.kept.insert(key.clone(), result, bytes, keep.time, Instant::now());
        // Gauges are of floats; what is kept is far below 2^53.
        let bytes = u32::try_from(shelf.kept.bytes() >> 10).unwrap_or(u32::MAX);
        metrics::gauge!("sluicegate_p2p_cache_bytes", "store" => self.name).set(f64::from(bytes) * 1_024.0);
    }

    /// What is kept; else what `read` gives, which is then kept as `keep` says.
    ///
    /// # Errors
    /// What `read` fails with, or has failed with while that is kept.
    pub async fn get(
        &self,
        key: &K,
        read: impl FnOnce() -> Flight<V, E>,
        keep: impl FnOnce(&Result<V, E>) -> Keep + Send + 'static,
    ) -> Result<V, E> {
        let flight = match self.begin(key, read, keep) {
            Ok(kept) => return kept,
            Err(flight) => flight,
        };
        flight.await
    }

    fn begin(
        &self,
        key: &K,
        read: impl FnOnce() -> Flight<V, E>,
        keep: impl FnOnce(&Result<V, E>) -> Keep + Send + 'static,
    ) -> Result<Result<V, E>, Shared<Flight<V, E>>> {
        let mut shelf = self.lock();
        if let Some(kept) = shelf.kept.get(key, Instant::now()) {
            self.count("kept");
            return Ok(kept.clone());
        }
        if let Some(flight) = shelf.flights.get(key).and_then(|(_, flight)| flight.upgrade()) {
            self.count("joined");
            return Err(flight);
        }
        self.count("read");
        shelf.begun += 1;
        let number = shelf.begun;
        let (reading, landing) = (read(), Landing { store: self.clone(), key: key.clone(), number });
        let flight = async move {
            let result = reading.await;
            landing.done(&result, keep(&result));
            result
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            shelf.flights.insert(key.clone(), (number, weak));
        }
        Err(flight)
    }
}

/// Takes a reading off the list, whether it comes to its end or is dropped.
struct Landing<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    store: Store<K, V, E>,
    key: K,
    number: u64,
}

impl<K, V, E> Landing<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn done(&self, result: &Result<V, E>, keep: Keep) {
        self.store.put(&self.key, result.clone(), keep);
    }
}

impl<K, V, E> Drop for Landing<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        let mut shelf = self.store.lock();
        // Another one may have begun since this one was given up.
        if shelf.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            shelf.flights.remove(&self.key);
        }
    }
}
