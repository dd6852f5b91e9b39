//! RTP timestamps of several tracks to one timeline.

use std::collections::BTreeMap;
use std::time::Instant;

use sluicegate_media::{ClockRate, Timestamp, TrackId};

/// Reports that have tracks further apart than this, against where their packets stand, are of clocks that have nothing to
/// do with each other, or wrong. A sender that begins with the pictures since a key frame and with the sound of now has
/// them apart by up to 20 s, which is what a ring of the hub holds.
const MAX_APART: Timestamp = Timestamp::from_millis(25_000);

/// What a report's own rounding and a sender's scheduling amount to; less is left alone.
const TOLERANCE: Timestamp = Timestamp::from_millis(5);
/// The part of the time between two reports by which the sender may have set its clock meanwhile.
const SLEW: i64 = 100;

/// One track's clock.
#[derive(Debug)]
struct Track {
    rate: ClockRate,
    /// The newest timestamp, counted without wrapping, and when it arrived.
    last: Option<(i64, Timestamp)>,
    /// The place of tick 0 on the timeline.
    offset: Timestamp,
    /// The newest report: the sender's wall clock at a timestamp.
    reported: Option<(u64, u32)>,
}

impl Track {
    /// A sender that sets its timestamps anew goes on where it was. Otherwise its track would stay behind, or ahead of the
    /// other, for as long as it has set them by.
    fn bridge(&mut self, last: i64, ticks: i64, passed: Timestamp) {
        let [last, now] = [last, ticks].map(|ticks| Timestamp::from_ticks(ticks, self.rate));
        let step = now.saturating_sub(last);
        if step > passed.saturating_add(MAX_APART) || step < Timestamp::ZERO.saturating_sub(MAX_APART) {
            self.offset = self.offset.saturating_add(last).saturating_add(passed).saturating_sub(now);
            // It is about the timestamps of before.
            self.reported = None;
        }
    }
}

