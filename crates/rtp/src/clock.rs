//! RTP timestamps of several tracks to one timeline.

use std::collections::BTreeMap;
use std::time::Instant;

use sluicegate_media::{ClockRate, Timestamp, TrackId};

/// A report that moves a track by more than this against what its packets showed is a new clock of the sender, or wrong.
/// Below it is how far apart the first packets of the tracks were under way.
const MAX_CORRECTION: Timestamp = Timestamp::from_millis(2_000);

/// What a report's own rounding and a sender's scheduling amount to; less is left alone.
const TOLERANCE: Timestamp = Timestamp::from_millis(5);

/// One track's clock.
#[derive(Debug)]
struct Track {
    rate: ClockRate,
    /// The newest timestamp, counted without wrapping.
    last: Option<i64>,
    /// The place of tick 0 on the timeline.
    offset: Timestamp,
    /// The newest report: the sender's wall clock at a timestamp.
    reported: Option<(u64, u32)>,
}

/// Places the tracks by when their first packets arrived, and better once reports say how their clocks are related
/// (RFC 3550 section 6.4.1).
#[derive(Debug, Default)]
pub(crate) struct Clock {
    origin: Option<Instant>,
    tracks: BTreeMap<TrackId, Track>,
    /// The place of the sender's wall clock 0 on the timeline, from the first report.
    wall: Option<Timestamp>,
}

