//! The streams that a site offers, each fed by a task of its own while it is wanted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sluicegate_hub::{Hub, Offer, StreamName};
use sluicegate_net::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::StreamConfig;
use crate::FlvPort;
use crate::source::Feeder;

/// All streams of the site by the names that they are offered under.
pub(super) struct Streams {
    hub: Hub,
    port: Arc<dyn FlvPort>,
    shutdown: Shutdown,
    fed: RwLock<BTreeMap<String, Arc<Fed>>>,
    /// Shows in the site's own hub what can be had, so that viewers here find the variants of a stream.
    offers: Mutex<BTreeMap<StreamName, Offer>>,
}

/// A stream of the site's own hub.
#[derive(Debug)]
pub(super) struct Fed {
    pub(super) name: StreamName,
    pub(super) wanted: watch::Sender<usize>,
    pub(super) trouble: watch::Receiver<Option<String>>,
    config: StreamConfig,
    stop: CancellationToken,
}

/// Counts as one who wants a stream's source, as long as it lives.
#[derive(Debug)]
pub struct Want(Arc<Fed>);

impl Want {
    pub(super) fn new(fed: Arc<Fed>) -> Self {
        fed.wanted.send_modify(|count| *count += 1);
        Self(fed)
    }
}

impl Drop for Want {
    fn drop(&mut self) {
        self.0.wanted.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Lets others want the site's streams. Clones share them.
#[derive(Debug, Clone)]
pub struct Wants(pub(super) Arc<Streams>);

impl Wants {
    /// Runs the source of an offered stream until the result is dropped; `None` for what the site does not offer.
    #[must_use]
    pub fn want(&self, name: &StreamName) -> Option<Want> {
        self.0.get(name.as_str()).map(Want::new)
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("fed", &self.fed).finish_non_exhaustive()
    }
}

impl Streams {
    pub(super) fn new(hub: Hub, port: Arc<dyn FlvPort>, shutdown: Shutdown) -> Self {
        Self { hub, port, shutdown, fed: RwLock::default(), offers: Mutex::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Fed>> {
        self.fed.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// The streams that are pushed also while nobody watches.
    pub(super) fn always(&self) -> Vec<Arc<Fed>> {
        let fed = self.fed.read().unwrap_or_else(PoisonError::into_inner);
        fed.values().filter(|fed| fed.config.always).map(Arc::clone).collect()
    }

    /// Feeds these streams from now on. One that stays as it was goes on without a break; one that is gone or changed
    /// ends, and what is still leased of it is pushed anew from its new source.
    pub(super) fn replace(&self, streams: &BTreeMap<StreamName, StreamConfig>, tasks: &mut JoinSet<()>) {
        let mut fed = self.fed.write().unwrap_or_else(PoisonError::into_inner);
        fed.retain(|_, old| {
            let stays = streams.get(&old.name) == Some(&old.config);
            if !stays {
                old.stop.cancel();
                self.hub.cut(&old.name);
            }
            stays
        });
        self.offer(streams);
        for (name, config) in streams {
            fed.entry(name.to_string()).or_insert_with(|| Arc::new(self.feed(name, config, tasks)));
        }
    }

    /// Whoever publishes one of them may: its source, or an encoder at the site's listeners.
    fn offer(&self, streams: &BTreeMap<StreamName, StreamConfig>) {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.retain(|name, _| streams.contains_key(name));
        for name in streams.keys() {
            if !offers.contains_key(name) {
                match self.hub.offer_openly(name) {
                    Ok(offer) => drop(offers.insert(name.clone(), offer)),
                    Err(error) => tracing::debug!(stream = %name, %error, "not shown at the site itself"),
                }
            }
        }
    }

    fn feed(&self, name: &StreamName, config: &StreamConfig, tasks: &mut JoinSet<()>) -> Fed {
        let (wanted, receiver) = watch::channel(0);
        let (trouble, troubles) = watch::channel(None);
        let feeder = Feeder {
            name: name.clone(),
            source: config.source.clone(),
            always: config.always,
            hub: self.hub.clone(),
            port: Arc::clone(&self.port),
            wanted: receiver,
            trouble,
        };
        let (stop, shutdown) = (CancellationToken::new(), self.shutdown.clone());
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = feeder.run(shutdown) => {}
                () = stopped.cancelled() => {}
            }
        });
        Fed { name: name.clone(), wanted, trouble: troubles, config: config.clone(), stop }
    }
}
