//! `Set-Cookie` through a path proxy: the path moves with the service, the domain goes (RFC 6265 §4.1).

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

/// Rewrites every `Set-Cookie`: the value of `Path` by `path`, which returns `None` where it stays as it is, and takes
/// `Domain` out, because the service's domain is not ours.
pub(crate) fn rewrite(headers: &mut HeaderMap, path: impl Fn(&str) -> Option<String>) {
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let old: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for value in old {
        let new = one(value.as_bytes(), &path).and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        headers.append(SET_COOKIE, new.unwrap_or(value));
    }
}

/// One cookie. `None`: nothing to change.
fn one(cookie: &[u8], path: &impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut out = Vec::with_capacity(cookie.len() + 32);
    for (index, part) in cookie.split(|byte| *byte == b';').enumerate() {
        // The first part is name and value, whatever it looks like.
        let (name, value) = split_attribute(part);
        if index > 0 && name.eq_ignore_ascii_case(b"domain") {
            changed = true;
            continue;
        }
        if index > 0 {
            out.push(b';');
        }
        let moved = if index > 0 && name.eq_ignore_ascii_case(b"path") {
            std::str::from_utf8(value).ok().and_then(path)
        } else {
            None
        };
        if let Some(moved) = moved {
            changed = true;
            out.extend_from_slice(b" Path=");
            out.extend_from_slice(moved.as_bytes());
        } else {
            out.extend_from_slice(part);
        }
    }
    changed.then_some(out)
}

/// Name and value of an attribute without the blanks around them.
fn split_attribute(part: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = part.splitn(2, |byte| *byte == b'=');
    let name = halves.next().unwrap_or_default().trim_ascii();
    let value = halves.next().unwrap_or_default().trim_ascii();
    (name, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(cookie: &[u8]) -> Vec<u8> {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        rewrite(&mut headers, |path| path.starts_with('/').then(|| format!("/proxy/a/web{path}")));
        headers[SET_COOKIE].as_bytes().to_vec()
    }

    #[test]
    fn the_path_moves_and_the_domain_goes() {
        assert_eq!(rewritten(b"id=1; Path=/; HttpOnly"), b"id=1; Path=/proxy/a/web/; HttpOnly");
        assert_eq!(rewritten(b"id=1;path = /cgi ;Domain=.cam.lan; Secure"), b"id=1; Path=/proxy/a/web/cgi; Secure");
        assert_eq!(rewritten(b"path=/x"), b"path=/x", "a cookie may be called path");
        assert_eq!(rewritten(b"id=1"), b"id=1");
        assert_eq!(rewritten(b"id=\xff; Path=/"), b"id=\xff; Path=/proxy/a/web/");
        assert_eq!(rewritten(b"id=1; Path=relative"), b"id=1; Path=relative");
    }

    proptest! {
        #[test]
        fn name_and_value_are_never_touched(pair in "[ -:<-~]{0,20}", rest in "[ -~]{0,40}") {
            let out = rewritten(format!("{pair};{rest}").as_bytes());
            let first = out.split(|byte| *byte == b';').next().unwrap();
            prop_assert_eq!(first, pair.as_bytes());
        }
    }
}
