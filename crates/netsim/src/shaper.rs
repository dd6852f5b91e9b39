//! One direction of the link as a state machine: packets and instants in, packets out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::Profile;

const MILLION: u32 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Holds packets for as long as the wire would.
#[derive(Debug)]
pub struct Shaper {
    profile: Profile,
    frozen: bool,
    random: SmallRng,
    wire_free: Option<Instant>,
    flying: VecDeque<(Instant, Bytes)>,
    waiting_bytes: usize,
    lost: u64,
}

impl Shaper {
    /// An idle wire. The same seed loses the same packets.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        Self {
            profile,
            frozen: false,
            random: SmallRng::seed_from_u64(seed),
            wire_free: None,
            flying: VecDeque::new(),
            waiting_bytes: 0,
            lost: 0,
        }
    }

    /// From now on the wire is like this; packets on their way are not touched.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// A frozen wire loses everything that comes and everything on its way, without a word to either side.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        if frozen {
            self.lost += self.flying.len() as u64;
            self.flying.clear();
            self.waiting_bytes = 0;
        }
    }

    /// Packets that were lost, by chance, by a full queue or by a freeze.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// A packet enters the wire.
    pub fn handle_packet(&mut self, now: Instant, packet: Bytes) {
        let unlucky = self.random.random_range(0..MILLION) < self.profile.loss_ppm;
        if self.frozen || unlucky || self.waiting_bytes + packet.len() > self.profile.queue_bytes {
            self.lost += 1;
            return;
        }
        let sent = self.wire_free.map_or(now, |free| free.max(now)) + self.serialisation(packet.len());
        self.wire_free = Some(sent);
        self.waiting_bytes += packet.len();
        // A shorter delay set in the middle must not let packets overtake each other.
        let last = self.flying.back().map_or(now, |&(at, _)| at);
        self.flying.push_back(((sent + self.profile.delay).max(last), packet));
    }

    /// The next packet that has arrived by `now`.
    pub fn poll_packet(&mut self, now: Instant) -> Option<Bytes> {
        let due = self.flying.front().is_some_and(|&(at, _)| at <= now);
        let (_, packet) = if due { self.flying.pop_front()? } else { return None };
        self.waiting_bytes = self.waiting_bytes.saturating_sub(packet.len());
        Some(packet)
    }

    /// When [`Shaper::poll_packet`] has the next packet.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flying.front().map(|&(at, _)| at)
    }

    fn serialisation(&self, bytes: usize) -> Duration {
        let Some(rate) = self.profile.rate.filter(|&rate| rate > 0) else { return Duration::ZERO };
        let nanos = (bytes as u128 * 8 * NANOS_PER_SECOND) / u128::from(rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets(shaper: &mut Shaper, now: Instant, count: usize, bytes: usize) {
        (0..count).for_each(|_| shaper.handle_packet(now, vec![0; bytes].into()));
    }

    #[test]
    fn rate_and_delay_say_when_a_packet_arrives() {
        let now = Instant::now();
        let mut shaper =
            Shaper::new(1, Profile { rate: Some(8_000), ..Profile::CLEAN.with_delay(Duration::from_secs(1)) });
        packets(&mut shaper, now, 2, 1_000);
        assert_eq!(shaper.poll_timeout(), Some(now + Duration::from_secs(2)));
        assert!(shaper.poll_packet(now + Duration::from_millis(1_999)).is_none());
        assert!(shaper.poll_packet(now + Duration::from_secs(2)).is_some());
        assert_eq!(shaper.poll_timeout(), Some(now + Duration::from_secs(3)));
    }

    #[test]
    fn a_full_queue_and_a_frozen_wire_lose_packets() {
        let now = Instant::now();
        let mut shaper = Shaper::new(1, Profile { queue_bytes: 2_500, ..Profile::CLEAN });
        packets(&mut shaper, now, 3, 1_000);
        assert_eq!(shaper.lost(), 1);
        shaper.freeze(true);
        packets(&mut shaper, now, 1, 1_000);
        assert!(shaper.lost() == 4 && shaper.poll_packet(now).is_none());
        shaper.freeze(false);
        packets(&mut shaper, now, 1, 1_000);
        assert!(shaper.poll_packet(now).is_some());
    }

    #[test]
    fn loss_is_as_said_and_repeats_with_the_seed() {
        let now = Instant::now();
        let lost = |seed| {
            let mut shaper =
                Shaper::new(seed, Profile { queue_bytes: usize::MAX, ..Profile::CLEAN.with_loss_ppm(50_000) });
            packets(&mut shaper, now, 10_000, 1);
            shaper.lost()
        };
        assert!((400..600).contains(&lost(7)), "{}", lost(7));
        assert_eq!(lost(7), lost(7));
    }

    proptest! {
        #[test]
        fn packets_stay_in_order(delays in prop::collection::vec(0u64..1_000, 1..50)) {
            let start = Instant::now();
            let mut shaper = Shaper::new(1, Profile::CLEAN);
            for (number, delay) in delays.iter().enumerate() {
                shaper.set_profile(Profile::CLEAN.with_delay(Duration::from_millis(*delay)));
                shaper.handle_packet(start, vec![u8::try_from(number).unwrap()].into());
            }
            let mut arrived = Vec::new();
            while let Some(at) = shaper.poll_timeout() {
                arrived.extend(shaper.poll_packet(at).unwrap());
            }
            prop_assert!(arrived.is_sorted() && arrived.len() == delays.len());
        }
    }
}
