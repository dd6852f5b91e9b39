//! What a request must look like before it is sent on: its path, and shapes that two parsers could read differently.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use http::{Uri, Version};

use crate::fault::Fault;
use crate::headers;

/// The most bytes that a site or service name may have, as for a segment of a stream name.
const MAX_NAME_BYTES: usize = 64;
/// Where path-proxied services live.
const ROOT: &str = "/proxy/";

/// Whether the text can name a site or a service.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    // One or two dots alone are path segments that browsers resolve away.
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != ".."
}

/// The parts of `/proxy/{site}/{service}{path}?query`, byte for byte as the client sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) site: &'a str,
    pub(crate) service: &'a str,
    /// The device's path; empty when the slash behind the service is missing.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes the URI apart. `None`: it names no site and service.
    pub(crate) fn parse(uri: &'a Uri) -> Option<Self> {
        let rest = uri.path().strip_prefix(ROOT)?;
        let (site, rest) = rest.split_once('/')?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (service, path) = rest.split_at(end);
        (is_name(site) && is_name(service)).then_some(Self { site, service, path, query: uri.query() })
    }

    /// `/proxy/{site}/{service}`.
    pub(crate) fn prefix(&self) -> String {
        format!("{ROOT}{}/{}", self.site, self.service)
    }

    /// Path and query that the device is asked for.
    pub(crate) fn on_device(&self) -> String {
        match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_owned(),
        }
    }
}

/// Refuses heads that are too long, and shapes that the next parser might read differently (RFC 9112 §6.1, §6.3, §3.2).
pub(crate) fn check(version: Version, fields: &HeaderMap, max_head: usize) -> Result<(), Fault> {
    let size = headers::list_size(fields);
    if size > max_head {
        return Err(Fault::HeadTooLarge { size, limit: max_head });
    }
    if version >= Version::HTTP_2 {
        // HTTP/2 has its own framing and refuses connection fields in the library.
        return Ok(());
    }
    let lengths = fields.get_all(CONTENT_LENGTH).iter().count();
    if lengths > 1 {
        return Err(Fault::Ambiguous { why: "more than one Content-Length" });
    }
    if let Some(coding) = fields.get(TRANSFER_ENCODING) {
        if lengths > 0 {
            return Err(Fault::Ambiguous { why: "both Content-Length and Transfer-Encoding" });
        }
        let single = fields.get_all(TRANSFER_ENCODING).iter().count() == 1;
        if !single || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Coding);
        }
    }
    match fields.get_all(HOST).iter().count() {
        0 if version == Version::HTTP_11 => Err(Fault::Ambiguous { why: "no Host" }),
        0 | 1 => Ok(()),
        _ => Err(Fault::Ambiguous { why: "more than one Host" }),
    }
}

/// Whether a path climbs out of where it stands, as any device may decode it: `..` between slashes or backslashes,
/// percent-encoded once or twice.
pub(crate) fn climbs(path: &str) -> bool {
    let mut decoded = path.split('?').next().unwrap_or_default().to_ascii_lowercase();
    for _ in 0..2 {
        decoded = decoded.replace("%25", "%").replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    }
    decoded.split(['/', '\\', ';']).any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn targets_are_cut_and_nothing_is_decoded() {
        let uri = Uri::from_static("/proxy/cam-7/web/a%2Fb//c?x=%20&y");
        let target = Target::parse(&uri).unwrap();
        assert_eq!((target.site, target.service), ("cam-7", "web"));
        assert_eq!(target.on_device(), "/a%2Fb//c?x=%20&y");
        assert_eq!(target.prefix(), "/proxy/cam-7/web");
        assert_eq!(Target::parse(&Uri::from_static("/proxy/cam-7/web")).unwrap().path, "");
        for bad in ["/proxy/a", "/proxy//web/", "/proxy/a//", "/proxy/a%20/web/", "/proxy/../web/", "/other/a/b/"] {
            assert_eq!(Target::parse(&bad.parse().unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn shapes_that_smuggle_are_refused() {
        let fields = |pairs: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(*name, HeaderValue::from_static(value));
            }
            map
        };
        let ok = |pairs: &[(&'static str, &'static str)]| check(Version::HTTP_11, &fields(pairs), 4096);
        assert!(ok(&[("host", "a"), ("content-length", "1")]).is_ok());
        assert!(ok(&[("host", "a"), ("transfer-encoding", "Chunked")]).is_ok());
        for bad in [
            &[("host", "a"), ("content-length", "1"), ("transfer-encoding", "chunked")][..],
            &[("host", "a"), ("content-length", "1"), ("content-length", "1")],
            &[("host", "a"), ("host", "a")],
            &[],
        ] {
            assert!(matches!(ok(bad), Err(Fault::Ambiguous { .. })), "{bad:?}");
        }
        for coding in ["gzip, chunked", "xchunked", "chunked, chunked", "identity", ""] {
            assert!(matches!(ok(&[("host", "a"), ("transfer-encoding", coding)]), Err(Fault::Coding)), "{coding}");
        }
        assert!(matches!(
            check(Version::HTTP_2, &fields(&[("x", "12345678")]), 40),
            Err(Fault::HeadTooLarge { size: 41, limit: 40 })
        ));
    }

    #[test]
    fn climbing_is_seen_through_any_disguise() {
        for bad in ["/../x", "/a/..", "/a/%2e%2E/x", "/a/..%2fx", "/a/..\\x", "/a%5c..%5cx", "/%252e%252e/x", "/..;/x"]
        {
            assert!(climbs(bad), "{bad}");
        }
        for good in ["/", "/a/...", "/a..b", "/a/.x", "/x?y=/../z"] {
            assert!(!climbs(good), "{good}");
        }
    }

    proptest! {
        #[test]
        fn a_target_puts_its_uri_together_again(path in "(/[a-z%0-9.]{0,5}){0,5}", query in prop::option::of("[a-z=&]{0,9}")) {
            let query_text = query.map(|query| format!("?{query}")).unwrap_or_default();
            let text = format!("/proxy/s/v{path}{query_text}");
            let uri: Uri = text.parse().unwrap();
            let target = Target::parse(&uri).unwrap();
            prop_assert_eq!(format!("{}{}", target.prefix(), target.on_device()), text);
        }
    }
}
