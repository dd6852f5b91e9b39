//! The writers of all streams, and who goes to which.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_hub::StreamName;

use crate::group::{Group, Inbox};
use crate::{Protocol, Viewer};

/// The writers of all streams of one service, which is one protocol. Clones share them.
pub struct Writers<P>(Arc<Shared<P>>);

struct Shared<P> {
    writers: usize,
    streams: Mutex<Inboxes<P>>,
}

/// The writers of each stream.
type Inboxes<P> = HashMap<StreamName, Vec<Arc<Inbox<P>>>>;

impl<P> Clone for Writers<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> fmt::Debug for Writers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writers").field("writers", &self.0.writers).finish_non_exhaustive()
    }
}

impl<P: Protocol> Writers<P> {
    /// Shares the viewers of each stream among at most `writers` tasks.
    #[must_use]
    pub fn new(writers: NonZeroUsize) -> Self {
        Self(Arc::new(Shared { writers: writers.get(), streams: Mutex::default() }))
    }

    /// Gives a viewer to the writer of its stream that has the fewest, within a runtime of tokio. `shutdown` is done when
    /// the server goes away; it is the same for all viewers.
    pub fn add(&self, viewer: Viewer<P>, shutdown: impl Future<Output = ()> + Send + 'static) {
        let name = viewer.feed().name().clone();
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let inboxes = streams.entry(name.clone()).or_default();
        inboxes.retain(|inbox| inbox.population().is_some());
        let least = inboxes.iter().min_by_key(|inbox| inbox.population());
        let vacant = inboxes.len() < self.0.writers && least.is_none_or(|inbox| inbox.population() > Some(0));
        let mut viewer = Box::new(viewer);
        if let Some(inbox) = least.filter(|_| !vacant) {
            viewer = match inbox.put(viewer) {
                Ok(()) => return,
                Err(back) => back,
            };
        }
        let inbox = Arc::new(Inbox::default());
        // A new inbox is open, so it takes the viewer.
        if inbox.put(viewer).is_ok() {
            inboxes.push(Arc::clone(&inbox));
            self.spawn(name, inbox, shutdown);
        }
    }

    fn spawn(&self, name: StreamName, inbox: Arc<Inbox<P>>, shutdown: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            // The writer yields by itself; the runtime's budget would stop it at 128 sockets and wake each of them.
            tokio::task::coop::unconstrained(Group::new(inbox).run(shutdown)).await;
            shared.forget(&name);
        });
    }
}

impl<P> Shared<P> {
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
