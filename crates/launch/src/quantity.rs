//! Times, sizes and rates as people write them in configuration files: `15s`, `2min`, `32 MiB`, `8 Mbit/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time: `250ms`, `15s`, `1min 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of bytes: `65536`, `128 KiB`, `32MiB`, `1 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Bits per second, as lines are sold: `500 kbit/s`, `8 Mbit/s`, `1.5Mbit/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitRate(pub u64);

impl FromStr for Span {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ByteSize>().map(|size| Self(size.as_u64()))
    }
}

/// The units of a rate, the greatest first.
const RATES: [(u64, &str); 4] = [(1_000_000_000, "Gbit/s"), (1_000_000, "Mbit/s"), (1_000, "kbit/s"), (1, "bit/s")];

impl FromStr for BitRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Also the last: every unit ends with its name.
        let found = RATES.iter().find_map(|(bits, unit)| Some((*bits, text.strip_suffix(unit)?.trim_end())));
        let (bits, number) = found.ok_or("the unit must be bit/s, kbit/s, Mbit/s or Gbit/s")?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
        let whole = digits(whole).and_then(|whole| whole.checked_mul(bits));
        // Below a billionth nothing counts.
        let scale = u32::try_from(part.len()).ok().filter(|digits| *digits <= 9).map(|digits| 10_u64.pow(digits));
        let part = digits(part).zip(scale).map(|(value, scale)| value * bits / scale);
        whole.zip(part).and_then(|(whole, part)| whole.checked_add(part)).map(Self).ok_or("the number cannot be read")
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = RATES.iter().find(|(bits, _)| self.0 > 0 && self.0.is_multiple_of(*bits));
        let (bits, unit) = whole.copied().unwrap_or((1, "bit/s"));
        write!(f, "{} {unit}", self.0 / bits)
    }
}

impl Size {
    /// As the type that a limit has; one that does not fit is the greatest that does.
    #[must_use]
    pub fn bytes<T: TryFrom<u64> + Bounded>(self) -> T {
        T::try_from(self.0).unwrap_or(T::MAX)
    }
}

/// An integer with a greatest value.
pub trait Bounded {
    /// The greatest.
    const MAX: Self;
}

impl Bounded for u32 {
    const MAX: Self = Self::MAX;
}

impl Bounded for usize {
    const MAX: Self = Self::MAX;
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded text would not read back as the same number.
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = units.iter().find(|(shift, _)| self.0 > 0 && self.0.is_multiple_of(1 << shift));
        match whole {
            Some((shift, unit)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

macro_rules! as_text {
    ($name:ident, $example:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let bad = |error| serde::de::Error::custom(format_args!("{text:?}: {error}, write {}", $example));
                text.parse().map_err(bad)
            }
        }
    };
}

as_text!(Span, "\"15s\" or \"250ms\"");
as_text!(Size, "\"65536\" or \"32 MiB\"");
as_text!(BitRate, "\"8 Mbit/s\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Limits {
        wait: Span,
        ring: Size,
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let limits: Limits = toml::from_str("wait = '1min 30s'\nring = '32MiB'\n").unwrap();
        assert_eq!(limits, Limits { wait: Span(Duration::from_secs(90)), ring: Size(32 << 20) });
        for ring in [0, 1, 1_000, 65_536, (32 << 20) + 1, 3 << 30] {
            let limits = Limits { wait: Span(Duration::from_millis(250)), ring: Size(ring) };
            assert_eq!(toml::from_str::<Limits>(&toml::to_string(&limits).unwrap()).unwrap(), limits);
        }
    }

    #[test]
    fn rates_are_read_and_printed() {
        let read = |text: &str| text.parse::<BitRate>().map(|rate| rate.0);
        for (text, bits) in
            [("8 Mbit/s", 8_000_000), ("1.5Mbit/s", 1_500_000), ("500 kbit/s", 500_000), ("7 bit/s", 7), ("0bit/s", 0)]
        {
            assert_eq!(read(text), Ok(bits));
            assert_eq!(read(&BitRate(bits).to_string()), Ok(bits));
        }
        for text in [
            "8",
            "8 MB/s",
            "8 mbit/s",
            "Mbit/s",
            "-1 Mbit/s",
            "+1 Mbit/s",
            "1.Mbit/s",
            "99999999999 Gbit/s",
            "1.0000000001 bit/s",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_one_is_told_with_an_example() {
        let error = toml::from_str::<Limits>("wait = '15'\nring = '1'\n").unwrap_err().to_string();
        assert!(error.contains("\"15\"") && error.contains("250ms"), "{error}");
        let error = toml::from_str::<Limits>("wait = '15s'\nring = '1 elephant'\n").unwrap_err().to_string();
        assert!(error.contains("32 MiB"), "{error}");
    }

    #[test]
    fn a_size_beyond_the_type_is_its_greatest() {
        assert_eq!(Size(1 << 40).bytes::<u32>(), u32::MAX);
        assert_eq!(Size(7).bytes::<usize>(), 7);
    }
}
