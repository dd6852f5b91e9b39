//! When to try again: full jitter, so that a thousand sites do not come back in one wave.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The least wait after a failure.
pub const LEAST: Duration = Duration::from_millis(200);
/// The most.
pub const MOST: Duration = Duration::from_secs(5);
/// A connection that held this long counts as healthy: the next try is at once.
pub const HEALTHY: Duration = Duration::from_secs(10);

/// Waits between tries. The first is at once; try n waits `uniform(0.2 s, min(5 s, 0.25 s x 2^n))`.
#[derive(Debug)]
pub struct Backoff {
    tries: u32,
    random: SmallRng,
}

impl Backoff {
    /// Before the first try. Everybody has another seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { tries: 0, random: SmallRng::seed_from_u64(seed) }
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let tries = self.tries;
        self.tries = tries.saturating_add(1);
        if tries == 0 {
            return Duration::ZERO;
        }
        let most = Duration::from_millis(250).saturating_mul(1 << tries.min(8)).clamp(LEAST, MOST);
        self.random.random_range(LEAST..=most)
    }

    /// Tells how long the last connection held.
    pub fn held_for(&mut self, time: Duration) {
        if time >= HEALTHY {
            self.reset();
        }
    }

    /// The next try is at once, as after an orderly restart of the other side.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_within_their_bounds(seed: u64) {
            let mut backoff = Backoff::new(seed);
            prop_assert_eq!(backoff.next_wait(), Duration::ZERO);
            for tries in 1..20 {
                let wait = backoff.next_wait();
                let most = Duration::from_millis(250 << tries.min(8)).min(MOST);
                prop_assert!(wait >= LEAST && wait <= most.max(LEAST), "{:?}", wait);
            }
            backoff.held_for(Duration::from_secs(9));
            prop_assert!(backoff.next_wait() > Duration::ZERO);
            backoff.held_for(HEALTHY);
            prop_assert_eq!(backoff.next_wait(), Duration::ZERO);
        }
    }
}
