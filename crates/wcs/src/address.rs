//! The address of a server, in one form.

use url::Url;

/// The path that the original server shows where the address has none.
const PATH: &str = "/websocket";

/// `ws://host:8080` and `ws://host:8080/` are `ws://host:8080/websocket`. `None` for what is no such address.
pub(crate) fn canonical(uri: &str) -> Option<String> {
    let mut url: Url = uri.trim().parse().ok()?;
    if !matches!(url.scheme(), "ws" | "wss") || url.host_str().is_none_or(str::is_empty) {
        return None;
    }
    url.set_fragment(None);
    if matches!(url.path(), "" | "/") {
        url.set_path(PATH);
    }
    Some(url.into())
}

/// The protocols of republishing, as they register themselves with the table of relays.
pub(crate) const RTMP: [&str; 2] = ["rtmp", "rtmps"];

/// Where a stream goes that is republished: the stream's name is put behind the address, unless that is the full one.
pub(crate) fn republished(url: &str, name: &str, is_full: bool) -> Option<String> {
    let target = if is_full { url.to_owned() } else { format!("{}/{name}", url.trim_end_matches('/')) };
    let known = Url::parse(&target).is_ok_and(|url| RTMP.contains(&url.scheme()) && url.has_host());
    known.then_some(target)
}

/// Whether an address of republishing is one that is allowed, or below it.
pub(crate) fn is_below(url: &str, allowed: &Url) -> bool {
    let allowed = allowed.as_str().trim_end_matches('/');
    let url = Url::parse(url).ok();
    let rest = url.as_ref().and_then(|url| url.as_str().strip_prefix(allowed));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The other spelling of a canonical address, for a server that refuses the first.
pub(crate) fn without_path(url: &Url) -> Option<Url> {
    (url.path() == PATH).then(|| {
        let mut bare = url.clone();
        bare.set_path("");
        bare
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_not_left() {
        let allowed: Url = "rtmp://me:secret@live.example/app/".parse().unwrap();
        for (url, is_below_it) in [
            ("rtmp://me:secret@live.example/app", true),
            ("rtmp://me:secret@live.example/app/", true),
            ("rtmp://me:secret@live.example/app/deeper", true),
            ("rtmp://me:secret@live.example/application", false),
            ("rtmp://me:secret@live.example/app/../other", false),
            ("rtmp://me:secret@live.example/app/%2e%2e/other", false),
            ("rtmp://live.example/app", false),
            ("rtmp://me:secret@live.example:1/app", false),
            ("rtmps://me:secret@live.example/app", false),
            ("app", false),
        ] {
            assert_eq!(is_below(url, &allowed), is_below_it, "{url}");
        }
        assert!(!is_below("rtmp://live.example.org/app", &"rtmp://live.example".parse().unwrap()));
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        for uri in ["ws://h:8080", "ws://h:8080/", " ws://H:8080/websocket", "ws://h:8080#x"] {
            assert_eq!(canonical(uri).as_deref(), Some("ws://h:8080/websocket"), "{uri}");
        }
        assert_eq!(canonical("wss://h:443/x?token=1").as_deref(), Some("wss://h/x?token=1"));
        for uri in ["", "h:8080", "http://h", "rtmp://h/a", "ws://", "file:///etc"] {
            assert_eq!(canonical(uri), None, "{uri}");
        }
        let url: Url = "ws://h:8080/websocket".parse().unwrap();
        assert_eq!(without_path(&url).unwrap().as_str(), "ws://h:8080/");
        assert_eq!(without_path(&"ws://h/x".parse().unwrap()), None);
    }
}
