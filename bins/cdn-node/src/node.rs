//! The swarm's part of the configuration, and the node made of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluicegate_launch::{Failure, Secret, Size, Turn};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_p2p::media::Library;
use sluicegate_p2p::node::{self, Node, wire};
use sluicegate_p2p::page;
use url::Url;

/// Each takes a UDP port, and memory at both ends.
const MAX_STRANDS: usize = 32;
/// How long a STUN server's name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);

/// How a node meets its peers. With an id and the address of a signalling server it joins their swarm; with neither it
/// serves HTTP only.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The node's name among peers: 36 of `A-Z a-z 0-9 _ -`. Environment: `ID`.
    id: Option<String>,
    /// The signalling server; the id is put behind it. Environment: `WS_ADDR`.
    pub(crate) signal: Option<String>,
    /// The signalling server as browsers reach it, for the page; without it `signal`. Whoever opens the page reads it, a
    /// token in it included.
    page_signal: Option<String>,
    /// STUN and TURN servers for the page; whoever opens it can read them.
    page_ice_servers: Vec<IceServer>,
    /// The host's public address, `IP` or `IP:PORT`; the port is then the one for all peers. Environment: `PUBLICIP`.
    public: Option<String>,
    /// Where to listen for peers (UDP), at most one address of each family, instead of all with a port of the host's
    /// choice.
    listen: Option<Vec<SocketAddr>>,
    /// A STUN server that tells the public address, `HOST:PORT`.
    stun: Option<String>,
    /// A TURN server that gives this host a relay, for peers that cannot reach it.
    turn: Option<Turn>,
    /// Peers at once.
    peers: Option<usize>,
    /// Further connections to a peer on a link that loses packets; 0 turns them off.
    strands: Option<usize>,
    /// Bytes a second to all peers together, and to each.
    upload: Option<Size>,
    peer_upload: Option<Size>,
    /// Whether a segment that a peer asks about is loaded at once.
    prefetch: bool,
    /// Whether other nodes are asked for a segment before the origin.
    pub(crate) ask_peers: bool,
}

/// A STUN or TURN server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IceServer {
    /// `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`.
    urls: Vec<String>,
    username: Option<String>,
    credential: Option<Secret>,
}

/// `IP` or `IP:PORT`, with or without brackets around an IPv6 address.
fn public(text: &str) -> Option<(IpAddr, u16)> {
    let ip = text.trim_matches(['[', ']']).parse().map(|ip| (ip, 0));
    ip.or_else(|_| text.parse().map(|address: SocketAddr| (address.ip(), address.port()))).ok()
}

impl Settings {
    /// Takes what is not configured from the environment, under the names of the existing node.
    pub(crate) fn take_environment(&mut self, read: impl Fn(&str) -> Option<String>) {
        for (field, name) in [(&mut self.id, "ID"), (&mut self.signal, "WS_ADDR"), (&mut self.public, "PUBLICIP")] {
            if field.is_none() {
                *field = read(name).filter(|value| !value.is_empty());
            }
        }
    }

    /// What the page connects to. Without a signalling server it takes the one that it comes from.
    pub(crate) fn page(&self) -> page::Config {
        let ice_server = |server: &IceServer| page::IceServer {
            urls: server.urls.clone(),
            username: server.username.clone(),
            credential: server.credential.as_ref().map(|credential| credential.reveal().to_owned()),
        };
        page::Config {
            signal: self.page_signal.clone().or_else(|| self.signal.clone()).unwrap_or_default(),
            ice_servers: self.page_ice_servers.iter().map(ice_server).collect(),
        }
    }

    pub(crate) fn validate(&self, faults: &mut Vec<String>) {
        if let Some(id) = self.id.as_ref().filter(|id| !wire::is_uid(id)) {
            faults.push(format!("id (ID) = {id:?} has {} characters; it must have 36 of A-Z a-z 0-9 _ -", id.len()));
        }
        for (signal, key) in [(&self.signal, "signal (WS_ADDR)"), (&self.page_signal, "page_signal")] {
            let Some(signal) = signal else { continue };
            let url = Url::parse(signal).ok().filter(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host());
            match url {
                None => faults.push(format!("{key} = {signal:?} is no ws:// or wss:// address")),
                Some(url) if url.query().is_some() || url.fragment().is_some() => {
                    faults.push(format!("{key} = {signal:?}: the id goes behind it, so it cannot have a query"));
                }
                Some(_) => {}
            }
        }
        if let Some(text) = self.public.as_ref().filter(|text| public(text).is_none()) {
            faults.push(format!("public (PUBLICIP) = {text:?} is neither an IP address nor IP:PORT"));
        }
        let known = ["stun:", "stuns:", "turn:", "turns:"];
        let urls = self.page_ice_servers.iter().flat_map(|server| &server.urls);
        for url in urls.filter(|url| !known.iter().any(|scheme| url.starts_with(scheme))) {
            faults.push(format!("page_ice_servers: {url:?} begins with none of {}", known.join(" ")));
        }
        if let Some(Err(fault)) = self.turn.as_ref().map(|turn| turn.server("swarm.turn")) {
            faults.push(fault);
        }
        if self.peers == Some(0) {
            faults.push("peers must be at least 1".to_owned());
        }
        if self.strands.is_some_and(|strands| strands > MAX_STRANDS) {
            faults.push(format!("strands must be at most {MAX_STRANDS}"));
        }
    }

