//! Variants of a stream, and which of them a viewer gets.
//!
//! `cams/door` is a stream and `cams/door:sub` a variant of it, as a rule a smaller one. Both are streams like any
//! other; what makes them one is their name. The rules, in the order in which they are asked:
//!
//! 1. A viewer that names its variant gets that one and no other.
//! 2. A viewer of the plain name gets the richest variant that fits its bound and the uplink of the site. The plain
//!    stream is the richest; the others follow by their rates as last measured, those without a rate last.
//! 3. A variant fits a viewer's bound when its rate is within it. Without a rate, the plain stream does not and the
//!    others do.
//! 4. A variant fits the uplink when it is live already, or when what is left of the uplink carries its rate; without a
//!    rate, when anything is left.
//! 5. When none fits, the viewer gets the last, which is the leanest.
//! 6. A viewer whose protocol can change variants is moved as its bound changes: see [`Mover`].

use std::cmp::Reverse;

use url::form_urlencoded;

use crate::{Error, Owner, State, StreamName};

mod mover;

pub use mover::{Move, Mover};

/// The name of the plain stream where a variant is asked for.
const MAIN: &str = "main";

/// What a viewer says of the variant that it wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The stream of that very name.
    #[default]
    Exact,
    /// Of a plain name the variant that fits.
    Fitting {
        /// Bits per second of payload, at most; `None` for a viewer that sets no bound.
        most: Option<u64>,
    },
}

impl Choice {
    /// The variant that fits, without a bound of the viewer's own.
    pub const FITTING: Self = Self::Fitting { most: None };

    /// What the query of a viewer's URL says: `variant=NAME` is that variant of the stream, `variant=main` the plain
    /// stream, `max_kbps=N` a bound in thousands of bits per second. Without these a plain name means what fits, and one
    /// with a variant itself.
    ///
    /// # Errors
    /// [`Error::Name`] for a variant that is none, and for a bound that is no number.
    pub fn of(name: &StreamName, query: &str) -> Result<(StreamName, Self), Error> {
        let value = |key: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(found, value)| found == key && !value.is_empty()).map(|(_, value)| value)
        };
        match value("variant").as_deref() {
            Some(MAIN) => return Ok((name.base(), Self::Exact)),
            Some(variant) => return Ok((name.with_variant(variant)?, Self::Exact)),
            None if name.variant().is_some() => return Ok((name.clone(), Self::Exact)),
            None => {}
        }
        let bits = |kbps: &str| kbps.parse::<u32>().map(|kbps| u64::from(kbps) * 1_000);
        let most = value("max_kbps").map(|kbps| bits(&kbps)).transpose();
        let most = most.map_err(|_| Error::Name { fault: "max_kbps is no number" })?;
        Ok((name.clone(), Self::Fitting { most }))
    }
}

/// One variant of a stream at one moment; the plain stream is one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The stream.
    pub name: StreamName,
    /// The site that offers it, if one does.
    pub owner: Option<Owner>,
    /// Where it is in its life.
    pub state: State,
    /// Bits per second of payload as last measured.
    pub bits_per_second: Option<u64>,
    /// How many watch it.
    pub viewers: usize,
}

impl Variant {
    /// Whether a viewer could get it.
    fn is_there(&self) -> bool {
        self.state != State::Waiting
    }

    fn is_main(&self) -> bool {
        self.name.variant().is_none()
    }

    /// Whether it takes its part of a site's uplink, or is about to.
    pub(crate) fn is_carried(&self) -> bool {
        self.state == State::Live || self.state == State::Offered && self.viewers > 0
    }

    fn fits(&self, bounds: Bounds) -> bool {
        let viewer = match (self.bits_per_second, bounds.viewer) {
            (_, None) => true,
            (Some(rate), Some(most)) => rate <= most,
            (None, Some(_)) => !self.is_main(),
        };
        viewer && self.fits_uplink(bounds)
    }

    fn fits_uplink(&self, bounds: Bounds) -> bool {
        let Some(left) = bounds.uplink.filter(|_| !self.is_carried()) else { return true };
        self.bits_per_second.map_or(left > 0, |rate| rate <= left)
    }
}

/// What limits a viewer, in bits per second; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What the viewer takes, or its path carries.
    pub viewer: Option<u64>,
    /// What is left of the uplink of the stream's site.
    pub uplink: Option<u64>,
}

