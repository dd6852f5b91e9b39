//! Packets in the order of their sequence numbers, waiting a bounded time for those that are missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// One RTP packet as it arrived (RFC 3550 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Counts packets, modulo 2^16.
    pub sequence: u16,
    /// In ticks of the codec's clock, modulo 2^32.
    pub timestamp: u32,
    /// Ends a picture; begins a talk spurt.
    pub marker: bool,
    /// What the codec's RTP format says.
    pub payload: Bytes,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next packet.
    Packet(Packet),
    /// Packets are missing and no longer awaited.
    Gap,
}

/// A step of the sequence number beyond this, in either direction, is a new beginning (as RFC 3550 appendix A.1 has it).
const MAX_STEP: i64 = 3_000;

/// Puts the packets of one source in order.
#[derive(Debug)]
pub(crate) struct Reorder {
    /// The next to deliver, counted without wrapping.
    next: Option<i64>,
    /// The numbers have begun anew, and nobody knows what is missing before.
    anew: bool,
    waiting: BTreeMap<i64, (Instant, Packet)>,
    patience: Duration,
    max_waiting: usize,
}

impl Reorder {
    pub(crate) fn new(patience: Duration, max_waiting: usize) -> Self {
        Self { next: None, anew: false, waiting: BTreeMap::new(), patience, max_waiting }
    }

    /// Takes a packet; one that comes twice or too late is dropped.
    pub(crate) fn push(&mut self, now: Instant, packet: Packet) {
        let next = *self.next.get_or_insert_with(|| i64::from(packet.sequence));
        let distance = i64::from(packet.sequence.wrapping_sub(low16(next)).cast_signed());
        if distance.abs() > MAX_STEP {
            self.waiting.clear();
            (self.next, self.anew) = (None, true);
            return self.push(now, packet);
        }
        if distance >= 0 {
            self.waiting.entry(next.saturating_add(distance)).or_insert((now, packet));
        }
    }

    /// The next step that is certain at `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Step> {
        if std::mem::take(&mut self.anew) {
            return Some(Step::Gap);
        }
        let next = self.next?;
        let (&first, &(arrived, _)) = self.waiting.first_key_value()?;
        if first > next {
            let overdue = now.saturating_duration_since(arrived) >= self.patience;
            if !overdue && self.waiting.len() <= self.max_waiting {
                return None;
            }
            self.next = Some(first);
            return Some(Step::Gap);
        }
        let (_, (_, packet)) = self.waiting.pop_first()?;
        self.next = Some(next.saturating_add(1));
        Some(Step::Packet(packet))
    }

    /// When [`poll`](Self::poll) gives up on what is missing.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (first, (arrived, _)) = self.waiting.first_key_value()?;
        if Some(*first) > self.next { arrived.checked_add(self.patience) } else { None }
    }
}

/// The sequence number of an extended one.
fn low16(extended: i64) -> u16 {
    let [.., high, low] = extended.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn packet(sequence: u16) -> Packet {
        Packet { sequence, timestamp: 0, marker: false, payload: Bytes::new() }
    }

    fn drain(reorder: &mut Reorder, now: Instant) -> Vec<Option<u16>> {
        let steps = std::iter::from_fn(|| reorder.poll(now));
        let number = |step| match step {
            Step::Packet(packet) => Some(packet.sequence),
            Step::Gap => None,
        };
        steps.map(number).collect()
    }

    #[test]
    fn order_is_restored_across_the_wrap() {
        let (mut reorder, now) = (Reorder::new(PATIENCE, 64), Instant::now());
        for sequence in [65_534, 0, 65_535, 65_535, 1] {
            reorder.push(now, packet(sequence));
        }
        assert_eq!(drain(&mut reorder, now), [Some(65_534), Some(65_535), Some(0), Some(1)]);
        assert_eq!(reorder.deadline(), None);
    }

    #[test]
    fn a_missing_packet_is_awaited_and_then_given_up() {
        let (mut reorder, now) = (Reorder::new(PATIENCE, 64), Instant::now());
        [5, 7, 8].into_iter().for_each(|sequence| reorder.push(now, packet(sequence)));
        assert_eq!(drain(&mut reorder, now), [Some(5)]);
        assert_eq!(reorder.deadline(), Some(now + PATIENCE));
        assert_eq!(drain(&mut reorder, now + PATIENCE), [None, Some(7), Some(8)]);
        // It comes after all, and is too late.
        reorder.push(now + PATIENCE, packet(6));
        assert_eq!(drain(&mut reorder, now + 2 * PATIENCE), []);
    }

    #[test]
    fn too_many_that_wait_are_a_gap_and_a_jump_begins_anew() {
        let (mut reorder, now) = (Reorder::new(PATIENCE, 3), Instant::now());
        [5, 7, 8, 9, 10].into_iter().for_each(|sequence| reorder.push(now, packet(sequence)));
        assert_eq!(drain(&mut reorder, now), [Some(5), None, Some(7), Some(8), Some(9), Some(10)]);
        reorder.push(now, packet(30_000));
        assert_eq!(drain(&mut reorder, now), [None, Some(30_000)]);
    }

    proptest! {
        #[test]
        fn whatever_comes_leaves_in_order(sequences in prop::collection::vec(0u16..2_000, 1..300)) {
            let (mut reorder, now) = (Reorder::new(PATIENCE, 64), Instant::now());
            let mut last = None;
            for sequence in sequences {
                reorder.push(now, packet(sequence));
                for sequence in drain(&mut reorder, now).into_iter().flatten() {
                    prop_assert!(last < Some(sequence));
                    last = Some(sequence);
                }
                prop_assert!(reorder.waiting.len() <= 65);
            }
        }
    }
}
