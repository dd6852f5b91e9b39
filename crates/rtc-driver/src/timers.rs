//! Deadlines of many things, sessions among them, in one ordered set: arming, finding the next and taking the due ones
//! costs the logarithm of their number, and nothing without a due deadline is looked at.

use std::collections::BTreeSet;
use std::time::Instant;

/// One deadline per key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Timers<K> {
    /// Moves a deadline. `armed` is the owner's own note of what stands here.
    pub(crate) fn rearm(&mut self, id: K, armed: &mut Option<Instant>, deadline: Option<Instant>) {
        if *armed == deadline {
            return;
        }
        if let Some(before) = armed.take() {
            self.by_time.remove(&(before, id));
        }
        if let Some(at) = deadline {
            self.by_time.insert((at, id));
        }
        *armed = deadline;
    }

    /// The next deadline of all.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<K> {
        let (at, id) = *self.by_time.first()?;
        (at <= now).then(|| {
            self.by_time.pop_first();
            id
        })
    }

    /// How many have a deadline.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::SessionId;

    #[test]
    fn deadlines_come_in_order_and_move() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (mut timers, mut first, mut second) = (Timers::default(), None, None);
        timers.rearm(SessionId(1), &mut first, Some(at(5)));
        timers.rearm(SessionId(2), &mut second, Some(at(3)));
        assert_eq!(timers.next(), Some(at(3)));
        timers.rearm(SessionId(1), &mut first, Some(at(1)));
        assert_eq!(timers.take_due(at(0)), None);
        assert_eq!(timers.take_due(at(1)), Some(SessionId(1)));
        assert_eq!(timers.take_due(at(2)), None);
        timers.rearm(SessionId(2), &mut second, None);
        assert_eq!((timers.next(), timers.len()), (None, 0));
    }
}
