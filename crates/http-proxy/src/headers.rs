//! Header rules of a proxy: which fields stop at each hop, and how large a head may be. Pure functions over header maps.

pub(crate) mod cookie;
pub(crate) mod forwarding;
pub(crate) mod reference;

use http::header::{
    self, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

/// Fields with this prefix are ours: they are taken out of whatever comes from outside.
const OWN_PREFIX: &str = "sluicegate-";

/// Fields that tell a device who asks, and for which a name with underscores could pass.
const SPOOFED: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "x-real-ip"];

/// Fields that belong to one connection, whether `Connection` names them or not (RFC 9110 §7.6.1, §11.7).
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields of a device's answer that would speak for our whole origin instead of its path: they would move the
/// origin's traffic to another host, clear its storage, or widen a worker's reach.
const ORIGIN_WIDE: [HeaderName; 7] = [
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("strict-transport-security"),
    HeaderName::from_static("public-key-pins"),
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
];

/// Fields that mean nothing, or harm, in a trailer section (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [HeaderName; 8] = [
    CONTENT_LENGTH,
    HOST,
    header::TRAILER,
    header::SET_COOKIE,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
];

/// What the sandbox of path-proxied pages is: scripts and forms work, our origin's storage and cookies are out of reach.
pub(crate) const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox allow-scripts allow-forms");

/// Removes the fields that end at this hop: those that `Connection` names and the fixed ones (RFC 9110 §7.6.1).
///
/// `TE: trailers` is put back where it stood, because both neighbours of a hop over HTTP/2 may use trailers.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    let named: Vec<HeaderName> =
        tokens(headers, &CONNECTION).filter_map(|token| HeaderName::try_from(token).ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes the fields that only we may set, so that neither a client nor a device can speak for us.
///
/// Devices that hand fields to CGI programs cannot tell `_` from `-`, so a name that is ours but for that goes too.
pub(crate) fn remove_own(headers: &mut HeaderMap) {
    let is_own = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with(OWN_PREFIX) || name.contains('_') && SPOOFED.contains(&name.replace('_', "-").as_str())
    };
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_own(name)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

/// Makes a device's answer safe to come from a path of our origin: removes what speaks for the whole origin and adds
/// the sandbox beside any policy that the device set.
pub(crate) fn confine(headers: &mut HeaderMap) {
    for name in &ORIGIN_WIDE {
        headers.remove(name);
    }
    headers.append(header::CONTENT_SECURITY_POLICY, SANDBOX);
}

/// Removes from a trailer section what may not stand there.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    trailers.remove(TE);
    remove_own(trailers);
    for name in ORIGIN_WIDE.iter().chain(&NOT_IN_TRAILERS) {
        trailers.remove(name);
    }
}

/// The size of a head as HTTP/2 counts it: names, values and 32 bytes a field (RFC 9113 §6.5.2).
pub(crate) fn list_size(headers: &HeaderMap) -> usize {
    headers.iter().fold(0, |sum, (name, value)| sum + name.as_str().len() + value.len() + 32)
}

/// What `Max-Forwards` says to this hop, counted down (RFC 9110 §7.6.2). `true`: answer here, do not forward.
pub(crate) fn is_last_hop(headers: &mut HeaderMap) -> bool {
    let left = headers.get(header::MAX_FORWARDS).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    match left {
        None => false,
        Some(0) => true,
        Some(left) => {
            headers.insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
            false
        }
    }
}

/// The comma-separated tokens of all fields of that name.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
