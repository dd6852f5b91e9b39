//! Sharded writers: a few tasks per stream own their viewers' sockets and write shared bytes to all of them.
//!
//! A writer wakes once per batch and tries each socket once; a socket that takes no more keeps what is left of at
//! most 64 KiB of shared bytes and is looked at again when its waker says so. The cost of a viewer is one system
//! call a batch, and its memory is its socket, its cursor and a parser for what it may say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sluicegate_hub::StreamName;
use tokio_util::sync::CancellationToken;

mod backlog;
mod group;
mod viewer;
mod wake;

pub(crate) use viewer::{Playback, Viewer};

use group::{Arrival, Group, Inbox};

/// The writers of all streams.
#[derive(Debug, Clone)]
pub(crate) struct Shards(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    writers: usize,
    shutdown: CancellationToken,
    streams: Mutex<HashMap<StreamName, Vec<Arc<Inbox>>>>,
}

impl Shards {
    /// Shares the viewers of each stream among at most `writers` tasks, until `shutdown`.
    pub(crate) fn new(writers: usize, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Shared { writers, shutdown, streams: Mutex::default() }))
    }

    /// Gives a viewer to the writer of its stream that has the fewest; `read_ahead` is what it has sent already.
    pub(crate) fn add(&self, viewer: Viewer, read_ahead: Bytes) {
        crate::metrics::viewer_came();
        let name = viewer.name().clone();
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let inboxes = streams.entry(name.clone()).or_default();
        inboxes.retain(|inbox| inbox.population().is_some());
        let least = inboxes.iter().min_by_key(|inbox| inbox.population());
        let vacant = inboxes.len() < self.0.writers && least.is_none_or(|inbox| inbox.population() > Some(0));
        let mut arrival = Box::new(Arrival { viewer, read_ahead });
        if let Some(inbox) = least.filter(|_| !vacant) {
            arrival = match inbox.put(arrival) {
                Ok(()) => return,
                Err(back) => back,
            };
        }
        let inbox = Arc::new(Inbox::default());
        // A new inbox is open, so it takes the viewer.
        if inbox.put(arrival).is_ok() {
            inboxes.push(Arc::clone(&inbox));
            self.spawn(name, inbox);
        }
    }

    fn spawn(&self, name: StreamName, inbox: Arc<Inbox>) {
        let group = Group::new(inbox, self.0.shutdown.clone());
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            // The writer yields by itself; the runtime's budget would stop it at 128 sockets and wake each of them.
            tokio::task::coop::unconstrained(group.run()).await;
            shared.forget(&name);
        });
    }
}

impl Shared {
    fn forget(&self, name: &StreamName) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inboxes) = streams.get_mut(name) {
            inboxes.retain(|inbox| inbox.population().is_some());
            if inboxes.is_empty() {
                streams.remove(name);
            }
        }
    }
}
