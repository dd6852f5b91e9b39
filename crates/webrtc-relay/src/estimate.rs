//! What a viewer's path carries, told from its receiver reports, and what is sent on a path that carries less than the
//! stream.
//!
//! A path is taken to carry everything until two reports in a row say otherwise: a tenth of the packets lost, which is
//! more than radio loses by itself, or a round trip that has grown by a long queue. From then on the estimate is a
//! little less than what arrived, and grows with each report that is good, until it no longer limits. Frames go out
//! while the estimate pays for them; then the viewer waits for a key frame, so that it sees whole pictures, if fewer.

use std::time::{Duration, Instant};

/// A report that tells of this much loss, in 256ths: 10 %.
const MUCH_LOST: u8 = 26;
/// A round trip that is longer than the shortest by this much stands in a queue.
const QUEUE: Duration = Duration::from_millis(300);
/// Bad reports in a row that make an estimate; peers report about once a second.
const BAD: u32 = 2;
/// The part of what arrived that is sent then, in percent, so that a queue can drain.
const KEEP: u64 = 85;
/// An estimate that exists is taken to have arrived by at least this much, in percent.
const HOLD: u64 = 90;
/// What a good report adds, in percent.
const GROWTH: u64 = 12;
/// An estimate of so many times the stream's rate limits nothing.
const FREE: u64 = 2;
/// No estimate is less, in bits per second: sound and a key frame now and then.
const LEAST: u64 = 100_000;
/// Reports that come closer together are one.
const SPACING: Duration = Duration::from_millis(200);
/// What may be sent ahead of the estimate: the pictures between two key frames are of uneven size.
const AHEAD: Duration = Duration::from_millis(500);
/// With more than this still unpaid no key frame is begun with.
const REST: Duration = Duration::from_millis(100);

/// One viewer's path.
#[derive(Debug)]
pub(crate) struct Path {
    estimate: Option<u64>,
    /// The shortest round trip so far.
    shortest: Option<Duration>,
    bad: u32,
    /// When the last report came, and the bits that were sent, and that the stream had, since then.
    reported: Instant,
    sent: u64,
    offered: u64,
    /// Bits per second of the richest variant that the viewer could get.
    richest: u64,
    /// Bits that were sent ahead of the estimate, as of an instant.
    ahead: u64,
    paid: Instant,
}

fn bits(rate: u64, time: Duration) -> u64 {
    rate.saturating_mul(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)) / 1_000_000
}

impl Path {
    pub(crate) fn new(now: Instant) -> Self {
        let (estimate, shortest) = (None, None);
        Self { estimate, shortest, bad: 0, reported: now, sent: 0, offered: 0, richest: 0, ahead: 0, paid: now }
    }

    /// Bits per second that the path carries; `None` while nothing limits it.
    pub(crate) fn estimate(&self) -> Option<u64> {
        self.estimate
    }

    /// Whether a batch is to go out; `begins` if nothing before it was sent and it begins with a key frame. What goes
    /// out is counted.
    pub(crate) fn admits(&mut self, now: Instant, bytes: usize, begins: bool) -> bool {
        let size = (bytes as u64).saturating_mul(8);
        self.offered = self.offered.saturating_add(size);
        if let Some(rate) = self.estimate {
            let passed = now.saturating_duration_since(self.paid);
            self.ahead = self.ahead.saturating_sub(bits(rate, passed));
            self.paid = now;
            if self.ahead > bits(rate, if begins { REST } else { AHEAD }) {
                return false;
            }
            self.ahead = self.ahead.saturating_add(size);
        }
        self.sent = self.sent.saturating_add(size);
        true
    }

    /// Notes a batch that does not go out for another reason: the viewer waits for a key frame.
    pub(crate) fn leave_out(&mut self, bytes: usize) {
        self.offered = self.offered.saturating_add((bytes as u64).saturating_mul(8));
    }

    /// The viewer could get as much as this: an estimate limits until it has room for it.
    pub(crate) fn set_richest(&mut self, bits_per_second: u64) {
        self.richest = bits_per_second;
    }

    /// Pictures of another variant go out from now on. A richer one is a test of the path: nothing is known of it there.
    pub(crate) fn moved(&mut self, richer: bool) {
        self.ahead = 0;
        self.bad = 0;
        self.estimate = self.estimate.filter(|_| !richer);
    }

