//! The section `[webrtc]` of configuration files.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluicegate_hub::Hub;
use sluicegate_launch::{Failure, Secret, Span, Turn};
use sluicegate_rtc_driver::{Driver, with_port};

use crate::{Config, Engine, IceServer};

/// The section `[webrtc]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether there is WebRTC at all.
    pub enabled: bool,
    /// Where to listen by UDP, at most one address of each family; without it on all of IPv4, at the port of the main listener.
    listen: Option<Vec<SocketAddr>>,
    /// Where to take clients by TCP that cannot use UDP; without it nowhere.
    tcp_listen: Option<TcpListen>,
    /// Addresses to announce instead of the host's own, for a host behind one-to-one NAT.
    pub public_ips: Vec<IpAddr>,
    /// Answer connectivity checks without sending any; only for hosts that everybody can reach.
    ice_lite: bool,
    /// A STUN server that tells this host's public address, `HOST:PORT` or `HOST`.
    stun_server: Option<String>,
    /// A TURN server that gives this host a relay, for clients that cannot reach it.
    turn: Option<Turn>,
    /// STUN and TURN servers that clients are told.
    ice_servers: Vec<Server>,
    /// Sessions at once.
    max_sessions: usize,
    /// How often a publisher that sends no key frame by itself is asked for one.
    key_frame_interval: Span,
}

/// One address, or one of each family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "an address like \"0.0.0.0:8443\", or a list of one of each family")]
enum TcpListen {
    One(SocketAddr),
    Each(Vec<SocketAddr>),
}

/// A STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    url: String,
    username: Option<String>,
    credential: Option<Secret>,
}

impl Default for Settings {
    fn default() -> Self {
        let driver = sluicegate_rtc_driver::Config::default();
        let engine = Config::default();
        Self {
            enabled: true,
            listen: None,
            tcp_listen: None,
            public_ips: driver.public_ips,
            ice_lite: driver.ice_lite,
            stun_server: None,
            turn: None,
            ice_servers: Vec::new(),
            max_sessions: driver.max_sessions,
            key_frame_interval: Span(engine.key_frame_interval),
        }
    }
}

/// The server with its port. The form `stun:HOST` of clients' servers is taken, too.
fn stun_server(text: &str) -> String {
    with_port(text.strip_prefix("stun:").unwrap_or(text))
}

/// The shortest interval of key frames: below it a publisher sends little else.
const LEAST_INTERVAL: Duration = Duration::from_millis(500);

impl Settings {
    /// Adds what is wrong with the section.
    pub fn validate(&self, faults: &mut Vec<String>) {
        match self.driver(0).validate() {
            Err(sluicegate_rtc_driver::Error::Config { field: "stun_name", .. }) => {
                let text = self.stun_server.as_deref().unwrap_or_default();
                faults.push(format!("webrtc.stun_server: {text:?} is not HOST or HOST:PORT, such as stun.example.net"));
            }
            Err(error) => faults.push(format!("webrtc: {error}")),
            Ok(()) => {}
        }
        if let Some(Err(fault)) = self.turn.as_ref().map(|turn| turn.server("webrtc.turn")) {
            faults.push(fault);
        }
        if self.key_frame_interval.0 < LEAST_INTERVAL {
            faults.push("webrtc.key_frame_interval must be at least 500ms".to_owned());
        }
        for server in &self.ice_servers {
            if !["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| server.url.starts_with(scheme)) {
                faults.push(format!("webrtc.ice_servers: {} must begin with stun: or turn:", server.url));
            }
        }
    }

    fn driver(&self, port: u16) -> sluicegate_rtc_driver::Config {
        let stun_server = self.stun_server.as_deref().map(stun_server);
        let turn = self.turn.as_ref().and_then(|turn| turn.server("webrtc.turn").ok());
        let everywhere = || vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
        sluicegate_rtc_driver::Config {
            listen: self.listen.clone().unwrap_or_else(everywhere),
            tcp_listen: match &self.tcp_listen {
                None => Vec::new(),
                Some(TcpListen::One(address)) => vec![*address],
                Some(TcpListen::Each(addresses)) => addresses.clone(),
            },
            public_ips: self.public_ips.clone(),
            ice_lite: self.ice_lite,
            stun_server: stun_server.as_deref().and_then(|server| server.parse().ok()),
            stun_name: stun_server.filter(|server| server.parse::<SocketAddr>().is_err()),
            relay_only: turn.is_some() && self.turn.as_ref().is_some_and(|turn| turn.relay_only),
            turn,
            max_sessions: self.max_sessions,
            ..sluicegate_rtc_driver::Config::default()
        }
    }

    fn engine(&self, foreign_publishers: bool) -> Config {
        let server = |server: &Server| IceServer {
            url: server.url.clone(),
            username: server.username.clone(),
            credential: server.credential.as_ref().map(|secret| secret.reveal().to_owned()),
        };
        Config {
            key_frame_interval: self.key_frame_interval.0,
            ice_servers: self.ice_servers.iter().map(server).collect(),
            foreign_publishers,
            ..Config::default()
        }
    }

    /// Binds the port and makes the engine; `None` where WebRTC is switched off. Without an address of its own it listens
    /// at `port`. Pages of other origins may publish where `foreign_publishers` says so.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn start(&self, port: u16, hub: &Hub, foreign_publishers: bool) -> Result<Option<Engine>, Failure> {
        if !self.enabled {
            return Ok(None);
        }
        let driver = Driver::bind(self.driver(port)).map_err(|error| Failure::work("setting up WebRTC", error))?;
        tracing::info!(addresses = ?driver.addresses(), "WebRTC by UDP");
        if !driver.tcp_addresses().is_empty() {
            tracing::info!(addresses = ?driver.tcp_addresses(), "WebRTC by TCP");
        }
        let engine = Engine::new(hub.clone(), driver, self.engine(foreign_publishers));
        engine.map(Some).map_err(|error| Failure::work("setting up WebRTC", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stun_server_is_an_address_or_a_name() {
        let of = |text: &str| Settings { stun_server: Some(text.to_owned()), ..Settings::default() };
        let address = |text: &str| of(text).driver(0).stun_server.map(|address| address.to_string());
        let name = |text: &str| of(text).driver(0).stun_name;
        assert_eq!(address("203.0.113.1").as_deref(), Some("203.0.113.1:3478"));
        assert_eq!(address("stun:203.0.113.1:19302").as_deref(), Some("203.0.113.1:19302"));
        assert_eq!(address("2001:db8::1").as_deref(), Some("[2001:db8::1]:3478"));
        assert_eq!(name("stun.example.net").as_deref(), Some("stun.example.net:3478"));
        assert_eq!(name("stun:stun.example.net:19302").as_deref(), Some("stun.example.net:19302"));
        for wrong in ["https://stun.example.net", "stun.example.net:no", ":3478"] {
            let mut faults = Vec::new();
            of(wrong).validate(&mut faults);
            assert!(
                faults.iter().any(|fault| fault.contains("webrtc.stun_server") && fault.contains(wrong)),
                "{faults:?}"
            );
        }
    }
}