/// Those that a viewer could get, the richest first.
pub(crate) fn ordered(mut variants: Vec<Variant>) -> Vec<Variant> {
    variants.retain(Variant::is_there);
    variants.sort_by_cached_key(|variant| {
        let rate = Reverse(variant.bits_per_second);
        (!variant.is_main(), rate, variant.name.clone())
    });
    variants
}

/// The one that a viewer of the plain name gets, of variants in order; `None` of none.
pub(crate) fn pick(ordered: &[Variant], bounds: Bounds) -> Option<&Variant> {
    ordered.iter().find(|variant| variant.fits(bounds)).or(ordered.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn variant(name: &str, state: State, rate: Option<u64>) -> Variant {
        let viewers = usize::from(state == State::Live);
        Variant { name: StreamName::parse(name).unwrap(), owner: None, state, bits_per_second: rate, viewers }
    }

    fn picked(variants: &[Variant], viewer: Option<u64>, uplink: Option<u64>) -> String {
        let variants = ordered(variants.to_vec());
        pick(&variants, Bounds { viewer, uplink }).map(|variant| variant.name.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_query_names_a_variant_or_a_bound() {
        let of = |name: &str, query: &str| {
            let chosen = Choice::of(&StreamName::parse(name).unwrap(), query).unwrap();
            (chosen.0.to_string(), chosen.1)
        };
        assert_eq!(of("a/b", ""), ("a/b".to_owned(), Choice::FITTING));
        assert_eq!(of("a/b", "x=1&max_kbps=500"), ("a/b".to_owned(), Choice::Fitting { most: Some(500_000) }));
        assert_eq!(of("a/b", "variant=sub&max_kbps=500"), ("a/b:sub".to_owned(), Choice::Exact));
        assert_eq!(of("a/b:sub", "max_kbps=500"), ("a/b:sub".to_owned(), Choice::Exact));
        assert_eq!(of("a/b:sub", "variant=main"), ("a/b".to_owned(), Choice::Exact));
        assert_eq!(of("a/b:sub", "variant=low"), ("a/b:low".to_owned(), Choice::Exact));
        let name = StreamName::parse("a").unwrap();
        assert!(Choice::of(&name, "max_kbps=-1").is_err() && Choice::of(&name, "variant=a%2Fb").is_err());
    }

    #[test]
    fn the_richest_that_fits_is_picked() {
        let three = [
            variant("a:tiny", State::Offered, Some(100_000)),
            variant("a:sub", State::Live, Some(500_000)),
            variant("a", State::Offered, Some(4_000_000)),
        ];
        for (bound, name) in [(None, "a"), (Some(4_000_000), "a"), (Some(3_999_999), "a:sub"), (Some(1), "a:tiny")] {
            assert_eq!(picked(&three, bound, None), name, "{bound:?}");
        }
        assert_eq!(picked(&[], None, None), "");
    }

    #[test]
    fn what_is_not_measured_is_taken_for_what_its_name_says() {
        let two = [variant("a", State::Offered, None), variant("a:sub", State::Offered, None)];
        assert_eq!(picked(&two, None, None), "a");
        assert_eq!(picked(&two, Some(10_000_000), None), "a:sub");
        assert_eq!(picked(&two[..1], Some(1), None), "a");
    }

    #[test]
    fn only_what_is_there_is_picked() {
        let waiting = [variant("a", State::Waiting, None), variant("a:sub", State::Live, None)];
        assert_eq!(picked(&waiting, None, None), "a:sub");
        assert_eq!(picked(&waiting[..1], None, None), "");
    }

    #[test]
    fn an_uplink_carries_what_it_carries_already_and_what_it_has_room_for() {
        let offered = |state| [variant("a", state, Some(4_000_000)), variant("a:sub", State::Offered, Some(500_000))];
        let idle = offered(State::Offered);
        assert_eq!(picked(&idle, None, Some(4_000_000)), "a");
        assert_eq!(picked(&idle, None, Some(3_000_000)), "a:sub");
        assert_eq!(picked(&idle, None, Some(0)), "a:sub");
        assert_eq!(picked(&offered(State::Live), None, Some(0)), "a");
        let unmeasured = [variant("a", State::Offered, None), variant("a:sub", State::Offered, None)];
        assert_eq!(picked(&unmeasured, None, Some(1)), "a");
        assert_eq!(picked(&unmeasured, None, Some(0)), "a:sub");
    }
}