    /// The node's configuration; none where it is to join no swarm.
    async fn config(&self) -> Option<node::Config> {
        let (id, signal) = match (&self.id, &self.signal) {
            (Some(id), Some(signal)) => (id, Url::parse(signal).ok()?),
            (None, None) => return None,
            _ => {
                tracing::warn!("no peers: both id (ID) and signal (WS_ADDR) are needed to join them");
                return None;
            }
        };
        let mut config = node::Config::new(id, signal);
        let public = self.public.as_deref().and_then(public);
        let port = public.map_or(0, |(_, port)| port);
        config.rtc.public_ips = public.map(|(ip, _)| ip).into_iter().collect();
        config.rtc.listen = self
            .listen
            .clone()
            .unwrap_or_else(|| vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]);
        config.rtc.stun_server = match &self.stun {
            Some(name) => resolve(name).await,
            None => None,
        };
        config.rtc.turn = self.turn.as_ref().and_then(|turn| turn.server("swarm.turn").ok());
        config.rtc.relay_only = self.turn.as_ref().is_some_and(|turn| turn.relay_only);
        config.peers = self.peers.unwrap_or(config.peers);
        config.strands.each = self.strands.unwrap_or(config.strands.each);
        config.upload = self.upload.map(|size| size.0);
        config.pacing.peer_rate = self.peer_upload.map(|size| size.0);
        config.prefetch = self.prefetch;
        Some(config)
    }

    /// Joins the swarm, if there is one to join. `tls` is for the signalling server.
    pub(crate) async fn join(
        &self,
        library: &Library,
        tls: &ClientTls,
        shutdown: &Shutdown,
    ) -> Result<Option<Node>, Failure> {
        let Some(mut config) = self.config().await else { return Ok(None) };
        let start = |config| Node::start(config, Arc::new(library.clone()), tls.clone(), shutdown.clone());
        let mut started = start(config.clone());
        if started.is_err() && self.listen.is_none() {
            // A host without IPv6.
            config.rtc.listen.retain(SocketAddr::is_ipv4);
            started = start(config);
        }
        let node = started.map_err(|error| Failure::work("joining the peers", error))?;
        if self.ask_peers {
            library.ask_first(Arc::new(node.clone()));
        }
        Ok(Some(node))
    }
}

/// The first address of a name, IPv4 before IPv6. A name that is not known now is no reason not to serve.
async fn resolve(name: &str) -> Option<SocketAddr> {
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host(name)).await;
    let mut addresses: Vec<SocketAddr> = found.ok().and_then(Result::ok).into_iter().flatten().collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    if addresses.is_empty() {
        tracing::warn!(name, "the STUN server is not found; going on without it");
    }
    addresses.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";

    fn faults(settings: &Settings) -> Vec<String> {
        let mut faults = Vec::new();
        settings.validate(&mut faults);
        faults
    }

    #[tokio::test]
    async fn the_existing_names_are_taken_and_the_file_goes_before_them() {
        let environment = |name: &str| match name {
            "ID" => Some(ID.to_owned()),
            "WS_ADDR" => Some("ws://host:5000/uid/".to_owned()),
            "PUBLICIP" => Some("192.0.2.7:4000".to_owned()),
            _ => None,
        };
        let mut settings = Settings { signal: Some("wss://other/room/uid/".to_owned()), ..Settings::default() };
        assert!(settings.config().await.is_none());
        settings.take_environment(environment);
        assert!(faults(&settings).is_empty());
        let config = settings.config().await.unwrap();
        assert_eq!((config.uid.as_str(), config.signal.as_str()), (ID, "wss://other/room/uid/"));
        assert_eq!(config.rtc.public_ips, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert!(config.rtc.listen.iter().all(|address| address.port() == 4000));
        assert_eq!(public("2001:db8::1"), public("[2001:db8::1]"));
        assert_eq!(public("[2001:db8::1]:9").unwrap().1, 9);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (settings, name) in [
            (Settings { id: Some("short".to_owned()), ..Settings::default() }, "36"),
            (Settings { signal: Some("http://host/".to_owned()), ..Settings::default() }, "WS_ADDR"),
            (Settings { signal: Some("ws://host/?uid=".to_owned()), ..Settings::default() }, "query"),
            (Settings { public: Some("host".to_owned()), ..Settings::default() }, "PUBLICIP"),
            (Settings { peers: Some(0), ..Settings::default() }, "peers"),
            (Settings { strands: Some(33), ..Settings::default() }, "strands"),
        ] {
            let faults = faults(&settings);
            assert!(faults.len() == 1 && faults[0].contains(name), "{faults:?}");
        }
    }
}
