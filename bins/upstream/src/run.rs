//! Puts the services together and runs them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use sluicegate_api::{Access, Rule, State, install_metrics};
use sluicegate_http_proxy::ingress;
use sluicegate_hub::Hub;
use sluicegate_hub::relay::{Relays, Target};
use sluicegate_launch::{Failure, Signal, Signals, announce};
use sluicegate_net::link::Directory;
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::{ClientTls, ServerTls};
use sluicegate_sites::relays;
use sluicegate_sites::tokens::Tokens;
use sluicegate_sites::upstream::{self, Sites};
use sluicegate_webrtc_relay::Engine;
use sluicegate_ws_stream::Service;
use sluicegate_ws_stream::client::FlvTarget;

use crate::cli::Server;
use crate::config::{self, Config};
use crate::direct::Direct;
use crate::port::Port;

/// How long requests in flight and viewers may go on after SIGTERM.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Runs the public host until a signal ends it.
pub(crate) async fn run(config: Config, flags: &Server, mut signals: Signals) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    let host = Host::new(&config, &shutdown)?;
    let tls = config.tls.as_ref().map(|tls| ServerTls::from_files(&tls.certificate, &tls.key)).transpose();
    let tls = tls.map_err(|error| Failure::work("setting up TLS", error))?;
    let limits =
        listener::Config { handover_paths: Service::handover_paths(), drain: DRAIN, ..listener::Config::default() };
    let listener = Listener::bind(config.listen, tls.clone(), limits).await;
    let listener = listener.map_err(|error| Failure::work("listening", error))?;
    let rtmp = config.rtmp.start(&config, &host, tls.as_ref(), &shutdown).await?;
    let rtsp = config.rtsp.start(&config, &host, tls.as_ref(), &shutdown).await?;
    begin_relays(&host.state.relays, &config)?;
    tracing::info!(sites = if config.sites_are_open() { "open" } else { "by token" }, "the host starts");
    announce(&listener.url());
    let tokens = Arc::clone(&host.tokens);
    tokio::spawn(async move { tokens.watch().await });
    if let Some(tls) = tls.clone() {
        tokio::spawn(tls_watch(tls, shutdown.clone()));
    }
    if let Some(service) = &host.wcs {
        config.wcs.listen(&host.checked(service.port_router()), tls.as_ref(), &shutdown).await?;
    }
    let serving = tokio::spawn(listener.serve(host.router(), shutdown.clone()));
    while signals.next().await == Signal::Reload {
        host.reload(&config, flags, tls.as_ref());
    }
    tracing::info!("draining");
    shutdown.begin();
    host.sites.drain();
    host.streams.shut_down();
    host.state.relays.shut_down();
    host.webrtc.iter().for_each(Engine::shut_down);
    rtmp.join_all().await;
    rtsp.join_all().await;
    serving.await.map_err(|error| Failure::work("serving", error))?;
    // WCS clients and relays say goodbye.
    shutdown.drained(DRAIN).await;
    tracing::info!("ended");
    Ok(())
}

async fn tls_watch(tls: ServerTls, shutdown: Shutdown) {
    tls.watch(shutdown).await;
}

/// Lets relays go by FLV, WHIP and WHEP. RTMP and WCS register themselves.
fn register(relays: &Relays, hub: &Hub, webrtc: Option<&Engine>, trusted: &ClientTls) {
    let flv: Arc<dyn Target> = Arc::new(FlvTarget::new(hub.clone(), trusted.clone()));
    relays.register(&FlvTarget::SCHEMES, &flv);
    webrtc.iter().for_each(|engine| engine.register(relays, trusted.clone()));
}

/// Begins the relays of the configuration, and those that are kept over a restart.
fn begin_relays(relays: &Relays, config: &Config) -> Result<(), Failure> {
    let kept = relays::keep(relays, &config.state_dir);
    kept.map_err(|error| Failure::work("reading saved relays", error))?;
    relays::begin(relays, &config.relays);
    Ok(())
}

/// The services of one process.
pub(crate) struct Host {
    sites: Sites,
    streams: Service,
    webrtc: Option<Engine>,
    wcs: Option<sluicegate_wcs::Service>,
    tokens: Arc<Tokens>,
    pub(crate) state: State,
    pub(crate) access: Arc<ArcSwap<Access>>,
    /// How servers of others are verified that relays go to: by the authorities of the system.
    pub(crate) trusted: ClientTls,
    proxy: ingress::Config,
}

