//! What a proxy says about itself and about its client: `Via`, `Forwarded` and the `X-Forwarded-*` family.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, VIA};
use http::{Uri, Version};
use ipnet::IpNet;

use super::tokens;

/// Our name in `Via` and `Proxy-Status`, at both ends of the link.
pub(crate) const PSEUDONYM: &str = "sluicegate";
/// How often our name may stand in `Via` before a request counts as going in circles. Each pass of a link adds two.
/// A chain of four links is beyond any sensible layout.
pub(crate) const MAX_PASSES: usize = 8;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The public side of a request: who asked, and by which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// The nearest address that is not one of our own trusted proxies: what limits count by.
    pub(crate) address: IpAddr,
    /// `http` or `https`, as the client used it.
    pub(crate) scheme: HeaderValue,
    /// The name that the client used for us, with its port.
    pub(crate) host: Option<HeaderValue>,
    /// The fields on `X-Forwarded-For` that a trusted proxy vouches for.
    trusted_chain: bool,
}

impl Client {
    /// Reads who asked. `X-Forwarded-*` count only when the peer is in `trusted`: anybody else may write what they like.
    pub(crate) fn read(headers: &HeaderMap, uri: &Uri, peer: SocketAddr, tls: bool, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
        let peer = peer.ip().to_canonical();
        let trusted_chain = is_trusted(peer);
        let own_host = || {
            let authority = uri.authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
            authority.or_else(|| headers.get(HOST).cloned())
        };
        let own_scheme = HeaderValue::from_static(if tls { "https" } else { "http" });
        if !trusted_chain {
            return Self { address: peer, scheme: own_scheme, host: own_host(), trusted_chain };
        }
        let chain: Vec<IpAddr> = tokens(headers, &X_FORWARDED_FOR).map_while(|token| token.parse().ok()).collect();
        let address = chain.iter().rev().find(|address| !is_trusted(**address)).copied().unwrap_or(peer);
        let scheme = headers.get(X_FORWARDED_PROTO).filter(|value| *value == "http" || *value == "https").cloned();
        Self {
            address,
            scheme: scheme.unwrap_or(own_scheme),
            host: headers.get(X_FORWARDED_HOST).cloned().or_else(own_host),
            trusted_chain,
        }
    }

    /// Tells the service who asked, by which name and under which prefix. What an untrusted client claimed is dropped.
    pub(crate) fn write(&self, headers: &mut HeaderMap, peer: IpAddr, prefix: &HeaderValue) {
        if !self.trusted_chain {
            for name in [FORWARDED, X_FORWARDED_FOR, HeaderName::from_static("x-real-ip")] {
                headers.remove(name);
            }
        }
        let peer = peer.to_canonical();
        append_token(headers, &FORWARDED, &self.forwarded(peer));
        append_token(headers, &X_FORWARDED_FOR, &peer.to_string());
        headers.insert(X_FORWARDED_PROTO, self.scheme.clone());
        headers.insert(X_FORWARDED_PREFIX, prefix.clone());
        match &self.host {
            Some(host) => headers.insert(X_FORWARDED_HOST, host.clone()),
            None => headers.remove(X_FORWARDED_HOST),
        };
    }

    /// One element of `Forwarded` (RFC 7239 §4). IPv6 addresses stand in brackets and quotes (§6.1).
    fn forwarded(&self, peer: IpAddr) -> String {
        let node = match peer {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let scheme = self.scheme.to_str().unwrap_or("http");
        match self.host.as_ref().and_then(|host| host.to_str().ok()).filter(|host| !host.contains(['"', '\\'])) {
            Some(host) => format!("for={node};host=\"{host}\";proto={scheme}"),
            None => format!("for={node};proto={scheme}"),
        }
    }
}

/// Adds our entry to `Via`: the version by which the message reached us (RFC 9110 §7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, received: Version) {
    let version = match received {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    };
    append_token(headers, &VIA, &format!("{version} {PSEUDONYM}"));
}

/// Whether the request has passed us so often that it must be going in circles.
pub(crate) fn is_loop(headers: &HeaderMap) -> bool {
    tokens(headers, &VIA).filter(|entry| entry.split_whitespace().nth(1) == Some(PSEUDONYM)).count() >= MAX_PASSES
}

/// Adds a list element as a field line of its own, which means the same as a comma (RFC 9110 §5.3).
fn append_token(headers: &mut HeaderMap, name: &HeaderName, token: &str) {
    if let Ok(value) = HeaderValue::try_from(token) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: HeaderValue = HeaderValue::from_static("/proxy/a/web");

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 4000)
    }

    fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn claims_of_a_stranger_are_dropped() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("public.example:8443"));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        headers.insert(X_FORWARDED_HOST, HeaderValue::from_static("evil.example"));
        headers.insert(FORWARDED, HeaderValue::from_static("for=10.0.0.1"));
        let client = Client::read(&headers, &Uri::from_static("/x"), peer("2001:db8::7"), true, &[]);
        client.write(&mut headers, peer("2001:db8::7").ip(), &PREFIX);
        assert_eq!(values(&headers, &X_FORWARDED_FOR), ["2001:db8::7"]);
        assert_eq!(values(&headers, &X_FORWARDED_HOST), ["public.example:8443"]);
        assert_eq!(values(&headers, &X_FORWARDED_PROTO), ["https"]);
        assert_eq!(values(&headers, &X_FORWARDED_PREFIX), ["/proxy/a/web"]);
        assert_eq!(values(&headers, &FORWARDED), ["for=\"[2001:db8::7]\";host=\"public.example:8443\";proto=https"]);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let trusted: [IpNet; 1] = ["192.0.2.0/24".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("inner:8440"));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("6.6.6.6, 198.51.100.9, 192.0.2.3"));
        headers.insert(X_FORWARDED_HOST, HeaderValue::from_static("public.example"));
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        let client = Client::read(&headers, &Uri::from_static("/x"), peer("192.0.2.1"), false, &trusted);
        assert_eq!(client.address, "198.51.100.9".parse::<IpAddr>().unwrap());
        client.write(&mut headers, peer("192.0.2.1").ip(), &PREFIX);
        assert_eq!(values(&headers, &X_FORWARDED_FOR), ["6.6.6.6, 198.51.100.9, 192.0.2.3", "192.0.2.1"]);
        assert_eq!(values(&headers, &X_FORWARDED_HOST), ["public.example"]);
        assert_eq!(values(&headers, &X_FORWARDED_PROTO), ["https"]);
    }

    #[test]
    fn via_names_the_version_and_finds_loops() {
        let mut headers = HeaderMap::new();
        headers.insert(VIA, HeaderValue::from_static("1.0 fred, 1.1 sluicegate"));
        for passes in 1..MAX_PASSES {
            assert!(!is_loop(&headers), "{passes}");
            add_via(&mut headers, Version::HTTP_2);
        }
        assert!(is_loop(&headers));
        assert_eq!(headers.get_all(VIA).iter().nth(1).unwrap(), "2.0 sluicegate");
    }
}
