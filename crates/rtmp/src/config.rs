//! The service's limits and times.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::{Error, Limits};

/// Limits and times of a [`Service`](crate::Service).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a player waits for a stream before it is told that there is none. Default 15 s, as long as viewers are
    /// kept while a publisher is away.
    pub wait: Duration,
    /// A publisher that sends nothing for this long is dropped. Default 15 s.
    pub publisher_silence: Duration,
    /// A publisher whose bytes complete no frame for this long is dropped. Default 30 s: a byte now and then would hold
    /// the stream's name for ever.
    pub publisher_frame: Duration,
    /// A peer to which nothing could be sent for this long is dropped, and so is one whose kernel does not answer.
    /// Default 15 s.
    pub stall: Duration,
    /// Bytes that the kernel may hold unsent for a player (`TCP_NOTSENT_LOWAT`). Default 128 KiB: a key frame of a
    /// 720p stream; more would hide a slow player from us, less costs wake-ups.
    pub unsent_bytes: u32,
    /// Connections at once; more wait in the system's queue. Default 4,096, at some 20 KiB each beside what a publisher
    /// has under way.
    pub connections: usize,
    /// Writer tasks among which the players of a stream are shared. Default: one per core.
    pub writers: NonZeroUsize,
    /// Whether a new publisher takes the place of a live one instead of being refused. Default no.
    pub replace_publisher: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(15),
            publisher_silence: Duration::from_secs(15),
            publisher_frame: Duration::from_secs(30),
            stall: Duration::from_secs(15),
            unsent_bytes: 128 << 10,
            connections: 4_096,
            writers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            replace_publisher: false,
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
            ("unsent_bytes must be at least 4096", self.unsent_bytes < 4_096),
            ("publisher_silence must not be 0", self.publisher_silence.is_zero()),
            ("stall must be at least 1 s", self.stall < Duration::from_secs(1)),
            ("connections must not be 0", self.connections == 0),
        ];
        faults.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(fault, _)| Err(Error::Config { fault }))
    }

    /// How a publisher is bounded.
    pub(crate) fn limits(&self) -> Limits {
        Limits { silence: self.publisher_silence, frame: self.publisher_frame }
    }
}
