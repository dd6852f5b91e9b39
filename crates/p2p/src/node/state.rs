//! What the tasks of a node share, and what is shown of it.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::link::Command;
use super::{Config, Segments};
use crate::chunk::Key;
use crate::pacer::{Kind, Share};
use crate::peer::Progress;

/// The peers of a node, for whoever shows them.
pub trait Peers: Send + Sync {
    /// The node's own uid.
    fn uid(&self) -> &str;

    /// Its peers, connected or not yet.
    fn peers(&self) -> Vec<PeerInfo>;
}

/// What is shown of one peer.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its uid.
    pub uid: String,
    /// A number of its own, never used twice.
    pub number: u64,
    /// When its connection began.
    pub since: SystemTime,
    /// `new`, `connecting`, `connected` or `disconnected`.
    pub state: &'static str,
    /// The label of its channel, once it is open.
    pub label: Option<String>,
    /// Bytes sent to it that it has not acknowledged.
    pub buffered: usize,
    /// Segments that wait to be sent to it.
    pub tasks: usize,
    /// Further connections with it that are open.
    pub strands: usize,
    /// Bytes of messages sent and received.
    pub sent: u64,
    /// Likewise.
    pub received: u64,
    /// The round trip as last measured.
    pub round_trip: Option<Duration>,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// Who is there.
    pub kind: Kind,
}

/// What changes rarely.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) state: &'static str,
    pub(super) label: Option<String>,
    pub(super) round_trip: Option<Duration>,
    pub(super) address: Option<SocketAddr>,
    pub(super) kind: Kind,
}

/// One peer, as others see it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) uid: String,
    pub(super) number: u64,
    since: SystemTime,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) buffered: AtomicUsize,
    pub(super) tasks: AtomicUsize,
    pub(super) strands: AtomicUsize,
    pub(super) open: AtomicBool,
    pub(super) ours: AtomicBool,
    pub(super) live: Mutex<Live>,
    /// Ends its task.
    pub(super) abort: Mutex<Option<AbortHandle>>,
}

impl Link {
    pub(super) fn new(uid: String, number: u64, commands: mpsc::Sender<Command>) -> Self {
        let live = Live { state: "new", label: None, round_trip: None, address: None, kind: Kind::Browser };
        Self {
            uid,
            number,
            since: SystemTime::now(),
            commands,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            buffered: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            strands: AtomicUsize::new(0),
            open: AtomicBool::new(false),
            ours: AtomicBool::new(false),
            live: Mutex::new(live),
            abort: Mutex::new(None),
        }
    }

    fn info(&self) -> PeerInfo {
        let live = lock(&self.live).clone();
        PeerInfo {
            uid: self.uid.clone(),
            number: self.number,
            since: self.since,
            state: live.state,
            label: live.label,
            buffered: self.buffered.load(Ordering::Relaxed),
            tasks: self.tasks.load(Ordering::Relaxed),
            strands: self.strands.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            round_trip: live.round_trip,
            address: live.address,
            kind: live.kind,
        }
    }
}

/// Whoever waits for a segment hears what becomes of it from each peer.
pub(super) type Listener = mpsc::Sender<(String, Progress)>;

/// What all tasks of a node see.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) segments: Arc<dyn Segments>,
    /// Bytes that we can take in one burst.
    pub(super) window: u32,
    pub(super) share: Mutex<Share>,
    /// Places for further connections.
    pub(super) strands: Arc<Semaphore>,
    pub(super) links: Mutex<HashMap<String, Arc<Link>>>,
    pub(super) listeners: Mutex<Vec<(Key, u64, Listener)>>,
    pub(super) fetches: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a lock guards stays whole when its holder panics: none of it is changed in steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(config: Config, segments: Arc<dyn Segments>, window: u32) -> Self {
        let share = Mutex::new(Share::new(config.upload));
        let strands = Arc::new(Semaphore::new(config.strands.all.min(Semaphore::MAX_PERMITS)));
        let (links, listeners) = (Mutex::default(), Mutex::default());
        Self { config, segments, window, share, strands, links, listeners, fetches: AtomicU64::new(0) }
    }

    pub(super) fn peers(&self) -> Vec<PeerInfo> {
        let mut peers: Vec<PeerInfo> = lock(&self.links).values().map(|link| link.info()).collect();
        peers.sort_by_key(|peer| peer.number);
        peers
    }
}