/// Places the tracks by when their first packets arrived, and better once reports say how their clocks are related
/// (RFC 3550 section 6.4.1).
#[derive(Debug, Default)]
pub(crate) struct Clock {
    origin: Option<Instant>,
    tracks: BTreeMap<TrackId, Track>,
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
        let Some((last, _)) = track.last else { return i64::from(timestamp) };
        let [.., a, b, c, d] = last.to_be_bytes();
        let step = timestamp.wrapping_sub(u32::from_be_bytes([a, b, c, d])).cast_signed();
        last.saturating_add(i64::from(step))
    }

    /// The place of a packet's timestamp, which arrives at `now`.
    pub(crate) fn place(&mut self, now: Instant, id: TrackId, timestamp: u32) -> Option<Timestamp> {
        let origin = *self.origin.get_or_insert(now);
        let arrived = Timestamp::from(now.saturating_duration_since(origin));
        let track = self.tracks.get_mut(&id)?;
        let ticks = Self::extend(track, timestamp);
        if let Some((last, then)) = track.last.replace((ticks, arrived)) {
            track.bridge(last, ticks, arrived.saturating_sub(then));
        } else {
            track.offset = arrived.saturating_sub(Timestamp::from_ticks(ticks, track.rate));
            // Some senders report right before they begin, and then not for seconds.
            self.begin(id, arrived);
        }
        let track = self.tracks.get(&id)?;
        Some(track.offset.saturating_add(Timestamp::from_ticks(ticks, track.rate)))
    }

    /// The sender's wall clock at a timestamp.
    pub(crate) fn report(&mut self, id: TrackId, ntp: u64, timestamp: u32) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.reported = Some((ntp, timestamp));
            self.settle(id);
        }
    }

    /// A track whose first packet has `arrived` may still go where reports have it, forth or back to the beginning.
    fn begin(&mut self, id: TrackId, arrived: Timestamp) {
        let others = self.tracks.keys().filter(|other| **other != id);
        if let Some(behind) = others.filter_map(|other| self.behind(id, *other)).next() {
            self.forward(id, behind.max(Timestamp::ZERO.saturating_sub(arrived)));
        }
        self.settle(id);
    }

    /// Moves the track that is behind another, by their newest reports, forward to it: nothing goes back.
    fn settle(&mut self, id: TrackId) {
        let others: Vec<TrackId> = self.tracks.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            let Some(behind) = self.behind(id, other) else { continue };
            if behind > Timestamp::ZERO {
                self.forward(id, behind);
            } else {
                self.forward(other, Timestamp::ZERO.saturating_sub(behind));
            }
        }
    }

    fn forward(&mut self, id: TrackId, by: Timestamp) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.offset = track.offset.saturating_add(by);
        }
    }

    /// By how much a track is behind another; `None` if it is not known, little, or more than can be.
    fn behind(&self, id: TrackId, other: TrackId) -> Option<Timestamp> {
        let told = |id| self.tracks.get(&id).and_then(Self::told);
        let ((place, reported), (its, other)) = (told(id)?, told(other)?);
        let passed = reported.saturating_sub(other);
        let behind = its.saturating_add(passed).saturating_sub(place);
        let tolerance = TOLERANCE.nanos().saturating_add(passed.nanos().saturating_abs() / SLEW);
        let counts = tolerance.saturating_add(1)..=MAX_APART.nanos();
        counts.contains(&behind.nanos().saturating_abs()).then_some(behind)
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
            assert_eq!(clock.place(now + Duration::from_millis(100), late, other).map(Timestamp::millis), Some(0));
            // Nobody waits for another report.
            assert_eq!(clock.place(now, VIDEO, 93_600).map(Timestamp::millis), Some(40));
            assert_eq!(clock.place(now, AUDIO, 481_920).map(Timestamp::millis), Some(40));
        }
    }

    #[test]
    fn pictures_since_a_key_frame_and_the_sound_of_now_stand_where_reports_before_them_say() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.report(VIDEO, NTP, 8 * 90_000);
        clock.report(AUDIO, NTP, 48_000);
        assert_eq!(clock.place(now, VIDEO, 0), Some(Timestamp::ZERO));
        assert_eq!(clock.place(now, AUDIO, 48_000).map(Timestamp::millis), Some(8_000));
        assert_eq!(clock.place(now, VIDEO, 3_600).map(Timestamp::millis), Some(40));
    }

    #[test]
    fn sound_from_before_the_first_picture_stands_at_the_beginning() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.report(VIDEO, NTP, 90_000);
        clock.report(AUDIO, NTP, 48_000);
        assert_eq!(clock.place(now, VIDEO, 90_000), Some(Timestamp::ZERO));
        // It is 300 ms older than the picture, and comes 100 ms after it.
        let later = now + Duration::from_millis(100);
        assert_eq!(clock.place(later, AUDIO, 48_000 - 14_400), Some(Timestamp::ZERO));
        assert_eq!(clock.place(later, VIDEO, 93_600).map(Timestamp::millis), Some(340));
        assert_eq!(clock.place(later, AUDIO, 48_000).map(Timestamp::millis), Some(300));
    }

    #[test]
    fn a_clock_that_the_sender_sets_moves_no_track() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.place(now, VIDEO, 0);
        clock.place(now, AUDIO, 0);
        // Each second it goes by 8 ms less.
        for second in 0..20_u32 {
            let ntp = NTP + u64::from(second) * (1 << 32);
            clock.report(VIDEO, ntp, second * 992 * 90);
            clock.report(AUDIO, ntp, second * 992 * 48);
            assert_eq!(
                clock.place(now, VIDEO, second * 90_000).map(Timestamp::millis),
                Some(i64::from(second) * 1_000)
            );
            assert_eq!(
                clock.place(now, AUDIO, second * 48_000).map(Timestamp::millis),
                Some(i64::from(second) * 1_000)
            );
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
    fn a_track_whose_timestamps_are_set_anew_goes_on_beside_the_other() {
        let hour = 3_600 * 90_000_u32;
        for set in [|at: u32| at.wrapping_add(3_600 * 90_000), |at: u32| at.wrapping_sub(3_600 * 90_000)] {
            let (mut clock, start) = (clock(), Instant::now());
            for second in 0..60_u32 {
                let now = start + Duration::from_secs(second.into());
                let ticks = hour + second * 90_000;
                let ticks = if second < 30 { ticks } else { set(ticks) };
                let at = [clock.place(now, VIDEO, ticks), clock.place(now, AUDIO, second * 48_000)];
                assert_eq!(at.map(|at| at.map(Timestamp::millis)), [Some(i64::from(second) * 1_000); 2]);
                // What it reports counts from then on, too.
                clock.report(VIDEO, NTP + u64::from(second) * (1 << 32), ticks);
                clock.report(AUDIO, NTP + u64::from(second) * (1 << 32), second * 48_000);
            }
        }
    }

    #[test]
    fn a_track_that_was_silent_stands_where_it_is_now() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.place(now, VIDEO, 0);
        let later = now + Duration::from_secs(300);
        assert_eq!(clock.place(later, VIDEO, 300 * 90_000).map(Timestamp::millis), Some(300_000));
        // All since a key frame of 20 s ago, in a moment.
        assert_eq!(clock.place(later, VIDEO, 320 * 90_000).map(Timestamp::millis), Some(320_000));
    }

    #[test]
    fn timestamps_wrap() {
        let (mut clock, now) = (clock(), Instant::now());
        clock.place(now, VIDEO, u32::MAX - 899);
        assert_eq!(clock.place(now, VIDEO, 0).map(Timestamp::millis), Some(10));
        assert_eq!(clock.place(now, VIDEO, u32::MAX - 899).map(Timestamp::millis), Some(0));
    }
}
