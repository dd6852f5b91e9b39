//! How much a peer may send.

use std::time::Instant;

/// Messages that a peer may send: so many at once, so many a second.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: f64,
    burst: f64,
    rate: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(burst: u32, rate: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { left: burst, burst, rate: f64::from(rate), at: now }
    }

    /// Takes one; whether there was one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.left, self.at) = ((self.left + gained).min(self.burst) - 1.0, self.at.max(now));
        self.left >= 0.0
    }
}
