//! The two request targets of the plugin, as its own clients spell them.
//!
//! A plugin's site cannot send headers of ours: its token stands in the path, `/t/TOKEN/erwscascade/…`, or in the query.

use percent_encoding::percent_decode_str;

const REGISTER: &str = "/erwscascade/wsocket/register";
const WSPUSH: &str = "/erwscascade/wspush/";
/// The longest target that is looked at, bytes.
const MAX_TARGET_BYTES: usize = 4_096;

/// A site registers: `/erwscascade/wsocket/register?cid=CID`, where the original escapes the question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The site's id.
    pub cid: String,
    /// Its token.
    pub token: Option<String>,
}

/// A site pushes a stream: `/erwscascade/wspush/A/B?cid=CID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wspush {
    /// The site's id.
    pub cid: String,
    /// Its token.
    pub token: Option<String>,
    /// The stream's name at the site, as it was sent.
    pub stream: String,
}

impl Register {
    /// Reads a target. `None` when it is another route, or no cid is given.
    #[must_use]
    pub fn parse(target: &str) -> Option<Self> {
        let whole = Whole::parse(target)?;
        (whole.path.trim_end_matches('/') == REGISTER).then_some(())?;
        Some(Self { cid: whole.cid?, token: whole.token })
    }
}

impl Wspush {
    /// Reads a target. `None` when it is another route, or no cid or stream is given.
    #[must_use]
    pub fn parse(target: &str) -> Option<Self> {
        let whole = Whole::parse(target)?;
        let stream = whole.path.strip_prefix(WSPUSH)?.trim_matches('/').to_owned();
        (!stream.is_empty()).then_some(())?;
        Some(Self { cid: whole.cid?, token: whole.token, stream })
    }
}

/// A target in its parts.
struct Whole {
    path: String,
    cid: Option<String>,
    token: Option<String>,
}

impl Whole {
    /// Decodes all of it, then splits at the first question mark.
    fn parse(target: &str) -> Option<Self> {
        if target.len() > MAX_TARGET_BYTES {
            return None;
        }
        let decoded = percent_decode_str(target).decode_utf8().ok()?;
        let (path, query) = decoded.split_once('?').unwrap_or((&decoded, ""));
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(have, value)| *have == name && !value.is_empty()).map(|(_, value)| value.to_owned()).next()
        };
        let (token, path) = match path.strip_prefix("/t/").and_then(|rest| rest.split_once('/')) {
            Some((token, rest)) => (Some(token.to_owned()), format!("/{rest}")),
            None => (value("token"), path.to_owned()),
        };
        Some(Self { path, cid: value("cid"), token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_spellings_of_a_register() {
        let register = |target: &str| Register::parse(target).map(|register| (register.cid, register.token));
        let plain = Some(("test-c001".to_owned(), None));
        assert_eq!(register("/erwscascade/wsocket/register%3Fcid=test-c001"), plain);
        assert_eq!(register("/erwscascade/wsocket/register?cid=test-c001"), plain);
        assert_eq!(register("/erwscascade/wsocket/register/?x=1&cid=test-c001"), plain);
        let secret = Some(("a".to_owned(), Some("s3".to_owned())));
        assert_eq!(register("/t/s3/erwscascade/wsocket/register%3Fcid=a"), secret);
        assert_eq!(register("/erwscascade/wsocket/register?cid=a&token=s3"), secret);
        for other in ["/erwscascade/wsocket/register", "/erwscascade/wsocket/register?cid=", "/register?cid=a", ""] {
            assert_eq!(register(other), None, "{other}");
        }
    }

    #[test]
    fn pushes_of_any_depth() {
        let push = |target: &str| Wspush::parse(target).map(|push| push.stream);
        assert_eq!(push("/erwscascade/wspush/live/test?cid=c").as_deref(), Some("live/test"));
        assert_eq!(push("/t/x/erwscascade/wspush/on?cid=c").as_deref(), Some("on"));
        assert_eq!(push("/erwscascade/wspush/a/b/c/d?cid=c").as_deref(), Some("a/b/c/d"));
        for other in ["/erwscascade/wspush/?cid=c", "/erwscascade/wspush/a", "/erwscascade/wspush?cid=c"] {
            assert_eq!(push(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_target_is_survived(target in ".{0,80}") {
            let _ = (Register::parse(&target), Wspush::parse(&target));
        }
    }
}
