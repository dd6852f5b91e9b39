//! The two request targets of the plugin, as its own clients spell them.
//!
//! A plugin's site cannot send headers of ours: its token stands in the path, `/t/TOKEN/erwscascade/…`, or in the query.

use percent_encoding::percent_decode_str;

const WSOCKET: &str = "/erwscascade/wsocket";
/// What the original looks for in the rest of the path, wherever it is.
const REGISTER: &str = "/register";
const WSPUSH: &str = "/erwscascade/wspush/";
/// The longest target that is looked at, bytes.
const MAX_TARGET_BYTES: usize = 4_096;
/// The longest id of a site, bytes.
const MAX_CID_BYTES: usize = 64;

/// A site registers: `/erwscascade/wsocket/register?cid=CID`, where the original escapes the question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The site's id: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`, and neither `.` nor `..`.
    pub cid: String,
    /// What precedes the plugin's path, such as `/media` where a proxy adds it (`conextpath`); empty without.
    pub prefix: String,
    /// Its token.
    pub token: Option<String>,
}

/// A site pushes a stream: `/erwscascade/wspush/A/B?cid=CID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wspush {
    /// The site's id, as in [`Register::cid`].
    pub cid: String,
    /// As [`Register::prefix`].
    pub prefix: String,
    /// Its token.
    pub token: Option<String>,
    /// The stream's name at the site, as it was sent.
    pub stream: String,
}

impl Register {
    /// Reads a target as it stands in the request. `None` when it is another route, or no possible cid is given.
    #[must_use]
    pub fn parse(target: &str) -> Option<Self> {
        let Whole { before, rest, cid, token } = Whole::parse(target, WSOCKET)?;
        rest.contains(REGISTER).then_some(())?;
        let (prefix, token) = credentials(&before, token);
        Some(Self { cid, prefix, token })
    }
}

impl Wspush {
    /// Reads a target as it stands in the request. `None` when it is another route, or no possible cid or no stream is
    /// given.
    #[must_use]
    pub fn parse(target: &str) -> Option<Self> {
        let Whole { before, rest, cid, token } = Whole::parse(target, WSPUSH)?;
        let stream = rest.trim_matches('/').to_owned();
        (!stream.is_empty()).then_some(())?;
        let (prefix, token) = credentials(&before, token);
        Some(Self { cid, prefix, token, stream })
    }
}

/// A target in its parts.
struct Whole {
    /// The path before the route.
    before: String,
    /// The path behind it.
    rest: String,
    cid: String,
    /// The token of the query.
    token: Option<String>,
}

impl Whole {
    /// Decodes all of it, then splits at the first question mark.
    fn parse(target: &str, route: &str) -> Option<Self> {
        if target.len() > MAX_TARGET_BYTES {
            return None;
        }
        let decoded = percent_decode_str(target).decode_utf8().ok()?;
        let (path, query) = decoded.split_once('?').unwrap_or((&decoded, ""));
        let (before, rest) = path.split_once(route)?;
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(have, value)| *have == name && !value.is_empty()).map(|(_, value)| value.to_owned())
        };
        let cid = value("cid").filter(|cid| is_cid(cid))?;
        Some(Self { before: before.to_owned(), rest: rest.to_owned(), cid, token: value("token") })
    }
}

/// The prefix and the token: that of the path, `{prefix}/t/TOKEN`, goes before that of the query.
fn credentials(before: &str, in_query: Option<String>) -> (String, Option<String>) {
    let in_path = before.rsplit_once('/').and_then(|(rest, token)| Some((rest.strip_suffix("/t")?, token)));
    match in_path.filter(|(_, token)| !token.is_empty()) {
        Some((prefix, token)) => (prefix.to_owned(), Some(token.to_owned())),
        None => (before.trim_end_matches('/').to_owned(), in_query),
    }
}

fn is_cid(cid: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=MAX_CID_BYTES).contains(&cid.len()) && cid.bytes().all(allowed) && cid != "." && cid != ".."
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
    fn a_prefix_stands_before_the_token() {
        let parts = |target: &str| Register::parse(target).map(|register| (register.prefix, register.token));
        let at = |prefix: &str, token: Option<&str>| Some((prefix.to_owned(), token.map(str::to_owned)));
        assert_eq!(parts("/media/x/erwscascade/wsocket/register%3Fcid=a"), at("/media/x", None));
        assert_eq!(parts("/media/t/s3/erwscascade/wsocket/register%3Fcid=a&token=q"), at("/media", Some("s3")));
        assert_eq!(parts("/t/erwscascade/wsocket/register?cid=a&token=q"), at("/t", Some("q")));
        assert_eq!(parts("/erwscascade/wsocket/v2/register/?cid=a"), at("", None));
        assert_eq!(parts("/erwscascade/wsocket/other?cid=a"), None);
        assert_eq!(parts("/erwscascade/wsocket/other?x=/register&cid=a"), None);
        let push = Wspush::parse("/media/t/s3/erwscascade/wspush/a/b?cid=c").unwrap();
        assert_eq!((push.prefix.as_str(), push.token.as_deref(), push.stream.as_str()), ("/media", Some("s3"), "a/b"));
    }

    #[test]
    fn only_ids_of_sites_are_taken() {
        let parse = |cid: &str| Register::parse(&format!("/erwscascade/wsocket/register?cid={cid}"));
        for good in ["a", "a.b_c~d-9", &"x".repeat(MAX_CID_BYTES)] {
            assert_eq!(parse(good).unwrap().cid, good);
        }
        for bad in ["", ".", "..", "a/b", "a%2Fb", "a%20b", "a%00", "%C3%A9", "a?b", &"x".repeat(MAX_CID_BYTES + 1)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(
            Register::parse(&format!("/{}/erwscascade/wsocket/register?cid=a", "x".repeat(MAX_TARGET_BYTES))),
            None
        );
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
