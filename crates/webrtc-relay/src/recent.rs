//! What the paths of viewers carried that were here a moment ago: one who loads the page anew begins with what fits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an estimate says something of the next viewer from there.
const KEPT: Duration = Duration::from_secs(60);
/// Addresses at most, about 64 bytes each; beyond it nothing is noted until others have aged.
const MOST: usize = 4_096;

/// Estimates by the addresses that viewers came from.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<HashMap<IpAddr, (u64, Instant)>>);

impl Recent {
    /// Notes what a path carries, in bits per second; `None` while nothing limits it.
    pub(crate) fn note(&self, now: Instant, from: IpAddr, estimate: Option<u64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(estimate) = estimate else {
            all.remove(&from);
            return;
        };
        if all.len() >= MOST && !all.contains_key(&from) {
            all.retain(|_, (_, at)| now.saturating_duration_since(*at) < KEPT);
        }
        if all.len() < MOST || all.contains_key(&from) {
            all.insert(from, (estimate, now));
        }
    }

    /// What was noted of an address, if that was not long ago.
    pub(crate) fn of(&self, now: Instant, from: IpAddr) -> Option<u64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (estimate, at) = *all.get(&from)?;
        (now.saturating_duration_since(at) < KEPT).then_some(estimate)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into()
    }

    #[test]
    fn an_estimate_is_known_for_a_while_and_gone_when_nothing_limits() {
        let (now, recent) = (Instant::now(), Recent::default());
        recent.note(now, address(1), Some(500_000));
        recent.note(now, address(2), Some(700_000));
        recent.note(now, address(2), None);
        assert_eq!((recent.of(now, address(1)), recent.of(now, address(2))), (Some(500_000), None));
        assert_eq!(recent.of(now + KEPT, address(1)), None);
    }

    #[test]
    fn addresses_are_bounded_and_the_old_make_room() {
        let (now, recent) = (Instant::now(), Recent::default());
        (0..=MOST).for_each(|number| recent.note(now, address(number), Some(1)));
        assert_eq!((recent.of(now, address(MOST)), recent.0.lock().unwrap().len()), (None, MOST));
        recent.note(now, address(0), Some(2));
        assert_eq!(recent.of(now, address(0)), Some(2));
        recent.note(now + KEPT, address(MOST), Some(3));
        assert_eq!((recent.of(now + KEPT, address(MOST)), recent.0.lock().unwrap().len()), (Some(3), 1));
    }
}
