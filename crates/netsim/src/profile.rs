//! What a link is like.

use std::time::Duration;

/// One direction of a link. Both directions of a [`Net`](crate::Net) are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Bits per second on the wire; `None` for no limit.
    pub rate: Option<u64>,
    /// Time that every packet takes beside its serialisation. Half the round-trip time.
    pub delay: Duration,
    /// Packets lost at random, in a million.
    pub loss_ppm: u32,
    /// Bytes that wait for the wire at most; what comes then is lost, as in a router's queue.
    pub queue_bytes: usize,
}

impl Profile {
    /// No limits: only the cost of the emulation itself.
    pub const CLEAN: Self = Self { rate: None, delay: Duration::ZERO, loss_ppm: 0, queue_bytes: 4 << 20 };
    /// A 4G uplink: 5 Mbit/s, 60 ms round trip, 0.1 % loss, half a second of queue.
    pub const CELLULAR: Self =
        Self { rate: Some(5_000_000), delay: Duration::from_millis(30), loss_ppm: 1_000, queue_bytes: 320_000 };
    /// A thin uplink: 2 Mbit/s, 50 ms round trip, no loss.
    pub const THIN: Self =
        Self { rate: Some(2_000_000), delay: Duration::from_millis(25), loss_ppm: 0, queue_bytes: 128_000 };

    /// The same, losing this many packets in a million.
    #[must_use]
    pub const fn with_loss_ppm(self, loss_ppm: u32) -> Self {
        Self { loss_ppm, ..self }
    }

    /// The same, with this one-way delay.
    #[must_use]
    pub const fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}
