//! How much a peer may say: so many messages at once, so many a second. It asks no clock.

use std::time::{Duration, Instant};

/// A peer's allowance of messages.
#[derive(Debug)]
pub struct Allowance {
    left: f64,
    burst: f64,
    rate: f64,
    at: Instant,
}

impl Allowance {
    /// So many messages at once, so many a second for long.
    #[must_use]
    pub fn new(now: Instant, burst: u32, rate: u32) -> Self {
        Self { left: burst.into(), burst: burst.into(), rate: rate.into(), at: now }
    }

    fn grow(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.left, self.at) = ((self.left + gained).min(self.burst), now);
    }

    /// Takes one message. What goes beyond the allowance counts too, so that a flood does not pass at the allowed rate.
    pub fn take(&mut self, now: Instant) -> bool {
        self.grow(now);
        self.left = (self.left - 1.0).max(-self.burst);
        self.left >= 0.0
    }

    /// When the next message is allowed, if it is not now.
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        self.grow(now);
        let lacks = 1.0 - self.left;
        (lacks > 0.0).then(|| now + Duration::from_secs_f64(lacks / self.rate.max(0.001)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_grows_with_time() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now, 2, 1);
        assert!(allowance.take(now) && allowance.take(now) && allowance.next(now).is_some() && !allowance.take(now));
        let later = now + Duration::from_secs(5);
        assert!(allowance.next(later).is_none());
        assert!(allowance.take(later) && allowance.take(later) && !allowance.take(later));
    }
}
