//! How much a library keeps, and for how long.

use std::time::Duration;

use super::MediaError;
use crate::cache::Keep;

/// How much is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of media that are kept in memory. Default 48 MiB: with what else the node needs it stays below 150 MB.
    pub cache_bytes: usize,
    /// Bytes of one part, hence of one segment, at most. Default 64 MiB: ten seconds of 50 Mbit/s.
    pub part_bytes: u64,
    /// How long media is kept. Default 10 min.
    pub part_time: Duration,
    /// How long the answer that something does not exist is kept. Default 5 s.
    pub negative_time: Duration,
    /// How long a failure of the origin is kept, so that it is not asked by everybody at once. Default 1 s.
    pub fault_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cache_bytes: 48 << 20,
            part_bytes: 64 << 20,
            part_time: Duration::from_secs(600),
            negative_time: Duration::from_secs(5),
            fault_time: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// How a failure is kept.
    pub(super) fn failure(&self, error: &MediaError) -> Keep {
        Keep { time: if error.is_fault() { self.fault_time } else { self.negative_time }, bytes: 0 }
    }
}
