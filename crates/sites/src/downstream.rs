//! The site: dials every upstream, offers what it has, pushes what is leased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use rand::Rng;
use sluicegate_cascade::{Hello, Offers, StreamOffer};
use sluicegate_hub::relay::Target;
use sluicegate_hub::{Hub, StreamName};
use sluicegate_net::link::{self, DialState, Dialer, Upstream};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

use crate::error::check_site_id;
use crate::{Error, FlvPort, Source};

mod m7s;
mod push;
mod session;
mod streams;
mod target;

use session::Control;
use streams::Streams;

pub use streams::{Want, Wants};

/// One upstream to dial.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// `ws://` or `wss://`, with a path prefix if it stands behind one.
    pub url: Url,
    /// The site's token there.
    pub token: Option<String>,
    /// Whom to trust.
    pub tls: ClientTls,
    /// Connections kept open, 1 to 4. Default 2: with loss on the way, one does not hold up the other.
    pub connections: usize,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Links of ours; the m7s plugin's where the upstream answers that it knows none and no token is set, so that nobody
    /// can take a site's credentials down to it.
    #[default]
    Auto,
    /// Links of ours only.
    Native,
    /// The m7s plugin's only.
    M7s,
}

/// One stream of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Where it comes from.
    pub source: Source,
    /// Whether it is pushed also while nobody watches.
    pub always: bool,
}

/// The site.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its id: a part of its streams' names at the upstream.
    pub id: String,
    /// Its name for people; may be empty.
    pub name: String,
    /// The upstreams.
    pub upstreams: Vec<UpstreamConfig>,
    /// The names of its services.
    pub services: Vec<String>,
    /// Its streams.
    pub streams: BTreeMap<StreamName, StreamConfig>,
    /// Limits of the links.
    pub link: link::Config,
}

/// What runs of a site; for health and logs.
pub struct Running {
    /// How it stands with each upstream.
    pub upstreams: Vec<watch::Receiver<DialState>>,
    controls: Vec<Control>,
    streams: Arc<Streams>,
    hub: Hub,
    port: Arc<dyn FlvPort>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("upstreams", &self.upstreams)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Offers other services and streams from now on. What stays as it was is not disturbed; pushes of what is not
    /// offered any more end.
    pub fn offer(&mut self, services: &[String], streams: &BTreeMap<StreamName, StreamConfig>) {
        self.streams.replace(streams, &mut self.tasks);
        let offers = offers(services, streams);
        self.controls.iter().for_each(|control| control.offer(offers.clone()));
    }

    /// Pushes any stream of the site to `ws:` and `wss:` URLs, for the table of relays.
    #[must_use]
    pub fn target(&self, tls: ClientTls) -> Arc<dyn Target> {
        let (hub, port) = (self.hub.clone(), Arc::clone(&self.port));
        Arc::new(target::WebSocketTarget { streams: Arc::clone(&self.streams), hub, port, tls })
    }

    /// The same target for streams of the site: a source runs while its stream is pushed.
    #[must_use]
    pub fn feeding(&self, target: Arc<dyn Target>) -> Arc<dyn Target> {
        Arc::new(target::Feeding { streams: Arc::clone(&self.streams), target })
    }

    /// For others who show the site's streams, and need their sources to run meanwhile.
    #[must_use]
    pub fn wants(&self) -> Wants {
        Wants(Arc::clone(&self.streams))
    }

    /// Waits until everything has ended, which it does after the shutdown has begun.
    pub async fn ended(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Runs the site: `services` answers requests that come over links, sources publish into `hub`.
///
/// # Errors
/// The id is none.
pub fn run(
    config: &Config,
    hub: &Hub,
    services: &Router,
    port: &Arc<dyn FlvPort>,
    shutdown: &Shutdown,
) -> Result<Running, Error> {
    check_site_id(&config.id)?;
    let mut tasks = JoinSet::new();
    let streams = Arc::new(Streams::new(hub.clone(), Arc::clone(port), shutdown.clone()));
    streams.replace(&config.streams, &mut tasks);
    let (instance, mut upstreams, mut controls) = (instance_id(), Vec::new(), Vec::new());
    for target in &config.upstreams {
        let (link, connections) = (config.link, target.connections);
        let upstream = Upstream {
            url: target.url.clone(),
            site: config.id.clone(),
            instance: instance.clone(),
            token: target.token.clone(),
            tls: target.tls.clone(),
        };
        let pusher = push::Pusher {
            upstream: upstream.clone(),
            deadline: config.link.connect_deadline,
            hub: hub.clone(),
            port: Arc::clone(port),
            streams: Arc::clone(&streams),
        };
        let control = Control::new(hello(config), offers(&config.services, &config.streams), pusher);
        let router = control.router(services.clone());
        let state = watch::Sender::default();
        upstreams.push(state.subscribe());
        controls.push(control.clone());
        let original = m7s::Original {
            upstream: upstream.clone(),
            name: config.name.clone(),
            config: config.link,
            router: router.clone(),
            streams: Arc::clone(&streams),
            hub: hub.clone(),
            port: Arc::clone(port),
            state: state.clone(),
        };
        let dial = Dial {
            dialer: move || Dialer::new(upstream.clone(), link, connections).telling(state.clone()),
            original,
            protocol: target.protocol,
            has_token: target.token.is_some(),
        };
        tasks.spawn(dial.run(router, shutdown.clone()));
        tasks.spawn(control.run(shutdown.clone()));
    }
    Ok(Running { upstreams, controls, streams, hub: hub.clone(), port: Arc::clone(port), tasks })
}

/// Keeps one upstream dialled, by whatever it speaks.
struct Dial<D> {
    dialer: D,
    original: m7s::Original,
    protocol: Protocol,
    has_token: bool,
}

impl<D: Fn() -> Dialer> Dial<D> {
    async fn run(self, router: Router, shutdown: Shutdown) {
        let may_fall_back = self.protocol == Protocol::Auto && !self.has_token;
        while !shutdown.is_begun() {
            if self.protocol != Protocol::M7s {
                let dialer = (self.dialer)();
                let dialer = if may_fall_back { dialer.giving_up() } else { dialer };
                if !dialer.run(router.clone(), shutdown.clone()).await {
                    return;
                }
                tracing::info!(upstream = %self.original.upstream.url, "the upstream knows no links; trying as a site of the m7s plugin");
            }
            // One that knows neither is asked again for both, in case it is replaced by ours.
            self.original.run(self.protocol == Protocol::M7s, &shutdown).await;
        }
    }
}

fn hello(config: &Config) -> Hello {
    Hello { software: concat!("sluicegate/", env!("CARGO_PKG_VERSION")).to_owned(), name: config.name.clone() }
}

fn offers(services: &[String], streams: &BTreeMap<StreamName, StreamConfig>) -> Offers {
    let offer =
        |(name, stream): (&StreamName, &StreamConfig)| StreamOffer { name: name.to_string(), always: stream.always };
    Offers { services: services.to_vec(), streams: streams.iter().map(offer).collect() }
}

/// Later runs have greater ids: the time in milliseconds, then chance.
fn instance_id() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:013x}-{:08x}", since.as_millis(), rand::rng().random::<u32>())
}
