//! Packets sent again on request (RFC 4585 section 6.2.1): each at most once in a round trip, and all together a part of
//! what is sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::srtp::low;
use crate::media::RtpPacket;

/// Packets of a track that are kept for those who ask again, at least the last call's: 1 s of 20 Mbit/s.
const MAX_KEPT: usize = 2048;
/// For how long packets are kept. Who waits longer for a picture takes the next key frame.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// Round trip until the peer's reports tell better.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(80);
/// Added to the round trip, for the peer's own pause before it answers.
const SLACK: Duration = Duration::from_millis(10);
/// A longer round trip is not believed: the peer's reports are its own words.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// For how long a repeat is remembered: the longest round trip and its slack.
const REMEMBERED: Duration = Duration::from_millis(1_010);
/// What a packet that is sent adds to the repeats that may be granted, in hundredths: a path that loses more than a
/// third of all packets is not helped by more of them.
const CREDIT: u32 = 33;
/// The most that is saved up, in hundredths: a burst of 512 packets.
const MAX_CREDIT: u32 = 51_200;

/// Packets of one call, which all sessions share.
#[derive(Debug)]
struct Batch {
    packets: Arc<[RtpPacket]>,
    /// That of the first packet; the others follow.
    index: u64,
    at: Instant,
}

/// A packet that is to go out again.
#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) packet: RtpPacket,
    /// The index that it was encrypted under: no other packet ever is.
    pub(super) index: u64,
    /// The number that it had.
    pub(super) sequence: u16,
}

/// What a track has sent lately. A request may name thousands of packets, so that each is found without a search through
/// all that is here.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// In the order of their indices.
    batches: VecDeque<Batch>,
    count: usize,
    /// When packets that are kept were sent again last, by their indices.
    resent: BTreeMap<u64, Instant>,
}

impl Kept {
    pub(super) fn keep(&mut self, now: Instant, packets: &Arc<[RtpPacket]>, index: u64) {
        self.count = self.count.saturating_add(packets.len());
        self.batches.push_back(Batch { packets: Arc::clone(packets), index, at: now });
        while self.batches.len() > 1
            && let Some(oldest) = self.batches.front()
            && (self.count > MAX_KEPT || now >= oldest.at + KEPT_FOR)
        {
            self.count = self.count.saturating_sub(oldest.packets.len());
            self.batches.pop_front();
        }
        let first = self.batches.front().map(|batch| batch.index);
        while self.resent.first_key_value().is_some_and(|(index, _)| Some(*index) < first) {
            self.resent.pop_first();
        }
    }

    fn find(&self, sequence: u16) -> Option<Repeat> {
        let newest = self.batches.back()?;
        let last = newest.index.checked_add(u64::try_from(newest.packets.len()).ok()?.checked_sub(1)?)?;
        let index = last.checked_sub(low(last).wrapping_sub(sequence).into())?;
        let place = self.batches.partition_point(|batch| batch.index <= index).checked_sub(1)?;
        let batch = self.batches.get(place)?;
        let packet = batch.packets.get(usize::try_from(index - batch.index).ok()?)?;
        Some(Repeat { packet: packet.clone(), index, sequence })
    }

    /// The packet to send again, if it is still there and may go, and how often: twice if its repeat was lost, too, for
    /// each further request costs the peer more than a round trip.
    pub(super) fn again(&mut self, now: Instant, budget: &mut Budget, sequence: u16) -> Option<(Repeat, usize)> {
        let repeat = self.find(sequence)?;
        let last = self.resent.get(&repeat.index).copied().filter(|at| now < *at + REMEMBERED);
        // The request has crossed with the answer.
        if last.is_some_and(|at| now < at + budget.round_trip + SLACK) || !budget.spend() {
            return None;
        }
        self.resent.insert(repeat.index, now);
        let twice = last.is_some() && budget.spend();
        Some((repeat, 1 + usize::from(twice)))
    }
}

/// What a session may send again, and how often.
#[derive(Debug)]
pub(super) struct Budget {
    /// In hundredths of packets.
    credit: u32,
    round_trip: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { credit: MAX_CREDIT, round_trip: FIRST_ROUND_TRIP }
    }
}

