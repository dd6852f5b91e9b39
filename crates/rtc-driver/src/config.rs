//! The driver's settings and limits.

mod turn;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Error, TurnCredential};
pub use turn::{TurnServer, TurnTransport, with_port};

/// Settings of a driver. `Default` listens on all IPv4 addresses, port chosen by the host.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, at most one address of each family. With the same port 0 twice, the second socket gets the
    /// port of the first. Default: `0.0.0.0:0`.
    pub listen: Vec<SocketAddr>,
    /// Where to accept connections of peers that cannot use UDP (ICE over TCP, RFC 6544), at most one address of each
    /// family; port 0 as for `listen`. Default: none.
    pub tcp_listen: Vec<SocketAddr>,
    /// Addresses to announce instead of the host's own of the same family, for hosts behind one-to-one NAT.
    /// Default: none, then the address listened on, or that of the default route, is announced.
    pub public_ips: Vec<IpAddr>,
    /// Answer connectivity checks without sending any (ICE lite, RFC 8445 section 2.5); only for hosts that peers can
    /// reach directly. Default: off, because a full agent works everywhere.
    pub ice_lite: bool,
    /// A STUN server that tells the public address of a host behind NAT; asked at the start and every 25 s so that the
    /// mapping stays. Default: none.
    pub stun_server: Option<SocketAddr>,
    /// The same by name and port, `stun.example.net:3478`, resolved at the start and again every 5 minutes; not beside
    /// `stun_server`. Default: none.
    pub stun_name: Option<String>,
    /// A TURN server on which all sessions together have one relay, announced below all other addresses, for peers that
    /// cannot reach this host (RFC 8656). Default: none.
    pub turn: Option<TurnServer>,
    /// Announce the relay only: for hosts whose own addresses are not to be known, or of no use. Default: off.
    pub relay_only: bool,
    /// Sessions at once. Each costs about 350 KB when busy. Default: 4,096.
    pub max_sessions: usize,
    /// Bytes of a peer's session description. Default: 64 KiB; browsers send about 6 KB.
    pub max_description: usize,
    /// Remote candidates of a session, each of which is probed. Some stacks name each one twice. Default: 64.
    pub max_candidates: usize,
    /// Data channels of a session. Default: 64.
    pub max_channels: usize,
    /// Bytes of one message in either direction; the stack allows up to 256 KiB. Default: 256 KiB.
    pub max_message: usize,
    /// Bytes of messages that a session has accepted and its peer has not acknowledged; a sender waits for room. It
    /// bounds throughput to itself per round trip. Default: 2 MiB.
    pub send_buffer: usize,
    /// Bytes of messages that arrived and that the owner has not read. When they are reached the driver stops reading
    /// and the peer's window closes; another 256 messages may then wait inside the stack. Default: 1 MiB.
    pub receive_buffer: usize,
    /// Bytes that a peer may send ahead (SCTP receive window). Default: 1 MiB.
    pub receive_window: u32,
    /// Silence after which a session counts as disconnected. Default: 3 s.
    pub disconnected_after: Duration,
    /// Further silence after which it ends. With the default of 5 s a killed peer is gone within 10 s.
    pub failed_after: Duration,
    /// Pause between the checks that keep a session alive. Default: 1 s.
    pub keep_alive: Duration,
    /// How long an offer of ours waits for its answer. Default: 30 s.
    pub answer_timeout: Duration,
    /// From both descriptions to a path between the ends. Default: 15 s.
    pub connect_timeout: Duration,
    /// From a path to agreed keys. Default: 5 s; the stack's handshake can hang under loss, a new session then helps.
    pub handshake_timeout: Duration,
    /// Bytes asked of the host for each socket's receive and send buffer. Default: 4 MiB; the host may give less.
    pub socket_buffer: usize,
    /// Bytes of datagrams that wait while the socket is full; what goes beyond is lost. Default: 8 MiB.
    pub backlog: usize,
}

