//! URLs of cameras, with the transport in the scheme.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{Error, Fingerprint};

/// The schemes that [`Address::parse`] takes.
pub const SCHEMES: [&str; 3] = ["rtsp", "rtsps", "rtsp+udp"];

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
    /// The URL without user, password and fingerprint.
    pub url: Url,
    /// User and password, for basic and digest authentication.
    pub credentials: Option<(String, String)>,
    /// How media travels.
    pub transport: Transport,
    /// The one certificate that is trusted; without one it is whom the system trusts.
    pub pin: Option<Fingerprint>,
}

impl std::fmt::Debug for Address {
    /// The password stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, transport, credentials, pin } = self;
        let user = credentials.as_ref().map(|(user, _)| user);
        let mut shown = f.debug_struct("Address");
        shown.field("url", &url.as_str()).field("user", &user).field("by", transport).field("pin", pin).finish()
    }
}

impl Address {
    /// Takes apart `rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH`; with the scheme `rtsp+udp` media comes by UDP, with `rtsps` all
    /// by TLS, where `#sha256=DIGITS` is the fingerprint of the server's certificate.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn parse(url: &Url) -> Result<Self, Error> {
        let (transport, scheme) = match url.scheme() {
            "rtsp" => (Transport::Tcp, "rtsp"),
            "rtsps" => (Transport::Tcp, "rtsps"),
            "rtsp+udp" => (Transport::Udp, "rtsp"),
            "rtsps+udp" => return Err(Error::SecureDatagrams),
            _ => return Err(Error::Url),
        };
        let digits = url.fragment().and_then(|fragment| fragment.strip_prefix("sha256="));
        let pin = digits.map(str::parse).transpose()?;
        let secure = scheme == "rtsps";
        // A fingerprint that is not looked at would be a promise that nobody keeps.
        let fits = if secure { pin.is_some() || url.fragment().is_none() } else { pin.is_none() };
        if !fits {
            return Err(Error::Fingerprint);
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = (!url.username().is_empty())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        let mut bare = url.clone();
        if secure {
            bare.set_fragment(None);
        }
        let stripped = bare.set_username("").and_then(|()| bare.set_password(None));
        let renamed = stripped.and_then(|()| bare.set_scheme(scheme));
        if renamed.is_err() || !bare.has_host() {
            return Err(Error::Url);
        }
        Ok(Self { url: bare, credentials, transport, pin })
    }

    /// Whether it is by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "rtsps"
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
    }

    #[test]
    fn certificates_are_named_where_there_are_some() {
        let parse = |text: &str| Address::parse(&text.parse().unwrap());
        let secure = parse("rtsps://u:p@h:7441/a?b").unwrap();
        assert!(secure.is_secure() && secure.pin.is_none() && secure.transport == Transport::Tcp);
        assert_eq!(secure.url.as_str(), "rtsps://h:7441/a?b");
        let (digits, pairs) = ("0aF1".repeat(16), ["0A:F1"; 16].join(":"));
        for written in [&digits, &pairs] {
            let pinned = parse(&format!("rtsps://h/a#sha256={written}")).unwrap();
            assert_eq!(pinned.pin.unwrap().to_string(), "0af1".repeat(16));
            assert_eq!(pinned.url.as_str(), "rtsps://h/a");
        }
        let wrong = [&digits[1..], &format!("{}+1", &digits[2..]), &format!("{}g", &digits[1..]), ""];
        for written in wrong {
            assert!(matches!(parse(&format!("rtsps://h/a#sha256={written}")), Err(Error::Fingerprint)), "{written}");
        }
        assert!(matches!(parse("rtsps://h/a#sha1=00"), Err(Error::Fingerprint)));
        assert!(matches!(parse(&format!("rtsp://h/a#sha256={digits}")), Err(Error::Fingerprint)));
        assert!(matches!(parse("rtsps+udp://h/a"), Err(Error::SecureDatagrams)));
        assert_eq!(parse("rtsp://h/a#b").unwrap().url.as_str(), "rtsp://h/a#b");
    }
}
