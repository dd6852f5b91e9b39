//! Which sites are connected, and how to reach them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{Connection, Pool};

/// A service that a site offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Its name in URLs.
    pub name: String,
}

/// How a site is connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// By a link of ours.
    #[default]
    Native,
    /// By the register connection of the m7s plugin.
    M7s,
}

impl Protocol {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::M7s => "m7s",
        }
    }
}

/// What a site says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteInfo {
    /// How it is connected.
    pub protocol: Protocol,
    /// Its name for people; may be empty.
    pub name: String,
    /// The services that it serves.
    pub services: Vec<ServiceInfo>,
    /// The streams that it offers, by their names at the public host.
    pub streams: Vec<String>,
}

/// One running instance of a site.
#[derive(Debug)]
pub struct Site {
    /// The site's id.
    pub id: String,
    /// The id of the running instance.
    pub instance: String,
    /// When its first connection came.
    pub connected_since: SystemTime,
    /// Where its first connection came from.
    pub address: SocketAddr,
    /// Its connections.
    pub pool: Arc<Pool>,
    /// What it says of itself, now and from now on.
    pub info: watch::Sender<SiteInfo>,
    media_in: Arc<AtomicU64>,
    ended_in: AtomicU64,
    ended_out: AtomicU64,
}

impl Site {
    /// An instance whose first connection has just come.
    #[must_use]
    pub fn new(id: &str, instance: &str, address: SocketAddr) -> Self {
        Self {
            id: id.to_owned(),
            instance: instance.to_owned(),
            connected_since: SystemTime::now(),
            address,
            pool: Arc::default(),
            info: watch::Sender::default(),
            media_in: Arc::default(),
            ended_in: AtomicU64::new(0),
            ended_out: AtomicU64::new(0),
        }
    }

    /// Where bytes of pushed media are counted, which come on connections of their own.
    #[must_use]
    pub fn media_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.media_in)
    }

    /// Keeps the counts of a connection that is about to leave the pool.
    pub fn keep_counts(&self, connection: &Connection) {
        self.ended_in.fetch_add(connection.health().bytes_in(), Ordering::Relaxed);
        self.ended_out.fetch_add(connection.health().bytes_out(), Ordering::Relaxed);
    }

    /// Bytes from the site, over all its connections and pushes.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        let open: u64 = self.pool.connections().iter().map(|connection| connection.health().bytes_in()).sum();
        open + self.ended_in.load(Ordering::Relaxed) + self.media_in.load(Ordering::Relaxed)
    }

    /// Bytes of pushed media from the site.
    #[must_use]
    pub fn media_bytes_in(&self) -> u64 {
        self.media_in.load(Ordering::Relaxed)
    }

    /// Bytes to the site, over all its connections.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        let open: u64 = self.pool.connections().iter().map(|connection| connection.health().bytes_out()).sum();
        open + self.ended_out.load(Ordering::Relaxed)
    }

    /// The shortest of the connections' last round trips.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.pool.connections().iter().filter_map(|connection| connection.health().rtt()).min()
    }
}

/// What came of a site's connection.
#[derive(Debug)]
pub enum Joined {
    /// It belongs to this instance, which has others.
    There(Arc<Site>),
    /// It is the first of its instance, which has taken the place of this one.
    New(Option<Arc<Site>>),
    /// A newer instance has the id.
    Older,
}

/// All connected sites by id.
#[derive(Debug, Default)]
pub struct Directory(RwLock<HashMap<String, Arc<Site>>>);

impl Directory {
    /// The site with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Site>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone)
    }

    /// All sites, ordered by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Site>> {
        let mut all: Vec<_> = self.0.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Puts a site in; returns the one that had its id.
    pub fn insert(&self, site: Arc<Site>) -> Option<Arc<Site>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(site.id.clone(), site)
    }

    /// Finds the instance that a site is one of, or puts it in, at once: two connections of one instance may come together.
    pub fn join(&self, site: &Arc<Site>) -> Joined {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match all.get(&site.id) {
            Some(listed) if listed.instance == site.instance => Joined::There(Arc::clone(listed)),
            Some(listed) if listed.instance > site.instance => Joined::Older,
            _ => Joined::New(all.insert(site.id.clone(), Arc::clone(site))),
        }
    }

    /// Whether this very instance is the one that has its id.
    #[must_use]
    pub fn lists(&self, site: &Arc<Site>) -> bool {
        self.get(&site.id).is_some_and(|listed| Arc::ptr_eq(&listed, site))
    }

    /// Takes this very instance out, if it is still the one that has its id.
    pub fn remove(&self, site: &Arc<Site>) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let listed = all.get(&site.id).is_some_and(|listed| Arc::ptr_eq(listed, site));
        listed && all.remove(&site.id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(instance: &str) -> Arc<Site> {
        Arc::new(Site::new("cam-7", instance, SocketAddr::from(([127, 0, 0, 1], 1))))
    }

    #[test]
    fn connections_that_come_together_have_one_instance() {
        for _ in 0..100 {
            let directory = Directory::default();
            let began = std::sync::Barrier::new(2);
            let join = || {
                let site = site("2");
                began.wait();
                match directory.join(&site) {
                    Joined::There(listed) => (false, listed),
                    Joined::New(None) => (true, site),
                    other => panic!("{other:?}"),
                }
            };
            let (one, other) = std::thread::scope(|scope| {
                let other = scope.spawn(join);
                (join(), other.join().unwrap())
            });
            assert!(one.0 != other.0 && Arc::ptr_eq(&one.1, &other.1) && directory.lists(&one.1));
        }
    }

    #[test]
    fn a_newer_instance_takes_the_place_of_an_older_one() {
        let (directory, first, second) = (Directory::default(), site("1"), site("2"));
        assert!(matches!(directory.join(&first), Joined::New(None)));
        assert!(matches!(directory.join(&second), Joined::New(Some(old)) if Arc::ptr_eq(&old, &first)));
        assert!(matches!(directory.join(&first), Joined::Older));
        assert!(!directory.lists(&first) && !directory.remove(&first) && directory.remove(&second));
    }
}
