//! One timeline per stream, whatever clocks its publishers have.

use std::collections::BTreeMap;
use std::time::Duration;

use sluicegate_media::{Kind, Timestamp, TrackId};

/// The step after the last frame at which a new clock goes on.
const BRIDGE: Timestamp = Timestamp::from_millis(40);
/// The least step between two frames of one track, FLV's tick.
const LEAST_STEP: Timestamp = Timestamp::from_millis(1);

/// Maps the publisher's decoding times to times that never go back within a track.
#[derive(Debug)]
pub(crate) struct Timeline {
    jump: Timestamp,
    offset: Option<Timestamp>,
    floor: Timestamp,
    newest: Option<Timestamp>,
    tracks: BTreeMap<TrackId, Timestamp>,
}

impl Timeline {
    /// A timeline from zero; steps beyond `jump` are taken for a new clock.
    pub(crate) fn new(jump: Duration) -> Self {
        Self { jump: jump.into(), offset: None, floor: Timestamp::ZERO, newest: None, tracks: BTreeMap::new() }
    }

    /// A new publisher with a clock of its own begins; time goes on where it was.
    pub(crate) fn restart(&mut self) {
        self.offset = None;
    }

    /// The time on the stream's timeline of a frame that the publisher calls `dts`.
    pub(crate) fn map(&mut self, track: TrackId, kind: Kind, dts: Timestamp) -> Timestamp {
        let offset = match self.offset {
            Some(offset) if !self.is_jump(track, dts.saturating_add(offset)) => offset,
            _ => self.rebase(dts),
        };
        let mut at = dts.saturating_add(offset).max(self.floor);
        if let Some(&last) = self.tracks.get(&track) {
            let least = if kind == Kind::Data { last } else { last.saturating_add(LEAST_STEP) };
            at = at.max(least);
        }
        self.tracks.insert(track, at);
        self.newest = self.newest.max(Some(at));
        at
    }

    /// Forwards against the newest frame of all, since a track may be silent for long; backwards against the
    /// track's own last frame, since tracks may lag behind each other.
    fn is_jump(&self, track: TrackId, at: Timestamp) -> bool {
        let Some(newest) = self.newest else { return false };
        let lag = self.tracks.get(&track).copied().unwrap_or_else(|| newest.saturating_sub(self.jump)).max(self.floor);
        let tolerance = Timestamp::from_nanos(self.jump.nanos() / 10);
        at.saturating_sub(newest) > self.jump || at < lag.saturating_sub(tolerance)
    }

    fn rebase(&mut self, dts: Timestamp) -> Timestamp {
        self.floor = self.newest.map_or(Timestamp::ZERO, |newest| newest.saturating_add(BRIDGE));
        let offset = self.floor.saturating_sub(dts);
        self.offset = Some(offset);
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000;

    fn timeline() -> Timeline {
        Timeline::new(Duration::from_secs(10))
    }

    fn map(timeline: &mut Timeline, track: TrackId, millis: i64) -> i64 {
        timeline.map(track, Kind::Video, Timestamp::from_millis(millis)).millis()
    }

    #[test]
    fn starts_at_zero_and_keeps_distances() {
        let mut timeline = timeline();
        assert_eq!(map(&mut timeline, TrackId::VIDEO, 7_000), 0);
        assert_eq!(map(&mut timeline, TrackId::AUDIO, 7_010), 10);
        assert_eq!(map(&mut timeline, TrackId::VIDEO, 7_040), 40);
    }

    #[test]
    fn goes_on_after_a_new_publisher() {
        let mut timeline = timeline();
        map(&mut timeline, TrackId::VIDEO, 0);
        map(&mut timeline, TrackId::VIDEO, 9 * SECOND);
        timeline.restart();
        assert_eq!(map(&mut timeline, TrackId::AUDIO, 77), 9 * SECOND + 40);
        assert_eq!(map(&mut timeline, TrackId::VIDEO, 100), 9 * SECOND + 63);
    }

    #[test]
    fn bridges_a_clock_that_jumps_for_all_tracks_at_once() {
        let mut timeline = timeline();
        map(&mut timeline, TrackId::VIDEO, 0);
        map(&mut timeline, TrackId::AUDIO, 0);
        assert_eq!(map(&mut timeline, TrackId::VIDEO, 3_600 * SECOND), 40);
        assert_eq!(map(&mut timeline, TrackId::AUDIO, 3_600 * SECOND + 20), 60);
        assert_eq!(map(&mut timeline, TrackId::VIDEO, 5), 100);
    }

    #[test]
    fn a_track_may_be_silent_for_long() {
        let mut timeline = timeline();
        map(&mut timeline, TrackId::DATA, 0);
        (0..100).for_each(|second| assert_eq!(map(&mut timeline, TrackId::VIDEO, second * SECOND), second * SECOND));
        assert_eq!(map(&mut timeline, TrackId::DATA, 99 * SECOND), 99 * SECOND);
    }

    #[test]
    fn a_small_step_back_is_held() {
        let mut timeline = timeline();
        map(&mut timeline, TrackId::VIDEO, 0);
        map(&mut timeline, TrackId::VIDEO, 80);
        assert_eq!(map(&mut timeline, TrackId::VIDEO, 40), 81);
    }

    proptest! {
        #[test]
        fn never_goes_back_within_a_track(steps in prop::collection::vec((0u8..3, any::<i64>(), any::<bool>()), 1..200)) {
            let mut timeline = timeline();
            let mut last = BTreeMap::new();
            for (track, dts, restart) in steps {
                if restart {
                    timeline.restart();
                }
                let track = TrackId(track);
                let at = timeline.map(track, Kind::Video, Timestamp::from_nanos(dts >> (dts & 63)));
                if let Some(before) = last.insert(track, at) {
                    prop_assert!(at > before);
                }
            }
        }
    }
}
