//! `Location` and its like through a path proxy: references into the service stay in it, others stay as they are.
//!
//! On the link, an absolute path always means a path of the service. The egress brings a device's reference to that form
//! ([`Base::on_link`]), the ingress takes it from there ([`to_public`]).

use http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION, REFRESH};

/// The fields that carry one reference as their whole value; `Refresh` carries one behind `url=`.
const REFERENCES: [HeaderName; 2] = [LOCATION, CONTENT_LOCATION];

/// Where a service lives as its device knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base<'a> {
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// Host and port of the base URL.
    pub(crate) authority: &'a str,
    /// The `Host` that the device was sent, where it differs.
    pub(crate) host: Option<&'a str>,
    /// The path of the base URL without a slash at the end; often empty.
    pub(crate) prefix: &'a str,
    /// The prefix under which the public sees the service, which the device was told.
    pub(crate) public_prefix: Option<&'a str>,
    /// The path that the device was asked for.
    pub(crate) asked: &'a str,
}

impl Base<'_> {
    /// A device's reference in the form of the link. `None`: it stays as it is.
    pub(crate) fn on_link(&self, reference: &str) -> Option<String> {
        let (path, absolute) = match split(reference) {
            Reference::Absolute { scheme, authority, path } => {
                if !self.is_own(scheme.unwrap_or(self.scheme), authority) {
                    return None;
                }
                (rooted(path), true)
            }
            Reference::Path(path) => (path.to_owned(), false),
            Reference::Relative(relative) => (self.climb(relative)?, false),
            Reference::Other => return None,
        };
        if self.public_prefix.is_some_and(|prefix| is_under(&path, prefix)) {
            return absolute.then_some(path);
        }
        match strip(&path, self.prefix) {
            // Two slashes at the front would name a host (RFC 3986 §4.2).
            Some(inside) if inside.starts_with("//") => Some(format!("/.{inside}")),
            Some(inside) => Some(inside),
            None if absolute => None,
            None => Some(format!("{}://{}{path}", self.scheme, self.authority)),
        }
    }

    /// The path of a cookie or the like, in the form of the link.
    pub(crate) fn path_on_link(&self, path: &str) -> Option<String> {
        if self.prefix.is_empty() || !path.starts_with('/') {
            return None;
        }
        // A cookie for a path above the base covers the whole service.
        if path == "/" || is_under(self.prefix, path.trim_end_matches('/')) {
            return Some("/".to_owned());
        }
        strip(path, self.prefix)
    }

    fn is_own(&self, scheme: &str, authority: &str) -> bool {
        let same = |own: &str| same_authority(scheme, authority, own);
        scheme.eq_ignore_ascii_case(self.scheme) && (same(self.authority) || self.host.is_some_and(same))
    }

    /// A relative reference that climbs: resolved here, because only here the root is where the device thinks it is.
    fn climb(&self, relative: &str) -> Option<String> {
        let path = relative.split(['?', '#']).next().unwrap_or_default();
        if !path.split('/').any(|segment| segment == "..") {
            return None;
        }
        let asked = url::Url::parse(&format!("http://device{}", self.asked)).ok()?;
        let url = asked.join(relative).ok()?;
        Some(url[url::Position::BeforePath..].to_owned())
    }
}

/// A reference from the link as the public sees it under `prefix`. `None`: it stays as it is.
pub(crate) fn to_public(reference: &str, prefix: &str, scheme: &str, host: Option<&str>) -> Option<String> {
    let path = match split(reference) {
        Reference::Path(path) => path.to_owned(),
        // A device that builds absolute URLs from `X-Forwarded-Host` means itself.
        Reference::Absolute { scheme: its, authority, path } => {
            if !host.is_some_and(|host| same_authority(its.unwrap_or(scheme), authority, host)) {
                return None;
            }
            rooted(path)
        }
        Reference::Relative(_) | Reference::Other => return None,
    };
    (!is_under(&path, prefix)).then(|| format!("{prefix}{path}"))
}

/// Applies `change` to every reference of a head.
pub(crate) fn rewrite(headers: &mut HeaderMap, change: impl Fn(&str) -> Option<String>) {
    for name in &REFERENCES {
        let new = headers.get(name).and_then(|value| change(value.to_str().ok()?));
        if let Some(value) = new.and_then(|new| HeaderValue::try_from(new).ok()) {
            headers.insert(name, value);
        }
    }
    let refresh = headers.get(REFRESH).and_then(|value| {
        let text = value.to_str().ok()?;
        let at = text.to_ascii_lowercase().find("url=")? + 4;
        let (front, reference) = text.split_at_checked(at)?;
        Some(format!("{front}{}", change(reference.trim().trim_matches(['"', '\'']))?))
    });
    if let Some(value) = refresh.and_then(|new| HeaderValue::try_from(new).ok()) {
        headers.insert(REFRESH, value);
    }
}

/// The forms of a reference (RFC 3986 §4.2).
enum Reference<'a> {
    Absolute { scheme: Option<&'a str>, authority: &'a str, path: &'a str },
    Path(&'a str),
    Relative(&'a str),
    Other,
}

fn split(reference: &str) -> Reference<'_> {
    if let Some(rest) = reference.strip_prefix("//") {
        return absolute(None, rest);
    }
    if reference.starts_with('/') {
        return Reference::Path(reference);
    }
    let front = reference.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((scheme, _)) = front.split_once(':') else {
        return Reference::Relative(reference);
    };
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    match reference.get(scheme.len() + 1..).and_then(|rest| rest.strip_prefix("//")) {
        Some(rest) if is_http => absolute(Some(scheme), rest),
        _ => Reference::Other,
    }
}

fn absolute<'a>(scheme: Option<&'a str>, rest: &'a str) -> Reference<'a> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Reference::Absolute { scheme, authority, path }
}

/// What follows an authority, as a path that begins with a slash.
fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// Whether two authorities are one, by case and by the scheme's own port.
fn same_authority(scheme: &str, left: &str, right: &str) -> bool {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    bare(left) == bare(right)
}

/// Whether the path is the prefix itself or below it.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// The path below the prefix, beginning with a slash.
fn strip(path: &str, prefix: &str) -> Option<String> {
    is_under(path, prefix).then(|| rooted(path.get(prefix.len()..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
