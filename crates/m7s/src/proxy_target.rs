//! What a request to `/erwscascade/httpproxy` asks for, in all spellings that pages use.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The longest target that is taken apart, bytes; the listener takes heads of 32 KiB.
const MAX_TARGET_BYTES: usize = 16 << 10;
/// What may not stand in a request target as it is.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'#').add(b'{').add(b'}');

/// The site, and the path with its query there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTarget {
    /// The site's id.
    pub cid: String,
    /// Begins with a slash, or is an absolute `http` URL behind one.
    pub path: String,
}

/// The request names no site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTarget;

impl ProxyTarget {
    /// Reads `rest`, the path behind `/erwscascade/httpproxy`, and the query.
    ///
    /// `?cid=CID&httpPath=PATH&more=1` and `/PATH?cid=CID&more=1` mean `PATH?more=1` at site CID; the cid may also hide
    /// within `httpPath`. The order of parameters is kept.
    ///
    /// # Errors
    /// [`NoTarget`] without a cid, and for what is too long.
    pub fn parse(rest: &str, query: &str) -> Result<Self, NoTarget> {
        if rest.len().saturating_add(query.len()) > MAX_TARGET_BYTES {
            return Err(NoTarget);
        }
        let (mut cid, mut asked, mut more) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("cid", value) if cid.is_none() => cid = Some(decoded(value)),
                ("httpPath", value) if asked.is_none() => asked = Some(decoded_path(value)),
                _ => more.push(pair.to_owned()),
            }
        }
        let whole = asked.unwrap_or_else(|| rest.to_owned());
        let (path, inner) = whole.split_once('?').unwrap_or((&whole, ""));
        let mut parameters = Vec::new();
        for pair in inner.split('&').filter(|pair| !pair.is_empty()) {
            match pair.strip_prefix("cid=").filter(|_| cid.is_none()) {
                Some(hidden) => cid = Some(decoded(hidden)),
                None => parameters.push(pair.to_owned()),
            }
        }
        parameters.extend(more);
        let mut target = format!("/{}", path.trim_start_matches('/'));
        if !parameters.is_empty() {
            target.push('?');
            target.push_str(&parameters.join("&"));
        }
        let path = utf8_percent_encode(&target, UNSAFE).to_string();
        cid.filter(|cid| !cid.is_empty()).map(|cid| Self { cid, path }).ok_or(NoTarget)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The original decodes twice, so careful pages encode twice; careless ones once or not at all.
fn decoded_path(text: &str) -> String {
    let once = decoded(text);
    let still_encoded = !once.contains('/') && once.to_ascii_lowercase().contains("%2f");
    if still_encoded { decoded(&once) } else { once }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str, query: &str) -> Result<(String, String), NoTarget> {
        ProxyTarget::parse(rest, query).map(|target| (target.cid, target.path))
    }

    fn at(cid: &str, path: &str) -> Result<(String, String), NoTarget> {
        Ok((cid.to_owned(), path.to_owned()))
    }

    #[test]
    fn every_spelling_leads_to_the_same_place() {
        assert_eq!(parse("/", "cid=c1&httpPath=/a/b"), at("c1", "/a/b"));
        assert_eq!(parse("", "httpPath=%2Fa%2Fb&cid=c1"), at("c1", "/a/b"));
        assert_eq!(parse("/", "httpPath=%252Fa%252Fb&cid=c1"), at("c1", "/a/b"));
        assert_eq!(parse("/a/b", "cid=c1"), at("c1", "/a/b"));
        assert_eq!(parse("/", "httpPath=a/b?cid=c1"), at("c1", "/a/b"));
        assert_eq!(parse("/", "cid=c1"), at("c1", "/"));
    }

    #[test]
    fn further_parameters_belong_to_the_path() {
        let push = "cid=c1&httpPath=/erwscascade/api/push?streamPath=live/a&target=rtmp://h/x/y&save";
        assert_eq!(parse("/", push), at("c1", "/erwscascade/api/push?streamPath=live/a&target=rtmp://h/x/y&save"));
        assert_eq!(parse("/a", "x=1&cid=c1&y=2"), at("c1", "/a?x=1&y=2"));
        assert_eq!(parse("/a", "cid=c1&cid=c2"), at("c1", "/a?cid=c2"));
    }

    #[test]
    fn absolute_urls_stay_behind_a_slash() {
        assert_eq!(parse("/", "cid=c1&httpPath=http://10.0.0.9/x?y=1"), at("c1", "/http://10.0.0.9/x?y=1"));
    }

    #[test]
    fn unsafe_characters_are_encoded_again() {
        assert_eq!(parse("/", "cid=c1&httpPath=/a%20b/%C3%A9"), at("c1", "/a%20b/%C3%A9"));
    }

    #[test]
    fn without_a_site_there_is_no_target() {
        assert_eq!(parse("/a", ""), Err(NoTarget));
        assert_eq!(parse("/a", "cid="), Err(NoTarget));
        assert_eq!(parse("/", &format!("cid=c&httpPath=/{}", "a".repeat(MAX_TARGET_BYTES))), Err(NoTarget));
    }
}