/// 32.32 fixed point seconds since 1900. Seconds are enough to count 136 years, nanoseconds fit.
fn wall_clock(ntp: u64) -> Timestamp {
    let (seconds, fraction) = (ntp >> 32, ntp & 0xffff_ffff);
    let nanos = seconds.saturating_mul(1_000_000_000).saturating_add(fraction.saturating_mul(1_000_000_000) >> 32);
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

impl Clock {
    pub(crate) fn add(&mut self, id: TrackId, rate: ClockRate) {
        self.tracks.insert(id, Track { rate, last: None, offset: Timestamp::ZERO, reported: None });
    }

    /// Counts a timestamp without wrapping, near the track's newest.
    fn extend(track: &Track, timestamp: u32) -> i64 {
        let Some(last) = track.last else { return i64::from(timestamp) };
        let [.., a, b, c, d] = last.to_be_bytes();
        let step = timestamp.wrapping_sub(u32::from_be_bytes([a, b, c, d])).cast_signed();
        last.saturating_add(i64::from(step))
    }

    /// The place of a packet's timestamp, which arrives at `now`.
    pub(crate) fn place(&mut self, now: Instant, id: TrackId, timestamp: u32) -> Option<Timestamp> {
        let origin = *self.origin.get_or_insert(now);
        let track = self.tracks.get_mut(&id)?;
        let ticks = Self::extend(track, timestamp);
        let first = track.last.replace(ticks).is_none();
        if first {
            let arrived = Timestamp::from(now.saturating_duration_since(origin));
            track.offset = arrived.saturating_sub(Timestamp::from_ticks(ticks, track.rate));
            // Some senders report right before they begin, and then not for seconds.
            if !self.settle(id) {
                let others: Vec<TrackId> = self.tracks.keys().copied().filter(|other| *other != id).collect();
                others.into_iter().for_each(|other| self.forward(other));
            }
        }
        let track = self.tracks.get(&id)?;
        Some(track.offset.saturating_add(Timestamp::from_ticks(ticks, track.rate)))
    }

    /// The sender's wall clock at a timestamp.
    pub(crate) fn report(&mut self, id: TrackId, ntp: u64, timestamp: u32) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        track.reported = Some((ntp, timestamp));
        let _ = self.settle(id);
    }

    /// Moves a track forward to where its newest report has it. False when it would go back, which pictures cannot, or
    /// its clock was set anew: it stays then, and the others move to it as they report.
    fn settle(&mut self, id: TrackId) -> bool {
        let Some((place, reported)) = self.tracks.get(&id).and_then(Self::told) else { return true };
        let wall = *self.wall.get_or_insert_with(|| place.saturating_sub(reported));
        let correction = wall.saturating_add(reported).saturating_sub(place);
        let follows = (TOLERANCE.nanos().saturating_neg()..=MAX_CORRECTION.nanos()).contains(&correction.nanos());
        if follows {
            self.forward(id);
        } else {
            self.wall = Some(place.saturating_sub(reported));
        }
        follows
    }

    /// Moves a track forward to where its newest report has it, if it has one, and if that is neither too far nor
    /// nothing.
    fn forward(&mut self, id: TrackId) {
        let (Some(track), Some(wall)) = (self.tracks.get_mut(&id), self.wall) else { return };
        let Some((place, reported)) = Self::told(track) else { return };
        let correction = wall.saturating_add(reported).saturating_sub(place);
        if correction.nanos() > TOLERANCE.nanos() && correction.nanos() <= MAX_CORRECTION.nanos() {
            track.offset = track.offset.saturating_add(correction);
        }
    }

    /// Where a track has the timestamp of its newest report, and the sender's wall clock there. Before its first packet
    /// a track's timestamps cannot be counted.
    fn told(track: &Track) -> Option<(Timestamp, Timestamp)> {
        let (ntp, timestamp) = track.reported.filter(|_| track.last.is_some())?;
        let ticks = Timestamp::from_ticks(Self::extend(track, timestamp), track.rate);
        Some((track.offset.saturating_add(ticks), wall_clock(ntp)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const VIDEO: TrackId = TrackId::VIDEO;
    const AUDIO: TrackId = TrackId::AUDIO;
    /// 2026 or so.
    const NTP: u64 = 0xed00_0000 << 32;
    const HALF_A_SECOND: u64 = 1 << 31;

    fn clock() -> Clock {
        let mut clock = Clock::default();
        clock.add(VIDEO, ClockRate::VIDEO);
        clock.add(AUDIO, ClockRate::new(48_000).unwrap());
        clock
    }

    #[test]
    fn reports_put_sound_in_step_with_pictures_and_nothing_goes_back() {
        for first in [VIDEO, AUDIO] {
            let (mut clock, now) = (clock(), Instant::now());
            // Sound of the same moment arrives 100 ms later than the picture.
            assert_eq!(clock.place(now, VIDEO, 90_000), Some(Timestamp::ZERO));
            let late = now + Duration::from_millis(100);
            assert_eq!(clock.place(late, AUDIO, 480_000).map(Timestamp::millis), Some(100));
            for round in 0..2_u32 {
                let at = NTP + u64::from(round) * HALF_A_SECOND;
                let mut reports = [(VIDEO, at, 90_000 + round * 45_000), (AUDIO, at, 480_000 + round * 24_000)];
                if first == AUDIO {
                    reports.reverse();
                }
                reports.into_iter().for_each(|(id, ntp, timestamp)| clock.report(id, ntp, timestamp));
            }
            // The picture has gone forward to the sound.
            assert_eq!(clock.place(late, VIDEO, 93_000).map(Timestamp::millis), Some(133));
            assert_eq!(clock.place(late, AUDIO, 480_960).map(Timestamp::millis), Some(120));
        }
    }

    #[test]
    fn reports_before_the_first_packets_count() {
        for late in [VIDEO, AUDIO] {
            let (mut clock, now) = (clock(), Instant::now());
            clock.report(VIDEO, NTP, 90_000);
            clock.report(AUDIO, NTP, 480_000);
            // Both of the same moment; one takes 100 ms longer.
            let mut firsts = [(VIDEO, 90_000), (AUDIO, 480_000)];
            if late == VIDEO {
                firsts.reverse();
            }
            let [(early, its), (late, other)] = firsts;
            assert_eq!(clock.place(now, early, its), Some(Timestamp::ZERO));
            assert_eq!(clock.place(now + Duration::from_millis(100), late, other).map(Timestamp::millis), Some(100));
            // Nobody waits for another report.
            assert_eq!(clock.place(now, VIDEO, 93_600).map(Timestamp::millis), Some(140));
            assert_eq!(clock.place(now, AUDIO, 481_920).map(Timestamp::millis), Some(140));
        }
    }

    #[test]
    fn a_report_from_nowhere_moves_nothing() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.place(now, VIDEO, 0);
        clock.place(now, AUDIO, 0);
        clock.report(VIDEO, NTP, 0);
        clock.report(AUDIO, NTP + (60 << 32), 0);
        clock.report(TrackId::DATA, NTP, 0);
        assert_eq!(clock.place(now, AUDIO, 48_000).map(Timestamp::millis), Some(1_000));
    }

    #[test]
    fn timestamps_wrap() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.place(now, VIDEO, u32::MAX - 899);
        assert_eq!(clock.place(now, VIDEO, 0).map(Timestamp::millis), Some(10));
        assert_eq!(clock.place(now, VIDEO, u32::MAX - 899).map(Timestamp::millis), Some(0));
    }
}
