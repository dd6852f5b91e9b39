//! Which addresses may be asked: an origin's document or a changed name must not lead into our own network.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::media::MediaError;

/// Who may be asked. Clones share it.
///
/// Public addresses always may. A private one may when the operator has named it, as the address itself or as
/// `localhost`, or allows all of them.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    any: bool,
    named: BTreeSet<String>,
}

impl Access {
    /// Allows the private addresses that stand in these URLs, or all.
    #[must_use]
    pub fn new<'a>(named: impl IntoIterator<Item = &'a Url>, any: bool) -> Self {
        let literal = |url: &Url| match url.host()? {
            Host::Domain(name) => name.eq_ignore_ascii_case("localhost").then(|| "localhost".to_owned()),
            Host::Ipv4(address) => Some(address.to_string()),
            Host::Ipv6(address) => Some(address.to_string()),
        };
        Self(Arc::new(Inner { any, named: named.into_iter().filter_map(literal).collect() }))
    }

    /// Checks an address that stands in a URL itself. Names are checked when they are resolved.
    ///
    /// # Errors
    /// It is private and not allowed, or the URL is not of HTTP.
    pub fn check(&self, url: &Url) -> Result<(), MediaError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(MediaError::Refused { why: "its URL is not of http or https".to_owned() });
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(MediaError::Refused { why: "its URL has no host".to_owned() }),
        };
        if self.allows(&address.to_string(), address) {
            return Ok(());
        }
        let why = format!("{address} is a private address; name it as the origin, or set allow_private");
        Err(MediaError::Refused { why })
    }

    fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.0.any || self.0.named.contains(host) || is_public(address)
    }

    /// The same, allowing also what a name resolves to, for the proxy that the operator has named.
    pub(super) fn with_host(&self, host: Option<&str>) -> Self {
        let named = self.0.named.iter().cloned().chain(host.map(str::to_ascii_lowercase)).collect();
        Self(Arc::new(Inner { any: self.0.any, named }))
    }
}

impl Resolve for Access {
    fn resolve(&self, name: Name) -> Resolving {
        let access = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<_> = found.iter().copied().filter(|address| access.allows(&host, address.ip())).collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(address)) => {
                    let address = address.ip();
                    Err(format!("{host} is {address}, a private address; set allow_private to allow it").into())
                }
                (true, None) => Err(format!("{host} has no address").into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether an address is one of the public Internet (the special-purpose registries of RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special = a == 0 || a >= 240 || (a == 198 && (18..20).contains(&b)) || (a == 192 && b == 0 && c == 0);
    !(shared
        || special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an address of the other kind.
        (0x64, 0xff9b) => (c, d, e, f) == (0, 0, 0, 0) && is_public_v4(v4(g, h)),
        (0x2002, _) => is_public_v4(v4(b, c)),
        (0x2001, 0 | 0xdb8) => false,
        // Only 2000::/3 is given out as global unicast.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn private_addresses_are_told_in_all_their_spellings() {
        let nobody = Access::new([], false);
        for private in [
            "http://127.0.0.1/",
            "http://0/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://10.1.2.3/",
            "http://169.254.169.254/",
            "http://100.64.0.1/",
            "http://192.168.1.1/",
            "http://198.18.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "ftp://1.1.1.1/",
        ] {
            assert!(nobody.check(&url(private)).is_err(), "{private}");
        }
        for public in ["http://1.1.1.1/", "https://[2606:4700::1111]/", "http://origin.example/"] {
            assert_eq!(nobody.check(&url(public)), Ok(()), "{public}");
        }
        let named = Access::new([&url("http://10.1.2.3:7000/a")], false);
        assert!(named.check(&url("http://10.1.2.3/")).is_ok() && named.check(&url("http://10.1.2.4/")).is_err());
        assert!(Access::new([], true).check(&url("http://10.1.2.4/")).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_is_private_is_refused_unless_it_is_named() {
        let resolve = |access: Access| access.resolve("localhost".parse().unwrap());
        let refused = resolve(Access::new([&url("http://origin.example/")], false)).await.err().unwrap();
        assert!(refused.to_string().contains("allow_private"), "{refused}");
        assert!(resolve(Access::new([&url("http://localhost:1/")], false)).await.is_ok());
        assert!(resolve(Access::new([], true)).await.is_ok());
    }
}
