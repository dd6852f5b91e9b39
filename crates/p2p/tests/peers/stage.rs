//! A signalling server, nodes with made-up segments, and waiting with a deadline.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_p2p::chunk::{Code, Key};
use sluicegate_p2p::node::{Config, Node, Peers, Segments};
use sluicegate_p2p::signal;
use url::Url;

/// No step of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long a node waits for somebody who has a segment.
pub(crate) const FOUND: Duration = Duration::from_secs(2);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Waits for a peer, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

/// Segments whose bytes follow from their place.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) segments: HashMap<Key, Bytes>,
    /// A segment with this id never comes.
    pub(crate) hangs: Option<String>,
    /// What was asked for.
    pub(crate) asked: Mutex<Vec<Key>>,
}

/// The bytes of a segment.
pub(crate) fn bytes(key: &Key, length: usize) -> Bytes {
    let seed = usize::try_from(key.index).unwrap_or(0) * 7 + key.id.len();
    // A period that no chunk length is a multiple of: a chunk in the wrong place shows.
    (0..length).map(|at| u8::try_from((at / 3 + at * 13 + seed) % 251).unwrap_or(0)).collect()
}

impl Shelf {
    pub(crate) fn with(segments: &[(&str, u64, usize)]) -> Self {
        let keys = segments.iter().map(|(id, index, length)| (Key::new(*id, *index), *length));
        let segments = keys.map(|(key, length)| (key.clone(), bytes(&key, length))).collect();
        Self { segments, ..Self::default() }
    }
}

impl Segments for Shelf {
    fn length(&self, key: Key) -> BoxFuture<'static, Option<u64>> {
        if self.hangs.as_ref() == Some(&key.id) {
            return Box::pin(std::future::pending());
        }
        let length = self.segments.get(&key).map(|segment| segment.len() as u64);
        Box::pin(std::future::ready(length))
    }

    fn cached(&self, key: &Key) -> bool {
        self.segments.contains_key(key) && self.hangs.as_ref() != Some(&key.id)
    }

    fn segment(&self, key: Key) -> BoxFuture<'static, Result<Bytes, Code>> {
        if self.hangs.as_ref() == Some(&key.id) {
            return Box::pin(std::future::pending());
        }
        let segment = self.segments.get(&key).cloned().ok_or(Code::NotFound);
        self.asked.lock().unwrap().push(key);
        Box::pin(std::future::ready(segment))
    }
}

/// A signalling server; it ends with this.
pub(crate) struct Stage {
    pub(crate) address: String,
    pub(crate) shutdown: Shutdown,
    service: signal::Service,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let shutdown = Shutdown::new();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, listener::Config::default()).await.unwrap();
        let address = listener.local_addr().to_string();
        let service = signal::Service::new(signal::Config::default(), shutdown.clone());
        tokio::spawn(listener.serve(service.router(), shutdown.clone()));
        Self { address, shutdown, service }
    }

    /// Waits until so many sockets are there.
    pub(crate) async fn holds(&self, sockets: usize) {
        until("sockets", || self.service.counts().0 == sockets).await;
    }

    pub(crate) fn config(&self, uid: &str) -> Config {
        let mut config = Config::new(uid, Url::parse(&format!("ws://{}/uid/", self.address)).unwrap());
        config.rtc.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config
    }

    pub(crate) fn node(&self, uid: &str, shelf: Shelf) -> (Node, Shutdown) {
        self.start(self.config(uid), Arc::new(shelf))
    }

    pub(crate) fn start(&self, config: Config, shelf: Arc<Shelf>) -> (Node, Shutdown) {
        let shutdown = Shutdown::new();
        let tls = ClientTls::insecure().unwrap();
        (Node::start(config, shelf, tls, shutdown.clone()).unwrap(), shutdown)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// Waits until a node has so many peers with an open channel.
pub(crate) async fn connected(node: &Node, peers: usize) {
    until("connected peers", || node.peers().iter().filter(|peer| peer.label.is_some()).count() == peers).await;
}
