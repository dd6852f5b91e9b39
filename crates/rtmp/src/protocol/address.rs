//! Names of streams: from `app` and stream name, and from URLs.

use percent_encoding::percent_decode_str;
use url::Url;

/// What a client connects to and which stream it means, as two texts that it may cut anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The stream's whole name: `app`, and the stream name behind a slash.
    pub name: String,
    /// What stood behind question marks, joined by `&`.
    pub query: String,
}

impl Place {
    /// From the `app` of `connect`, the stream name of `publish` or `play`, and `tcUrl`, whose query counts too.
    #[must_use]
    pub fn new(app: &str, stream: &str, tc_url: &str) -> Self {
        let (app, app_query) = app.split_once('?').unwrap_or((app, ""));
        let (stream, stream_query) = stream.split_once('?').unwrap_or((stream, ""));
        let url_query = tc_url.split_once('?').map_or("", |(_, query)| query);
        // What Flash puts before names of files.
        let stream = ["flv:", "mp4:"].iter().find_map(|prefix| stream.strip_prefix(prefix)).unwrap_or(stream);
        let parts = [app.trim_matches('/'), stream.trim_matches('/')];
        let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let queries = [stream_query, app_query, url_query].into_iter().filter(|query| !query.is_empty());
        Self { name, query: queries.collect::<Vec<_>>().join("&") }
    }

    /// The first value of a query parameter that is not empty, percent-decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split(['&', '?']).filter_map(|pair| pair.split_once('='));
        let value = pairs.filter(|(have, value)| *have == name && !value.is_empty()).map(|(_, value)| value).next()?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

/// A server's stream, from a URL `rtmp://HOST[:PORT]/APP/STREAM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// What `connect` says.
    pub app: String,
    /// What `publish` or `play` says: all behind the last slash of the path, with the query.
    pub stream: String,
    /// The URL without the stream.
    pub tc_url: String,
}

impl Address {
    /// Takes a URL apart; `None` when its path does not name an app and a stream.
    #[must_use]
    pub fn parse(url: &Url) -> Option<Self> {
        let (app, name) = url.path().trim_start_matches('/').rsplit_once('/')?;
        if app.is_empty() || name.is_empty() {
            return None;
        }
        let host = url.host_str()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let tc_url = format!("{}://{host}{port}/{app}", url.scheme());
        Some(Self { app: app.to_owned(), stream: format!("{name}{query}"), tc_url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_wherever_it_is_cut() {
        for (app, stream) in
            [("cams", "hall/door"), ("cams/hall", "door"), ("cams/hall/door", ""), ("/cams/", "flv:hall/door")]
        {
            assert_eq!(Place::new(app, stream, "").name, "cams/hall/door");
        }
        assert_eq!(Place::new("cams", "door:sub", "").name, "cams/door:sub");
    }

    #[test]
    fn a_token_may_stand_anywhere() {
        let token = |app: &str, stream: &str, url: &str| Place::new(app, stream, url).parameter("token");
        assert_eq!(token("a", "b?x=1&token=s%2Bt", ""), Some("s+t".to_owned()));
        assert_eq!(token("a?token=t", "b", ""), Some("t".to_owned()));
        assert_eq!(token("a", "b", "rtmp://h/a?token=t"), Some("t".to_owned()));
        assert_eq!(token("a", "b?token=", "rtmp://h/a"), None);
    }

    #[test]
    fn urls_are_taken_apart() {
        let parse = |url: &str| Address::parse(&Url::parse(url).unwrap());
        let address = parse("rtmp://h:1936/live/sub/key?token=t").unwrap();
        assert_eq!(address.tc_url, "rtmp://h:1936/live/sub");
        assert_eq!((address.app.as_str(), address.stream.as_str()), ("live/sub", "key?token=t"));
        for url in ["rtmp://h", "rtmp://h/", "rtmp://h/app", "rtmp://h/app/", "rtmp://h//x"] {
            assert_eq!(parse(url), None, "{url}");
        }
    }
}
