//! Writers: a few tasks per stream own their players' sockets and write shared bytes to all of them.
//!
//! A writer wakes once per batch and tries each socket once; a socket that takes no more keeps what is left of at most
//! 64 KiB of shared bytes and is looked at again when its waker says so. The connection has no task of its own meanwhile;
//! it gets one when the client ends the stream, or the stream ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_hub::StreamName;
use sluicegate_net::shutdown::Shutdown;

mod group;
mod player;
mod wake;

pub(crate) use player::{Outcome, Playback, Player};

use group::{Group, Inbox};

/// The writers of all streams.
#[derive(Clone)]
pub(crate) struct Players(Arc<Shared>);

struct Shared {
    /// Tasks among which the players of one stream are shared.
    writers: usize,
    streams: Mutex<HashMap<StreamName, Vec<Arc<Inbox>>>>,
}

impl Players {
    /// Shares the players of each stream among at most `writers` tasks.
    pub(crate) fn new(writers: usize) -> Self {
        Self(Arc::new(Shared { writers, streams: Mutex::default() }))
    }

    /// Gives a player to the writer of its stream that has the fewest.
    pub(crate) fn add(&self, player: Player, shutdown: &Shutdown) {
        let name = player.name().clone();
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let inboxes = streams.entry(name.clone()).or_default();
        inboxes.retain(|inbox| inbox.population().is_some());
        let least = inboxes.iter().min_by_key(|inbox| inbox.population());
        let vacant = inboxes.len() < self.0.writers && least.is_none_or(|inbox| inbox.population() > Some(0));
        let mut arrival = Box::new(player);
        if let Some(inbox) = least.filter(|_| !vacant) {
            arrival = match inbox.put(arrival) {
                Ok(()) => return,
                Err(back) => back,
            };
        }
        let inbox = Arc::new(Inbox::default());
        // A new inbox is open, so it takes the player.
        if inbox.put(arrival).is_ok() {
            inboxes.push(Arc::clone(&inbox));
            self.spawn(name, inbox, shutdown.clone());
        }
    }

    fn spawn(&self, name: StreamName, inbox: Arc<Inbox>, shutdown: Shutdown) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            // The writer yields by itself; the runtime's budget would stop it at 128 sockets and wake each of them.
            tokio::task::coop::unconstrained(Group::new(inbox, shutdown).run()).await;
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
