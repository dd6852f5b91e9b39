//! Times and sizes as people write them in configuration files: `15s`, `2min`, `32 MiB`.

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
