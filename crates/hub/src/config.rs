//! The hub's limits and times.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Error, Owner};

/// Limits and times of a [`Hub`](crate::Hub).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Payload bytes that one stream's ring may hold. Default 32 MiB: a 20 s GOP at 12 Mbit/s. Each output format
    /// in use can hold as much again.
    pub ring_bytes: usize,
    /// Media time that one stream's ring may span. Default 20 s: longer than the key-frame intervals that cameras
    /// are set to, so that a joining viewer finds a key frame, and a second for the slow.
    pub ring_span: Duration,
    /// How long viewers are kept while the publisher is away. Default 15 s, as the systems that we replace do.
    pub publisher_away: Duration,
    /// How much media is held back at the start until all announced tracks are known. Default 1 s: encoders send
    /// configurations first; a header that announces sound which never comes costs this once.
    pub settle_span: Duration,
    /// A step of the publisher's clock beyond this, in either direction, is taken for a new clock and bridged.
    /// Backwards the limit is a tenth of it. Default 10 s.
    pub clock_jump: Duration,
    /// Streams in all, also waiting and offered ones. Default 4,096, about 1 KiB each while idle.
    pub max_streams: usize,
    /// Viewers of one stream. Default 20,000.
    pub max_viewers: usize,
    /// What sites may send of streams that have variants. Default no limit.
    pub uplinks: Uplinks,
}

/// What the uplinks of sites are meant to carry of streams, in bits per second of payload. When it is used up, new viewers
/// of a stream that is not carried yet get a leaner variant; nobody is refused for it. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uplinks {
    /// Of each site that is not named.
    pub each: Option<u64>,
    /// Of some sites, by their ids.
    pub sites: BTreeMap<String, u64>,
}

impl Uplinks {
    /// The limit of a site.
    #[must_use]
    pub fn of(&self, site: &Owner) -> Option<u64> {
        self.sites.get(site.as_str()).copied().or(self.each)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ring_bytes: 32 << 20,
            ring_span: Duration::from_secs(20),
            publisher_away: Duration::from_secs(15),
            settle_span: Duration::from_secs(1),
            clock_jump: Duration::from_secs(10),
            max_streams: 4_096,
            max_viewers: 20_000,
            uplinks: Uplinks::default(),
        }
    }
}

impl Config {
    /// Checks that the limits leave room to work.
    ///
    /// # Errors
    /// [`Error::Config`] names the field.
    pub fn validate(&self) -> Result<(), Error> {
        let faults = [
            ("ring_bytes must be at least 65536", self.ring_bytes < 1 << 16),
            ("ring_span must be at least 1 s", self.ring_span < Duration::from_secs(1)),
            ("clock_jump must be at least 1 s", self.clock_jump < Duration::from_secs(1)),
            ("max_streams must not be 0", self.max_streams == 0),
            ("max_viewers must not be 0", self.max_viewers == 0),
        ];
        faults.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(fault, _)| Err(Error::Config { fault }))
    }
}