impl Budget {
    /// So many packets go out for the first time.
    pub(super) fn earn(&mut self, packets: usize) {
        let more = CREDIT.saturating_mul(u32::try_from(packets).unwrap_or(u32::MAX));
        self.credit = self.credit.saturating_add(more).min(MAX_CREDIT);
    }

    /// The path's round trip is known.
    pub(super) fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip.min(LONGEST_ROUND_TRIP);
    }

    fn spend(&mut self) -> bool {
        let left = self.credit.checked_sub(100);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn packets(count: u16) -> Arc<[RtpPacket]> {
        let packet = |sequence| RtpPacket { sequence, timestamp: 7, marker: false, payload: Bytes::new() };
        (0..count).map(packet).collect()
    }

    #[test]
    fn a_packet_is_sent_again_once_in_a_while() {
        let (mut kept, mut budget, now) = (Kept::default(), Budget::default(), Instant::now());
        kept.keep(now, &packets(3), 65_534);
        kept.keep(now, &packets(2), 65_537);
        let mut again = |at: Duration, sequence| {
            let again = kept.again(now + at, &mut budget, sequence);
            again.map(|(repeat, times)| (repeat.index, times))
        };
        for (sequence, index) in [(65_534, 65_534), (0, 65_536), (1, 65_537), (2, 65_538)] {
            assert_eq!(again(Duration::ZERO, sequence), Some((index, 1)));
        }
        assert_eq!((again(Duration::ZERO, 3), again(Duration::ZERO, 65_533)), (None, None), "never sent");
        assert_eq!(again(FIRST_ROUND_TRIP, 0), None);
        assert_eq!(again(FIRST_ROUND_TRIP + SLACK, 0), Some((65_536, 2)), "its repeat was lost, too");
        assert_eq!(again(REMEMBERED * 3, 0), Some((65_536, 1)));
    }

    #[test]
    fn repeats_are_a_part_of_what_is_sent() {
        let (mut kept, mut budget, now) = (Kept::default(), Budget::default(), Instant::now());
        kept.keep(now, &packets(2_000), 0);
        let granted = |kept: &mut Kept, budget: &mut Budget, from: u16| {
            (from..2_000).filter(|sequence| kept.again(now, budget, *sequence).is_some()).count()
        };
        assert_eq!(granted(&mut kept, &mut budget, 0), 512);
        budget.earn(100);
        assert_eq!(granted(&mut kept, &mut budget, 600), 33);
        assert!(kept.resent.len() <= 545);
    }

    #[test]
    fn what_is_kept_is_bounded_in_packets_and_time() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for batch in 0..1_000 {
            kept.keep(now, &packets(100), batch * 100);
            assert!(kept.count <= MAX_KEPT && kept.batches.len() <= MAX_KEPT / 100);
            assert!(kept.again(now, &mut Budget::default(), low(batch * 100)).is_some());
            assert!(kept.resent.len() <= kept.batches.len());
        }
        kept.keep(now + KEPT_FOR, &packets(5_000), 200_000);
        assert_eq!((kept.count, kept.batches.len()), (5_000, 1), "the last call's packets stay");
    }
    proptest! {
        #[test]
        fn what_is_kept_is_found_and_nothing_else(calls in prop::collection::vec((0..300_u64, 1..100_u16), 1..40), first: u16) {
            let (mut kept, now, mut next) = (Kept::default(), Instant::now(), u64::from(first));
            let mut sent = Vec::new();
            for (gap, count) in calls {
                next += gap;
                kept.keep(now, &packets(count), next);
                sent.push(next..next + u64::from(count));
                next += u64::from(count);
            }
            let oldest = kept.batches.front().unwrap().index;
            for index in next.saturating_sub(10_000)..next + 100 {
                let is_kept = index >= oldest && sent.iter().any(|call| call.contains(&index));
                prop_assert_eq!(kept.find(low(index)).map(|repeat| repeat.index), is_kept.then_some(index));
            }
        }
    }
}
