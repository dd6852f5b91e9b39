//! The clocks of our sender reports, which keep sound and pictures in step at the receiver.

/// A clock that is off by more than this has been set anew; by less, it is followed slowly. In milliseconds.
const JUMP: i64 = 200;
/// The part of a difference that is made up at each report.
const SLEW: i64 = 16;
/// Reports in which a clock is off by so much before it counts as set anew: a viewer that begins is sent what is old, and
/// packets tell no clock meanwhile.
const STRAYS: u8 = 3;
/// Tracks that are further apart than this are no parts of one timeline. In milliseconds.
const MAX_APART: i64 = 10_000;

/// A moment of the wall clock, in 32.32 fixed point seconds, and the timestamp of one track then.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    ntp: u64,
    timestamp: u32,
    rate: u32,
}

impl Anchor {
    /// The timestamp at another moment.
    fn at(self, ntp: u64) -> u32 {
        let passed = i128::from(ntp) - i128::from(self.ntp);
        low(i128::from(self.timestamp) + ((passed * i128::from(self.rate)) >> 32))
    }

    /// How far a track is behind this clock, in ticks of its own; `None` if it is none of the same timeline.
    /// Timestamps count the same time at different rates, each modulo 2^32: multiplied up to a common rate, their
    /// difference is known as long as it is less than 2^31 ticks there, about 50 minutes of 48 and 90 kHz.
    fn behind(self, ntp: u64, timestamp: u32, rate: u32) -> Option<i64> {
        let common = self.rate.checked_div(divisor(self.rate, rate))?.checked_mul(rate)?;
        let (ours, theirs) = (common.checked_div(self.rate)?, common.checked_div(rate)?);
        let apart = self.at(ntp).wrapping_mul(ours).wrapping_sub(timestamp.wrapping_mul(theirs)).cast_signed();
        let millis = i64::from(apart).checked_mul(1_000)?.checked_div(i64::from(common))?;
        (millis.abs() <= MAX_APART).then(|| i64::from(apart) / i64::from(theirs))
    }
}

fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Modulo 2^32.
fn low(ticks: i128) -> u32 {
    u32::try_from(ticks.rem_euclid(1 << 32)).unwrap_or_default()
}

/// Makes all our sender reports tell of one clock. When packets of a track were sent does not tell it: sound that is
/// encoded here, or a picture that has waited for a batch, is later than the other track by tens of milliseconds, and a
/// receiver puts that between sound and picture. The timestamps of our tracks count one timeline, so that one
/// track's clock, evened out, serves all.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    leader: Option<Leader>,
}

/// The track whose packets are the clock, and the clock.
#[derive(Debug, Clone, Copy)]
struct Leader {
    source: u32,
    anchor: Anchor,
    /// How many reports in a row its packets have told of a clock set anew.
    strays: u8,
}

impl Leader {
    /// Follows the leader's own packets.
    fn follow(&mut self, fresh: Anchor, behind: Option<i64>) {
        let jumped = behind.is_none_or(|behind| behind.abs() * 1_000 > JUMP * i64::from(fresh.rate));
        self.strays = if jumped { self.strays + 1 } else { 0 };
        if self.strays == STRAYS {
            *self = Self { anchor: fresh, strays: 0, ..*self };
            return;
        }
        let step = behind.filter(|_| !jumped).unwrap_or_default() / SLEW;
        let timestamp = low(i128::from(self.anchor.at(fresh.ntp)) - i128::from(step));
        self.anchor = Anchor { timestamp, ..fresh };
    }
}

impl Clocks {
    /// The timestamp that the report of a source tells at this moment, of which its own packets say `timestamp`, in ticks
    /// of `rate` a second.
    pub(super) fn told(&mut self, source: u32, rate: u32, ntp: u64, timestamp: u32) -> u32 {
        if rate == 0 {
            return timestamp;
        }
        let fresh = Anchor { ntp, timestamp, rate };
        let leader = self.leader.get_or_insert(Leader { source, anchor: fresh, strays: 0 });
        let behind = leader.anchor.behind(ntp, timestamp, rate);
        if leader.source == source {
            leader.follow(fresh, behind);
            return leader.anchor.timestamp;
        }
        behind.map_or(timestamp, |behind| low(i128::from(timestamp) + i128::from(behind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;
    const NTP: u64 = 0xed00_0000 << 32;
    const VIDEO: u32 = 1;
    const AUDIO: u32 = 2;

    /// The timestamps of a moment, in milliseconds of the timeline.
    fn at(millis: u64) -> (u32, u32) {
        (low(i128::from(millis) * 90), low(i128::from(millis) * 48))
    }

    #[test]
    fn sound_and_pictures_tell_one_clock_however_late_they_are() {
        // The second beginning is where both timestamps have wrapped, at different times.
        for begin in [10_000, 200_000_000] {
            for late in [0, 60, 500] {
                let mut clocks = Clocks::default();
                for second in 0..40_u64 {
                    let (ntp, now) = (NTP + second * SECOND, begin + 1_000 * second);
                    // What is sent late has a smaller timestamp than the moment's; pictures are sent at uneven times.
                    let video = clocks.told(VIDEO, 90_000, ntp, at(now - second % 3 * 20).0);
                    let audio = clocks.told(AUDIO, 48_000, ntp, at(now - late).1);
                    let millis = i64::try_from(now).unwrap();
                    let apart = |told: u32, rate: i64| {
                        let exact = low(i128::from(millis) * i128::from(rate) / 1_000);
                        i64::from(told.wrapping_sub(exact).cast_signed()) * 1_000 / rate
                    };
                    let (video, audio) = (apart(video, 90_000), apart(audio, 48_000));
                    assert!((video - audio).abs() <= 1, "{video} {audio} after {second} s, {late} ms late");
                    assert!((-40..=0).contains(&video), "{video}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_anew_is_followed_and_strangers_are_left_alone() {
        for jump in [4_000, 895_000] {
            let mut clocks = Clocks::default();
            assert_eq!(clocks.told(VIDEO, 90_000, NTP, at(5_000).0), at(5_000).0);
            for second in 1..=u64::from(STRAYS) + 1 {
                let (ntp, old) = (NTP + second * SECOND, 5_000 + 1_000 * second);
                let now = old + if second < STRAYS.into() { 0 } else { jump };
                // What is old goes out meanwhile.
                let video = at(if second < STRAYS.into() { old - 3_000 } else { now }).0;
                assert_eq!(clocks.told(VIDEO, 90_000, ntp, video), at(now).0, "{second}");
                assert_eq!(clocks.told(AUDIO, 48_000, ntp, at(now - 100).1), at(now).1, "{second}");
                assert_eq!(clocks.told(3, 48_000, ntp, at(now + 60_000).1), at(now + 60_000).1, "{second}");
            }
            assert_eq!(clocks.told(3, 0, NTP, 77), 77, "no rate");
        }
    }

    #[test]
    fn what_goes_out_late_for_a_while_moves_no_clock() {
        let mut clocks = Clocks::default();
        for (second, old) in [(0, 0), (1, 20_000), (2, 5_000), (3, 0), (4, 300), (5, 0)] {
            let now = 30_000 + 1_000 * second;
            assert_eq!(clocks.told(VIDEO, 90_000, NTP + second * SECOND, at(now - old).0), at(now).0, "{second}");
        }
    }
}