    /// Takes a receiver report about the pictures: the part of the packets that was lost since the one before, in
    /// 256ths, and the round trip if the report tells it.
    pub(crate) fn report(&mut self, now: Instant, lost: u8, round_trip: Option<Duration>) {
        let passed = now.saturating_duration_since(self.reported);
        if passed < SPACING {
            return;
        }
        self.shortest = round_trip.into_iter().chain(self.shortest).min();
        let queued = round_trip.zip(self.shortest).is_some_and(|(now, least)| now > least.saturating_add(QUEUE));
        let per_second = |bits: u64| bits.saturating_mul(1_000) / u64::try_from(passed.as_millis()).unwrap_or(1).max(1);
        let (sent, offered) = (per_second(self.sent), per_second(self.offered));
        (self.reported, self.sent, self.offered) = (now, 0, 0);
        if lost < MUCH_LOST && !queued {
            self.bad = 0;
            let grown = self.estimate.map(|rate| rate + rate * GROWTH / 100);
            self.estimate = grown.filter(|rate| *rate < offered.max(self.richest).max(LEAST) * FREE);
            return;
        }
        self.bad += 1;
        if self.bad >= BAD {
            let arrived = sent * u64::from(u8::MAX - lost) / 256;
            // While it limits, little was sent because little was allowed, and the queue of before still drains.
            let least = self.estimate.map_or(0, |rate| rate * HOLD / 100);
            let most = self.estimate.unwrap_or(u64::MAX);
            self.estimate = Some((arrived.max(least).min(most) * KEEP / 100).max(LEAST));
            self.paid = self.paid.max(now);
            self.bad = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of 2 Mbit/s in 25 pictures a second, a key frame every second, over a path of some rate with a queue of
    /// half a second. Tells the estimate after 30 s, and the pictures that were sent of the last 250.
    fn watch(path_rate: u64, random_loss: u8) -> (Option<u64>, usize) {
        const PICTURE: usize = 10_000;
        let start = Instant::now();
        let (mut path, mut skipping, mut sent) = (Path::new(start), false, 0);
        let (mut queue, mut dropped, mut offered) = (0_u64, 0_u64, 0_u64);
        for number in 0..750_u32 {
            let now = start + Duration::from_millis(40) * number;
            let key = number % 25 == 0;
            skipping &= !key;
            queue = queue.saturating_sub(path_rate / 25);
            if !skipping && path.admits(now, PICTURE, key) {
                let size = 8 * PICTURE as u64;
                offered += size;
                if queue + size > path_rate / 2 {
                    dropped += size;
                } else {
                    queue += size;
                }
                sent += usize::from(number >= 500);
            } else {
                path.leave_out(if skipping { PICTURE } else { 0 });
                skipping = true;
            }
            if number % 25 == 24 {
                let lost = (dropped * 256).checked_div(offered).unwrap_or_default().min(255);
                let lost = u8::try_from(lost).unwrap().max(random_loss);
                let round_trip = Duration::from_millis(50 + queue * 1_000 / path_rate);
                path.report(now, lost, Some(round_trip));
                (dropped, offered) = (0, 0);
            }
        }
        (path.estimate(), sent)
    }

    #[test]
    fn a_wide_path_is_not_limited_whatever_radio_loses() {
        for loss in [0, 13, 25] {
            assert_eq!(watch(20_000_000, loss), (None, 250));
        }
    }

    #[test]
    fn a_narrow_path_gets_what_it_carries() {
        let (estimate, sent) = watch(1_000_000, 0);
        assert!((60..=190).contains(&sent), "{sent} pictures, {estimate:?}");
        let (estimate, sent) = watch(400_000, 0);
        assert!(estimate.is_some_and(|rate| rate < 800_000) && (10..=100).contains(&sent), "{sent} {estimate:?}");
    }

    #[test]
    fn a_path_that_recovers_is_free_again() {
        let start = Instant::now();
        let mut path = Path::new(start);
        let at = |second: u32| start + Duration::from_secs(1) * second;
        for second in 1..=3 {
            path.admits(at(second), 250_000, false);
            path.report(at(second), 128, None);
        }
        let least = path.estimate().unwrap();
        assert!((LEAST..1_000_000).contains(&least), "{least}");
        for second in 4..40 {
            path.admits(at(second), 250_000, false);
            path.report(at(second), 0, None);
        }
        assert_eq!(path.estimate(), None);
    }

    #[test]
    fn one_bad_report_and_hostile_ones_do_no_harm() {
        let start = Instant::now();
        let mut path = Path::new(start);
        path.report(start + Duration::from_secs(1), 255, Some(Duration::MAX));
        assert_eq!(path.estimate(), None);
        for second in 2..100 {
            path.report(start + Duration::from_secs(second), 255, Some(Duration::ZERO));
            path.admits(start, usize::MAX, true);
        }
        assert!(path.estimate() >= Some(LEAST));
    }
}
