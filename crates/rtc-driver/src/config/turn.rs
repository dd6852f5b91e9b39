//! The TURN server that gives a driver its relay, as configurations name it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::{Error, TurnCredential};

/// By what a TURN server is spoken to; the relay itself is of UDP in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnTransport {
    /// Datagrams: the least delay, and what most servers take.
    Udp,
    /// A connection, for networks that let no UDP out. One lost packet delays all behind it.
    Tcp,
    /// The same with TLS, for networks that let nothing else out.
    Tls,
}

/// A TURN server and how it knows us.
#[derive(Debug, Clone)]
pub struct TurnServer {
    /// Where it listens, `turn.example.net:3478`; resolved at the start and again every 5 minutes.
    pub server: String,
    /// How it is spoken to.
    pub transport: TurnTransport,
    /// Whom to trust, needed for [`TurnTransport::Tls`]. The certificate must be for the host in `server`.
    pub tls: Option<Arc<ClientConfig>>,
    /// Ask for a relay of IPv6, which only peers with IPv6 reach. Otherwise it is of IPv4, or of IPv6 where the server has
    /// no other.
    pub ipv6: bool,
    /// Our name there; with a secret the end that names have, and may be empty then.
    pub username: String,
    /// What proves it.
    pub credential: TurnCredential,
}

impl TurnServer {
    /// A server as configurations name it, and of password and secret one: a URI of RFC 7065, such as
    /// `turns:turn.example.net:443?transport=tcp`, or `HOST` or `HOST:PORT` alone, by UDP. [`tls`](Self::tls) and
    /// [`ipv6`](Self::ipv6) are left to the caller.
    ///
    /// # Errors
    /// [`Error::Config`] where password and secret are both given, or neither, or the URI asks for what is not here.
    pub fn read(
        server: &str,
        username: Option<String>,
        password: Option<String>,
        secret: Option<String>,
    ) -> Result<Self, Error> {
        let fault = |field, fault| Err(Error::Config { field, fault });
        let credential = match (password, secret) {
            (Some(password), None) => TurnCredential::Password(password),
            (None, Some(secret)) => TurnCredential::Secret(secret),
            _ => return fault("turn", "needs either a credential or a secret"),
        };
        let (secure, rest) = match server.strip_prefix("turns:") {
            Some(rest) => (true, rest),
            None => (false, server.strip_prefix("turn:").unwrap_or(server)),
        };
        let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
        let transport = match (secure, query) {
            (false, "" | "transport=udp") => TurnTransport::Udp,
            (false, "transport=tcp") => TurnTransport::Tcp,
            (true, "" | "transport=tcp") => TurnTransport::Tls,
            (true, "transport=udp") => {
                return fault("turn.server", "asks for DTLS, which is not here: say transport=tcp");
            }
            _ => return fault("turn.server", "has behind the question mark neither transport=udp nor transport=tcp"),
        };
        let server = at_port(host, if secure { SECURE_PORT } else { PORT });
        Ok(Self { server, transport, tls: None, ipv6: false, username: username.unwrap_or_default(), credential })
    }

    /// The host for which the server's certificate must be.
    pub(crate) fn certified(&self) -> Option<ServerName<'static>> {
        let (host, _) = self.server.rsplit_once(':')?;
        ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()
    }
}

/// Of STUN and TURN (RFC 8489 section 8, RFC 8656 section 4).
const PORT: u16 = 3478;
/// Of both with TLS.
const SECURE_PORT: u16 = 5349;

/// A server with its port, 3478 where none is given.
#[must_use]
pub fn with_port(server: &str) -> String {
    at_port(server, PORT)
}

fn at_port(server: &str, port: u16) -> String {
    if let Ok(ip) = server.trim_matches(['[', ']']).parse::<IpAddr>() {
        return SocketAddr::new(ip, port).to_string();
    }
    if server.contains(':') { server.to_owned() } else { format!("{server}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(server: &str) -> Result<TurnServer, Error> {
        TurnServer::read(server, None, Some("p".to_owned()), None)
    }

    #[test]
    fn a_server_is_a_host_or_a_uri() {
        for (text, server, transport) in [
            ("192.0.2.1", "192.0.2.1:3478", TurnTransport::Udp),
            ("turn:192.0.2.1", "192.0.2.1:3478", TurnTransport::Udp),
            ("turn.example.net:5000", "turn.example.net:5000", TurnTransport::Udp),
            ("turn:turn.example.net?transport=udp", "turn.example.net:3478", TurnTransport::Udp),
            ("turn:[2001:db8::1]?transport=tcp", "[2001:db8::1]:3478", TurnTransport::Tcp),
            ("turns:turn.example.net", "turn.example.net:5349", TurnTransport::Tls),
            ("turns:turn.example.net:443?transport=tcp", "turn.example.net:443", TurnTransport::Tls),
        ] {
            let read = read(text).unwrap();
            assert_eq!((read.server.as_str(), read.transport), (server, transport), "{text}");
        }
        for text in ["turns:a?transport=udp", "turn:a?transport=sctp", "turn:a?b"] {
            assert!(matches!(read(text), Err(Error::Config { field: "turn.server", .. })), "{text}");
        }
    }

    #[test]
    fn either_a_password_or_a_secret_proves_the_name() {
        let some = || Some("s".to_owned());
        assert!(TurnServer::read("turn", None, None, some()).is_ok());
        assert!(TurnServer::read("turn", None, None, None).is_err());
        assert!(TurnServer::read("turn", None, some(), some()).is_err());
    }
}