/// The longest message that the stack can carry.
pub(crate) const STACK_MAX_MESSAGE: usize = 256 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))],
            tcp_listen: Vec::new(),
            public_ips: Vec::new(),
            ice_lite: false,
            stun_server: None,
            stun_name: None,
            turn: None,
            relay_only: false,
            max_sessions: 4096,
            max_description: 64 * 1024,
            max_candidates: 64,
            max_channels: 64,
            max_message: STACK_MAX_MESSAGE,
            send_buffer: 2 * 1024 * 1024,
            receive_buffer: 1024 * 1024,
            receive_window: 1024 * 1024,
            disconnected_after: Duration::from_secs(3),
            failed_after: Duration::from_secs(5),
            keep_alive: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(5),
            socket_buffer: 4 * 1024 * 1024,
            backlog: 8 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// [`Error::Config`] for the first field at fault.
    pub fn validate(&self) -> Result<(), Error> {
        let fault = |field, fault| Err(Error::Config { field, fault });
        if self.listen.is_empty() {
            return fault("listen", "names no address");
        }
        for v4 in [true, false] {
            let twice = |list: &[SocketAddr]| list.iter().filter(|address| address.is_ipv4() == v4).count() > 1;
            for (field, list) in [("listen", &self.listen), ("tcp_listen", &self.tcp_listen)] {
                if twice(list) {
                    return fault(field, "names two addresses of one family");
                }
            }
        }
        if self.public_ips.iter().any(IpAddr::is_unspecified) {
            return fault("public_ips", "holds an unspecified address");
        }
        if let Some(name) = &self.stun_name {
            if self.stun_server.is_some() {
                return fault("stun_name", "stands beside stun_server");
            }
            if !is_name_and_port(name) {
                return fault("stun_name", "is not NAME:PORT, such as stun.example.net:3478");
            }
        }
        self.validate_turn()?;
        if self.max_message == 0 || self.max_message > STACK_MAX_MESSAGE {
            return fault("max_message", "is not within 1 byte to 256 KiB");
        }
        if self.send_buffer < self.max_message || u32::try_from(self.send_buffer).is_err() {
            return fault("send_buffer", "is not within one message to 4 GiB");
        }
        if self.receive_window < 1500 {
            return fault("receive_window", "is below 1500 bytes (RFC 9260 section 3.3.2)");
        }
        for (field, limit) in [
            ("max_sessions", self.max_sessions),
            ("max_description", self.max_description),
            ("max_candidates", self.max_candidates),
            ("receive_buffer", self.receive_buffer),
        ] {
            if limit == 0 {
                return fault(field, "is zero");
            }
        }
        for (field, time) in [
            ("disconnected_after", self.disconnected_after),
            ("failed_after", self.failed_after),
            ("keep_alive", self.keep_alive),
            ("answer_timeout", self.answer_timeout),
            ("connect_timeout", self.connect_timeout),
            ("handshake_timeout", self.handshake_timeout),
        ] {
            if time.is_zero() {
                return fault(field, "is zero");
            }
        }
        if self.keep_alive >= self.disconnected_after {
            return fault("keep_alive", "is not below disconnected_after");
        }
        Ok(())
    }

    fn validate_turn(&self) -> Result<(), Error> {
        let fault = |field, fault| Err(Error::Config { field, fault });
        let Some(turn) = &self.turn else {
            return if self.relay_only { fault("relay_only", "stands without turn") } else { Ok(()) };
        };
        if !is_name_and_port(&turn.server) {
            return fault("turn.server", "is not NAME:PORT, such as turn.example.net:3478");
        }
        if turn.transport == TurnTransport::Tls && turn.tls.is_none() {
            return fault("turn.tls", "is missing");
        }
        if turn.transport == TurnTransport::Tls && turn.certified().is_none() {
            return fault("turn.server", "names no host that a certificate can be for");
        }
        let by_secret = matches!(turn.credential, TurnCredential::Secret(_));
        if turn.username.len() > MAX_USERNAME || (turn.username.is_empty() && !by_secret) {
            return fault("turn.username", "is not within 1 to 480 bytes");
        }
        Ok(())
    }
}

/// Bytes of a name at a TURN server: the 508 of RFC 8489 section 14.3 with room for the end of its time.
const MAX_USERNAME: usize = 480;

fn is_name_and_port(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    !host.is_empty() && !host.contains(['/', ' ']) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn each_fault_names_its_field() {
        let field = |config: Config| match config.validate() {
            Err(Error::Config { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(Config { listen: Vec::new(), ..Config::default() }), "listen");
        let twice = vec![SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2))];
        assert_eq!(field(Config { tcp_listen: twice.clone(), ..Config::default() }), "tcp_listen");
        assert_eq!(field(Config { listen: twice, ..Config::default() }), "listen");
        for name in ["stun.example.net", ":3478", "stun.example.net:x", "http://stun.example.net:3478", ""] {
            assert_eq!(field(Config { stun_name: Some(name.to_owned()), ..Config::default() }), "stun_name", "{name}");
        }
        let turn = |server: &str, username: &str, credential| {
            let (server, username) = (server.to_owned(), username.to_owned());
            Some(TurnServer { server, transport: TurnTransport::Udp, tls: None, ipv6: false, username, credential })
        };
        let (password, secret) = (TurnCredential::Password("p".to_owned()), TurnCredential::Secret("s".to_owned()));
        let nowhere = turn("turn:turn.example.net", "me", password.clone());
        assert_eq!(field(Config { turn: nowhere, ..Config::default() }), "turn.server");
        let nobody = turn("turn.example.net:3478", "", password);
        assert_eq!(field(Config { turn: nobody, ..Config::default() }), "turn.username");
        let mut untrusted = turn("turn.example.net:3478", "me", TurnCredential::Password("p".to_owned()));
        untrusted.as_mut().unwrap().transport = TurnTransport::Tls;
        assert_eq!(field(Config { turn: untrusted, ..Config::default() }), "turn.tls");
        let by_secret = turn("turn.example.net:3478", "", secret);
        Config { turn: by_secret, relay_only: true, ..Config::default() }.validate().unwrap();
        assert_eq!(field(Config { relay_only: true, ..Config::default() }), "relay_only");
        assert_eq!(field(Config { max_message: 300 * 1024, ..Config::default() }), "max_message");
        assert_eq!(field(Config { send_buffer: 10, ..Config::default() }), "send_buffer");
        assert_eq!(field(Config { receive_window: 10, ..Config::default() }), "receive_window");
        assert_eq!(field(Config { failed_after: Duration::ZERO, ..Config::default() }), "failed_after");
        assert_eq!(field(Config { keep_alive: Duration::from_secs(3), ..Config::default() }), "keep_alive");
    }
}
