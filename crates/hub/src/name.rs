//! Stream names and who owns them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::Error;

/// Segments of a name, at most.
const MAX_SEGMENTS: usize = 8;
/// Bytes of one segment, at most. A site's suffix counts too.
const MAX_SEGMENT_BYTES: usize = 64;
/// Bytes of a variant, at most.
const MAX_VARIANT_BYTES: usize = 32;

/// A stream's name: 1 to 8 segments of `[A-Za-z0-9._~-]{1,64}` joined by `/`, and perhaps `:variant`.
///
/// ```
/// use sluicegate_hub::StreamName;
/// let name = StreamName::parse("cams/door:sub").unwrap();
/// assert_eq!(name.at_site("c7").unwrap().as_str(), "cams/door-c7:sub");
/// assert!(StreamName::parse("cams//door").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Checks `text` and takes it as a name.
    ///
    /// # Errors
    /// [`Error::Name`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (path, variant) = split_variant(text);
        let mut segments = 0_usize;
        for segment in path.split('/') {
            segments += 1;
            check_part(segment, MAX_SEGMENT_BYTES)?;
        }
        if segments > MAX_SEGMENTS {
            return Err(Error::Name { fault: "it has more than 8 segments" });
        }
        variant.map_or(Ok(()), |variant| check_part(variant, MAX_VARIANT_BYTES))?;
        Ok(Self(text.into()))
    }

    /// The name that this stream of site `cid` has at the upstream: `cams/door` becomes `cams/door-CID`.
    ///
    /// # Errors
    /// [`Error::Name`] when the result is no name, for instance because it is too long.
    pub fn at_site(&self, cid: &str) -> Result<Self, Error> {
        let (path, variant) = split_variant(&self.0);
        let variant = variant.map(|variant| format!(":{variant}")).unwrap_or_default();
        Self::parse(&format!("{path}-{cid}{variant}"))
    }

    /// The name that this stream has at site `cid` itself: `cams/door-CID` becomes `cams/door`. `None` for others' streams.
    #[must_use]
    pub fn of_site(&self, cid: &str) -> Option<Self> {
        let (path, variant) = split_variant(&self.0);
        let variant = variant.map(|variant| format!(":{variant}")).unwrap_or_default();
        let own = path.strip_suffix(cid)?.strip_suffix('-')?;
        Self::parse(&format!("{own}{variant}")).ok()
    }

    /// The variant of `cams/door:sub` is `sub`; a plain name has none.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        split_variant(&self.0).1
    }

    /// The name without its variant.
    #[must_use]
    pub fn base(&self) -> Self {
        match split_variant(&self.0) {
            (_, None) => self.clone(),
            (path, Some(_)) => Self(path.into()),
        }
    }

    /// The name of a variant of the same stream.
    ///
    /// # Errors
    /// [`Error::Name`] when `variant` is none.
    pub fn with_variant(&self, variant: &str) -> Result<Self, Error> {
        Self::parse(&format!("{}:{variant}", split_variant(&self.0).0))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names sort, compare and hash as their texts do.
impl Borrow<str> for StreamName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

fn split_variant(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(path, variant)| (path, Some(variant)))
}

fn check_part(part: &str, limit: usize) -> Result<(), Error> {
    let fault = if part.is_empty() {
        "a segment is empty"
    } else if part.len() > limit {
        "a segment is longer than 64 bytes, or the variant than 32"
    } else if part == "." || part == ".." {
        "a segment is . or .."
    } else if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)) {
        "only letters, digits and . _ ~ - are allowed in a segment"
    } else {
        return Ok(());
    };
    Err(Error::Name { fault })
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The site that a stream belongs to.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The site with this id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The site's id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_the_rules_are_taken() {
        for text in ["a", "cams/door", "a/b/c/d/e/f/g/h", "A.b_~-9", "live/x:sub", &"x".repeat(64)] {
            assert_eq!(StreamName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_sites_stream_has_two_names() {
        for (own, public) in [("cams/door", "cams/door-cam-7"), ("cams/door:sub", "cams/door-cam-7:sub")] {
            let (own, public) = (StreamName::parse(own).unwrap(), StreamName::parse(public).unwrap());
            assert_eq!(own.at_site("cam-7").unwrap(), public);
            assert_eq!(public.of_site("cam-7"), Some(own));
            assert_eq!(public.of_site("cam-8"), None);
        }
    }

    #[test]
    fn a_variant_and_its_stream_name_each_other() {
        let (main, sub) = (StreamName::parse("cams/door").unwrap(), StreamName::parse("cams/door:sub").unwrap());
        assert_eq!((main.variant(), sub.variant()), (None, Some("sub")));
        assert_eq!((main.base(), sub.base()), (main.clone(), main.clone()));
        assert_eq!((main.with_variant("sub").unwrap(), sub.with_variant("sub").unwrap()), (sub.clone(), sub));
        assert!(main.with_variant("").is_err() && main.with_variant("a:b").is_err());
    }

    #[test]
    fn names_outside_the_rules_are_refused() {
        let long = "x".repeat(65);
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/./b",
            "a b",
            "a%2fb",
            "ä",
            "a:b:c",
            "a:",
            "a:b/c",
            &long,
            "1/2/3/4/5/6/7/8/9",
        ] {
            assert!(StreamName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_site_suffixes_the_path_not_the_variant() {
        let name = StreamName::parse("cams/door:sub").unwrap();
        assert_eq!(name.at_site("CID").unwrap().as_str(), "cams/door-CID:sub");
        assert!(name.at_site(&"x".repeat(64)).is_err());
    }
}
