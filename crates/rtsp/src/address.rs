//! URLs of cameras, with the transport in the scheme.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::Error;

/// The schemes that [`Address::parse`] takes.
pub const SCHEMES: [&str; 2] = ["rtsp", "rtsp+udp"];

/// How media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// On the connection of the commands; nothing is lost or out of order.
    Tcp,
    /// In datagrams of its own, for networks where nothing is lost.
    Udp,
}

impl Transport {
    /// What is left when a server refuses this one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

/// Where a camera's stream is.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The URL without user and password.
    pub url: Url,
    /// User and password, for basic and digest authentication.
    pub credentials: Option<(String, String)>,
    /// How media travels.
    pub transport: Transport,
}

impl std::fmt::Debug for Address {
    /// The password stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, transport, credentials } = self;
        let user = credentials.as_ref().map(|(user, _)| user);
        f.debug_struct("Address").field("url", &url.as_str()).field("user", &user).field("by", transport).finish()
    }
}

impl Address {
    /// Takes apart `rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH`; with the scheme `rtsp+udp` media comes by UDP.
    ///
    /// # Errors
    /// It is no such URL, or asks for TLS.
    pub fn parse(url: &Url) -> Result<Self, Error> {
        let transport = match url.scheme() {
            "rtsp" => Transport::Tcp,
            "rtsp+udp" => Transport::Udp,
            "rtsps" => return Err(Error::Secure),
            _ => return Err(Error::Url),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = (!url.username().is_empty())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        let mut bare = url.clone();
        let stripped = bare.set_username("").and_then(|()| bare.set_password(None));
        let renamed = stripped.and_then(|()| bare.set_scheme("rtsp"));
        if renamed.is_err() || !bare.has_host() {
            return Err(Error::Url);
        }
        Ok(Self { url: bare, credentials, transport })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parse = |text: &str| Address::parse(&text.parse().unwrap());
        let address = parse("rtsp+udp://admin:a%40b@10.0.0.9:8554/main?x=1").unwrap();
        assert_eq!(address.url.as_str(), "rtsp://10.0.0.9:8554/main?x=1");
        assert_eq!(address.credentials, Some(("admin".to_owned(), "a@b".to_owned())));
        assert_eq!(address.transport, Transport::Udp);
        assert!(!format!("{address:?}").contains("a@b"));
        assert_eq!(parse("rtsp://h/a").unwrap().transport, Transport::Tcp);
        assert!(parse("http://h/a").is_err() && parse("rtsp:a").is_err());
        assert!(matches!(parse("rtsps://h/a"), Err(Error::Secure)));
    }
}
