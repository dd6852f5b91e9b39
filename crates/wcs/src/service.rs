//! The service: its parts, its limits, its routes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;
use sluicegate_hub::Hub;
use sluicegate_hub::relay::{Relays, Target};
use sluicegate_net::problem::Problem;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use url::Url;

use crate::hooks::Hooks;
use crate::media::Media;
use crate::registry::Registry;
use crate::target::WcsTarget;
use crate::{client, rest, server, socket, stat};

/// The name of the protocol in the table of relays.
pub(crate) const PROTOCOL: &str = "wcs";

/// Limits and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Of each client's session.
    pub session: server::Config,
    /// Of each relay's session with another server.
    pub relay: client::Config,
    /// Clients at once. Default 4,096, some 30 KiB each.
    pub clients: usize,
    /// Bytes of one message of a client. Default 128 KiB: an offer of Chromium has about 7 KB.
    pub max_message_bytes: usize,
    /// How long `/pull/push` and `/pull/pull` wait for the stream to be up on the far side before they answer that the
    /// relay is accepted. Default 8 s.
    pub settle: Duration,
    /// How long the connection to another server may take, and again its answer to the upgrade. Default 3 s.
    pub dial: Duration,
    /// Where publishers may have their streams republished by RTMP (`rtmpUrl`), these addresses and what is below them; who
    /// may manage the server may so anywhere. Default: none.
    pub republish: Vec<Url>,
    /// The web server that is asked about clients and their streams. Default: none, then the access rules alone count.
    pub hooks: Option<crate::Hooks>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session: server::Config::default(),
            relay: client::Config::default(),
            clients: 4_096,
            max_message_bytes: 128 << 10,
            settle: Duration::from_secs(8),
            dial: Duration::from_secs(3),
            republish: Vec::new(),
            hooks: None,
        }
    }
}

/// What a client may do, by the access rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Whether it may publish.
    pub publish: bool,
    /// Whether it may play.
    pub play: bool,
    /// Whether it may see figures of the whole server.
    pub manage: bool,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self { publish: true, play: true, manage: true };
}

/// Tells what the sender of a request may do.
pub type Gate = Arc<dyn Fn(&Request) -> Permissions + Send + Sync>;

/// What the service works with.
pub struct Parts {
    /// The live streams.
    pub hub: Hub,
    /// The table of relays; the service registers itself there under `wcs`.
    pub relays: Relays,
    /// The WebRTC engine.
    pub media: Arc<dyn Media>,
    /// The access rules.
    pub gate: Gate,
    /// Which certificates of other servers are trusted.
    pub tls: ClientTls,
    /// Ends all sessions when it begins.
    pub shutdown: Shutdown,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("hub", &self.hub).field("relays", &self.relays).finish_non_exhaustive()
    }
}

/// The WCS face of a node. Clones share it.
#[derive(Debug, Clone)]
pub struct Service(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) hooks: Option<Arc<Hooks>>,
}

impl Service {
    /// Makes the service and registers its protocol with the relays.
    #[must_use]
    pub fn new(parts: Parts, config: Config) -> Self {
        let registry = Registry::default();
        let target = WcsTarget {
            registry: registry.clone(),
            media: Arc::clone(&parts.media),
            tls: parts.tls.clone(),
            config: config.relay.clone(),
            dial: config.dial,
            shutdown: parts.shutdown.clone(),
        };
        let target: Arc<dyn Target> = Arc::new(target);
        parts.relays.register(&[PROTOCOL], &target);
        let hooks = config.hooks.clone().map(|hooks| Hooks::start(hooks, parts.tls.clone(), &parts.shutdown));
        let mut config = config;
        config.session.reports = hooks.is_some();
        Self(Arc::new(Inner { parts, config, registry, hooks }))
    }

    /// For the main port: `/websocket` and `/rest-api/…`.
    pub fn router(&self) -> Router {
        Router::new().route("/websocket", any(upgrade)).with_state(self.clone()).merge(rest::router(self.clone()))
    }

    /// For a port of its own: a WebSocket at any path, and `/rest-api/…`.
    pub fn port_router(&self) -> Router {
        Router::new().fallback(upgrade).with_state(self.clone()).merge(rest::router(self.clone()))
    }

    /// Clients that are connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.0.registry.list().len()
    }
}

async fn upgrade(State(service): State<Service>, mut request: Request) -> Response {
    if !ws::is_upgrade(&request) {
        if let Some(answer) = stat::answer(&service, &request) {
            return answer;
        }
        let detail = "WCS signalling is a WebSocket; its REST interface is at /rest-api/";
        return Problem::new(StatusCode::NOT_FOUND).detail(detail).into_response();
    }
    let permissions = (service.0.parts.gate)(&request);
    if !permissions.publish && !permissions.play {
        return Problem::new(StatusCode::UNAUTHORIZED).detail("a valid token is needed here").into_response();
    }
    let peer = socket::Peer::of(&request);
    let limits = ws::Config { max_message_bytes: service.0.config.max_message_bytes, ..ws::Config::default() };
    match ws::accept(&mut request, &[], limits) {
        Ok((response, accepted)) => {
            tokio::spawn(socket::serve(Arc::clone(&service.0), accepted, peer, permissions));
            response
        }
        Err(problem) => problem.into_response(),
    }
}
