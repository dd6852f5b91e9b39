//! One timeline for a session whose stream is another from some batch on.

use std::time::{Duration, Instant};

use sluicegate_hub::Batch;
use sluicegate_media::{Codec, Frame, Kind, Timestamp};

/// A picture stands at least this far behind the one before.
const STEP: Timestamp = Timestamp::from_millis(1);
/// A stream whose own times are this near to those of the session keeps them: its packets need no copy then.
const NEAR: Duration = Duration::from_millis(100);
/// How long the least delay is remembered, once to twice: clocks of cameras drift.
const WINDOW: Duration = Duration::from_secs(2);

/// Which time of a stream is now: the newest that has come, and what has passed since, of the batch that came with the
/// least delay. Single batches are late, key frames above all.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    window: Instant,
    /// The least delay of this window, and of the one before.
    least: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, window: now, least: None, before: None }
    }

    fn since(&self, now: Instant) -> Timestamp {
        now.saturating_duration_since(self.start).into()
    }

    /// Notes a batch that has just come, and tells by how much more than the least it is delayed.
    pub(crate) fn note(&mut self, now: Instant, batch: &Batch) -> Duration {
        let Some(newest) = batch.frames.iter().map(|frame| frame.dts).max() else { return Duration::ZERO };
        let delay = self.since(now).saturating_sub(newest);
        if now.saturating_duration_since(self.window) >= WINDOW {
            (self.window, self.before) = (now, self.least.take());
        }
        self.least = Some(self.least.map_or(delay, |least| least.min(delay)));
        let least = self.least.min(self.before.or(self.least)).unwrap_or(delay);
        delay.saturating_sub(least).to_duration()
    }

    /// The time of the stream that is now.
    fn present(&self, now: Instant) -> Option<Timestamp> {
        let least = self.least.into_iter().chain(self.before).min()?;
        Some(self.since(now).saturating_sub(least))
    }
}

/// What is added to the times of a stream, for all its tracks alike, so that sound and pictures stay in step.
#[derive(Debug)]
pub(crate) struct Splice {
    shift: Timestamp,
    pace: Pace,
    /// The latest picture in the session.
    shown: Option<Timestamp>,
}

impl Splice {
    pub(crate) fn new(now: Instant) -> Self {
        Self { shift: Timestamp::ZERO, pace: Pace::new(now), shown: None }
    }

    /// Notes a batch of the stream that plays.
    pub(crate) fn note(&mut self, now: Instant, batch: &Batch) {
        self.pace.note(now, batch);
        let latest = pictures(batch).max().map(|pts| pts.saturating_add(self.shift));
        self.shown = self.shown.max(latest);
    }

    /// Another stream with a pace of its own goes on, with this batch of it: what is now in one is now in the other.
    pub(crate) fn join(&mut self, now: Instant, pace: Pace, batch: &Batch) {
        let presents = self.pace.present(now).zip(pace.present(now));
        let apart = presents.map(|(here, there)| here.saturating_add(self.shift).saturating_sub(there));
        let is_far = |apart: &Timestamp| apart.nanos().unsigned_abs() > NEAR.as_nanos().try_into().unwrap_or(u64::MAX);
        let wanted = apart.filter(is_far).unwrap_or_default();
        let least = self.shown.zip(pictures(batch).min());
        let least = least.map(|(shown, first)| shown.saturating_add(STEP).saturating_sub(first));
        self.shift = least.map_or(wanted, |least| wanted.max(least));
        self.pace = pace;
    }

    /// What is added to RTP timestamps of a codec, modulo 2^32; zero for a stream whose packets go out as they are.
    pub(crate) fn ticks(&self, codec: Codec) -> u32 {
        sluicegate_rtp::timestamp(codec, self.shift)
    }
}