impl Host {
    fn new(config: &Config, shutdown: &Shutdown) -> Result<Self, Failure> {
        let metrics = install_metrics().map_err(|error| Failure::work("installing metrics", error))?;
        let limits = &config.limits;
        let hub = Hub::new(config.hub()).map_err(|error| Failure::work("setting up the hub", error))?;
        let directory: Arc<Directory> = Arc::default();
        let tokens = Tokens::open(&config.state_dir).map_err(|error| Failure::work("reading tokens", error))?;
        let tokens = Arc::new(tokens);
        let sites_config =
            upstream::Config { open: config.sites_are_open(), link: limits.link(), m7s: config.m7s.config() };
        let sites = Sites::new(hub.clone(), Arc::clone(&directory), Arc::clone(&tokens), Arc::new(Port), sites_config);
        let stream_config =
            sluicegate_ws_stream::Config { replace_publisher: config.replace_publisher, ..limits.streams() };
        let streams = Service::new(hub.clone(), stream_config);
        let streams = streams.map_err(|error| Failure::work("setting up streams", error))?;
        let access = config.access();
        let webrtc = config.webrtc.start(config.listen.port(), &hub, access.publish != Rule::Open)?;
        let access = Arc::new(ArcSwap::from_pointee(access));
        let relays = Relays::of(&hub);
        let trusted = ClientTls::native().map_err(|error| Failure::work("setting up TLS", error))?;
        register(&relays, &hub, webrtc.as_ref(), &trusted);
        let wcs = config.wcs.start(&hub, webrtc.as_ref(), &relays, &access, shutdown)?;
        let state = State { hub, relays, sites: directory, metrics: Some(metrics), shutdown: shutdown.clone() };
        Ok(Self { sites, streams, webrtc, wcs, tokens, state, access, trusted, proxy: limits.proxy() })
    }

    /// Routes behind the access rules.
    fn checked(&self, router: Router) -> Router {
        let access = Arc::clone(&self.access);
        router.layer(from_fn(move |request: Request, next: Next| {
            let access = Access::clone(&access.load());
            access.check(request, next)
        }))
    }

    /// WHIP and WHEP, here and straight from sites.
    fn whep(&self, proxy: Router) -> Router {
        let direct = Direct { hub: self.state.hub.clone(), proxy };
        let here = self.webrtc.as_ref().map_or_else(Router::new, Engine::router);
        here.layer(from_fn_with_state(direct, Direct::dispatch))
    }

    fn router(&self) -> Router {
        let proxy = ingress::router(Arc::clone(&self.state.sites), self.proxy.clone());
        let whep = self.whep(proxy.clone());
        let m7s = sluicegate_m7s::Upstream {
            hub: self.state.hub.clone(),
            sites: Arc::clone(&self.state.sites),
            proxy: proxy.clone(),
        };
        let routes = sluicegate_api::router(self.state.clone())
            .merge(self.streams.router())
            .merge(self.sites.router())
            .merge(proxy)
            .merge(sluicegate_m7s::router(m7s))
            .merge(whep)
            .merge(self.wcs.as_ref().map_or_else(Router::new, sluicegate_wcs::Service::router));
        self.checked(routes)
    }

    /// Applies what can be applied while it runs, and says what cannot.
    fn reload(&self, running: &Config, flags: &Server, tls: Option<&ServerTls>) {
        let fresh = match config::load(flags) {
            Ok(fresh) => fresh,
            Err(failure) => return tracing::error!(%failure, "not reloaded"),
        };
        self.access.store(Arc::new(fresh.access()));
        if let Some(Err(error)) = tls.map(ServerTls::reload) {
            tracing::error!(error = &error as &dyn std::error::Error, "certificate not reloaded");
        }
        let fixed = [
            ("listen", running.listen != fresh.listen),
            ("open", running.open != fresh.open),
            ("state_dir", running.state_dir != fresh.state_dir),
            ("replace_publisher", running.replace_publisher != fresh.replace_publisher),
            ("log", running.log != fresh.log || running.log_format != fresh.log_format),
            ("tls", running.tls != fresh.tls),
            ("limits", running.limits != fresh.limits),
            ("uplinks", running.uplinks != fresh.uplinks),
            ("m7s", running.m7s != fresh.m7s),
            ("webrtc", running.webrtc != fresh.webrtc),
            ("relays", running.relays != fresh.relays),
            ("rtmp", running.rtmp != fresh.rtmp),
            ("rtsp", running.rtsp != fresh.rtsp),
            ("wcs", running.wcs != fresh.wcs),
        ];
        for (key, _) in fixed.iter().filter(|(_, changed)| *changed) {
            tracing::warn!(key, "this change needs a restart");
        }
        tracing::info!("reloaded: access rules and certificate");
    }
}
