//! One timeline for a session whose stream is another from some batch on.

use std::time::{Duration, Instant};

use sluicegate_hub::Batch;
use sluicegate_media::{Codec, Frame, Kind, Timestamp};

/// A picture stands at least this far behind the one before.
const STEP: Timestamp = Timestamp::from_millis(1);
/// A stream whose own times are this near to those of the session keeps them: its packets need no copy then.
const NEAR: Duration = Duration::from_millis(100);

/// What is added to the times of a stream, for all its tracks alike, so that sound and pictures stay in step.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    shift: Timestamp,
    /// The newest decoding time in the session, and when it came.
    newest: Option<(Timestamp, Instant)>,
    /// The latest picture in the session.
    shown: Option<Timestamp>,
}

impl Splice {
    /// Notes a batch of the stream that plays.
    pub(crate) fn note(&mut self, now: Instant, batch: &Batch) {
        if let Some(newest) = newest(batch) {
            self.newest = Some((newest.saturating_add(self.shift), now));
        }
        let latest = pictures(batch).max().map(|pts| pts.saturating_add(self.shift));
        self.shown = self.shown.max(latest);
    }

    /// Another stream goes on with a batch that has just come: what comes at the same moment has the same time.
    pub(crate) fn join(&mut self, now: Instant, batch: &Batch) {
        let Some(((newest, came), there)) = self.newest.zip(newest(batch)) else { return };
        let here = newest.saturating_add(now.saturating_duration_since(came).into());
        let apart = here.saturating_sub(there);
        let near = apart.nanos().unsigned_abs() <= Timestamp::from(NEAR).nanos().unsigned_abs();
        let wanted = if near { Timestamp::ZERO } else { apart };
        let least = self.shown.zip(pictures(batch).min());
        let least = least.map(|(shown, first)| shown.saturating_add(STEP).saturating_sub(first));
        self.shift = least.map_or(wanted, |least| wanted.max(least));
    }

    /// What is added to RTP timestamps of a codec, modulo 2^32; zero for a stream whose packets go out as they are.
    pub(crate) fn ticks(&self, codec: Codec) -> u32 {
        sluicegate_rtp::timestamp(codec, self.shift)
    }
}

fn newest(batch: &Batch) -> Option<Timestamp> {
    batch.frames.iter().map(|frame| frame.dts).max()
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

    /// The timestamp of the picture in the session, in ticks of 90 kHz.
    fn ticks(splice: &Splice, millis: i64) -> u32 {
        let own = sluicegate_rtp::timestamp(Codec::Vp8, Timestamp::from_millis(millis));
        own.wrapping_add(splice.ticks(Codec::Vp8))
    }

    #[test]
    fn time_goes_on_as_it_passes() {
        let (start, mut splice) = (Instant::now(), Splice::default());
        splice.note(start, &batch(100_000));
        assert_eq!(splice.ticks(Codec::Vp8), 0);
        // A stream that began only now comes 70 ms later.
        splice.join(start + Duration::from_millis(70), &batch(10));
        assert_eq!(ticks(&splice, 10), 100_070 * 90);
        // Sound is moved by as much.
        assert_eq!(splice.ticks(Codec::Opus) / 48, splice.ticks(Codec::Vp8) / 90);
        assert_eq!(splice.ticks(Codec::G711A), 100_060 * 8);
    }

    #[test]
    fn the_stream_of_before_keeps_its_own_times_when_they_are_near() {
        let (start, mut splice) = (Instant::now(), Splice::default());
        let at = |millis| start + Duration::from_millis(millis);
        splice.note(start, &batch(100_000));
        splice.join(at(40), &batch(0));
        splice.note(at(1_040), &batch(1_000));
        splice.join(at(1_085), &batch(101_060));
        assert_eq!(splice.ticks(Codec::Vp8), 0);
        // One that has fallen behind does not go back.
        splice.note(at(1_085), &batch(101_060));
        splice.join(at(1_085), &batch(101_010));
        assert_eq!(ticks(&splice, 101_010), 101_061 * 90);
    }

    proptest! {
        #[test]
        fn pictures_never_go_back(steps in prop::collection::vec((0..500_u64, 0..1_000_000_i64, any::<bool>()), 1..50)) {
            let (mut now, mut splice) = (Instant::now(), Splice::default());
            let (mut last, mut own) = (None, 0);
            for (passed, other, joins) in steps {
                now += Duration::from_millis(passed);
                if joins {
                    own = other;
                    splice.join(now, &batch(own));
                } else {
                    own += 1 + i64::try_from(passed).unwrap();
                }
                splice.note(now, &batch(own));
                let at = ticks(&splice, own);
                if let Some(last) = last.replace(at) {
                    prop_assert!(at.wrapping_sub(last).cast_signed() > 0);
                }
            }
        }
    }
}