fn pictures(batch: &Batch) -> impl Iterator<Item = Timestamp> {
    batch.frames.iter().filter(|frame| frame.kind() == Kind::Video).map(Frame::pts)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use sluicegate_hub::TrackSet;
    use sluicegate_media::TrackId;

    use super::*;

    /// A picture at some milliseconds, with sound 10 ms before it.
    fn batch(millis: i64) -> Batch {
        let at = Timestamp::from_millis;
        let frames = [
            Frame::media(TrackId::AUDIO, Codec::Opus, at(millis - 10), vec![1].into()),
            Frame::media(TrackId::VIDEO, Codec::Vp8, at(millis), vec![1].into()).with_key(true),
        ];
        Batch::new(0, Arc::new(TrackSet::default()), frames.into_iter().collect(), true)
    }

    /// A viewer's session, by the clock in milliseconds.
    struct Session {
        start: Instant,
        splice: Splice,
    }

    impl Session {
        fn new() -> Self {
            let start = Instant::now();
            Self { start, splice: Splice::new(start) }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        /// A batch of the stream that plays comes.
        fn note(&mut self, now: u64, own: i64) {
            let now = self.at(now);
            self.splice.note(now, &batch(own));
        }

        /// Batches of another stream come, each at its time; the session goes on with the last.
        fn join(&mut self, came: &[(u64, i64)]) {
            let (last, mut pace) = (*came.last().unwrap(), Pace::new(self.at(came[0].0)));
            for (now, own) in came {
                pace.note(self.at(*now), &batch(*own));
            }
            self.splice.join(self.at(last.0), pace, &batch(last.1));
            self.note(last.0, last.1);
        }

        /// The time of a picture in the session.
        fn shown(&self, own: i64) -> u32 {
            let ticks = sluicegate_rtp::timestamp(Codec::Vp8, Timestamp::from_millis(own));
            ticks.wrapping_add(self.splice.ticks(Codec::Vp8)) / 90
        }
    }

    #[test]
    fn time_goes_on_as_it_passes() {
        let mut session = Session::new();
        session.note(0, 100_000);
        assert_eq!(session.splice.ticks(Codec::Vp8), 0);
        session.join(&[(30, 0), (70, 40)]);
        assert_eq!(session.shown(40), 100_070);
        // Sound is moved by as much.
        assert_eq!(session.splice.ticks(Codec::Opus), 100_030 * 48);
        assert_eq!(session.splice.ticks(Codec::G711A), 100_030 * 8);
    }

    #[test]
    fn late_batches_do_not_make_the_session_late() {
        let mut session = Session::new();
        // The last picture of the stream before is 200 ms late, and so is the key frame of the next.
        session.note(0, 100_000);
        session.note(240, 100_040);
        session.join(&[(100, 5_000), (340, 5_040)]);
        assert_eq!(session.shown(5_040), 100_140);
    }

    #[test]
    fn the_stream_of_before_keeps_its_own_times_when_they_are_near() {
        let mut session = Session::new();
        session.note(0, 100_000);
        session.join(&[(40, 0)]);
        session.note(1_040, 1_000);
        session.join(&[(1_045, 101_050)]);
        assert_eq!(session.splice.ticks(Codec::Vp8), 0);
        // One that has fallen behind does not go back.
        session.note(1_085, 101_060);
        session.join(&[(1_085, 101_010)]);
        assert_eq!(session.shown(101_010), 101_061);
    }

    #[test]
    fn a_delay_of_long_ago_is_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut delay = |now: u64, own: i64| pace.note(start + Duration::from_millis(now), &batch(own)).as_millis();
        assert_eq!((delay(0, 0), delay(1_500, 1_000), delay(2_500, 2_000)), (0, 500, 500));
        assert_eq!(delay(5_000, 4_500), 0);
    }

    proptest! {
        #[test]
        fn pictures_never_go_back(steps in prop::collection::vec((0..500_u64, 0..1_000_000_i64, any::<bool>()), 1..50)) {
            let (mut now, mut session) = (0, Session::new());
            let (mut last, mut own) = (None, 0);
            for (passed, other, joins) in steps {
                now += passed;
                if joins {
                    own = other;
                    session.join(&[(now, own)]);
                } else {
                    own += 1 + i64::try_from(passed).unwrap();
                    session.note(now, own);
                }
                let at = session.shown(own);
                if let Some(last) = last.replace(at) {
                    prop_assert!(at > last);
                }
            }
        }
    }
}
