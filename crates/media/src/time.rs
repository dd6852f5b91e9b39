//! Media time: one unit for every protocol, exact conversions to and from their clocks.

use std::num::NonZeroU32;
use std::time::Duration;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Ticks per second of a protocol's media clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockRate(NonZeroU32);

impl ClockRate {
    /// 1 kHz: FLV and RTMP.
    pub const MILLIS: Self = Self(NonZeroU32::new(1_000).expect("not zero"));
    /// 90 kHz: RTP video and our fragmented MP4 video (RFC 3551 §5).
    pub const VIDEO: Self = Self(NonZeroU32::new(90_000).expect("not zero"));

    /// A clock of `hz` ticks per second; `None` for 0.
    #[must_use]
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// Ticks per second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0.get()
    }
}

/// An instant or a distance on a stream's timeline, in nanoseconds.
///
/// Conversions round to the nearest tick, so a value that came from any clock up to 1 GHz returns to
/// the same tick. Arithmetic saturates: a hostile timestamp never panics and never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The start of the timeline.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// From `ticks` of `clock`, to the nearest nanosecond.
    #[must_use]
    pub fn from_ticks(ticks: i64, clock: ClockRate) -> Self {
        Self(scale(ticks, NANOS_PER_SECOND, i64::from(clock.hz())))
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds, to the nearest.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.ticks(ClockRate::MILLIS)
    }

    /// Ticks of `clock`, to the nearest.
    #[must_use]
    pub fn ticks(self, clock: ClockRate) -> i64 {
        scale(self.0, i64::from(clock.hz()), NANOS_PER_SECOND)
    }

    /// The later instant, `by` after this one.
    #[must_use]
    pub const fn saturating_add(self, by: Self) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// The signed distance from `earlier` to this instant.
    #[must_use]
    pub const fn saturating_sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// This distance as a [`Duration`]; zero if it is negative.
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Timestamp {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// `value * numerator / denominator`, rounded to nearest, saturating.
fn scale(value: i64, numerator: i64, denominator: i64) -> i64 {
    let denominator = i128::from(denominator);
    let product = i128::from(value).saturating_mul(i128::from(numerator));
    let rounded = product.saturating_add(denominator / 2).div_euclid(denominator);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_of_any_clock_survive_the_round_trip(ticks in -1i64 << 40..1i64 << 40, hz in 1u32..=1_000_000) {
            let clock = ClockRate::new(hz).unwrap();
            prop_assume!(ticks.unsigned_abs() / u64::from(hz) < 9_000_000_000);
            prop_assert_eq!(Timestamp::from_ticks(ticks, clock).ticks(clock), ticks);
        }

        #[test]
        fn no_value_panics(a: i64, b: i64, hz in 1u32..) {
            let clock = ClockRate::new(hz).unwrap();
            let sum = Timestamp::from_ticks(a, clock).saturating_add(Timestamp::from_millis(b));
            let _ = (sum.ticks(clock), sum.saturating_sub(Timestamp::from_nanos(b)).to_duration());
        }
    }

    #[test]
    fn rounds_to_the_nearest_tick() {
        assert_eq!(Timestamp::from_ticks(1, ClockRate::VIDEO).nanos(), 11_111);
        assert_eq!(Timestamp::from_nanos(1_500_000).millis(), 2);
        assert_eq!(Timestamp::from_nanos(-1_500_001).millis(), -2);
    }
}
