//! Puts the programs together and runs them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use sluicegate_api::install_metrics;
use sluicegate_launch::{Failure, Signal, Signals, TlsFiles, announce};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_p2p::media::{Given, Library};
use sluicegate_p2p::page;
use sluicegate_p2p::signal::Service;

use crate::config::{serve, signal};
use crate::rest;

/// How long requests in flight may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound port, and what every program serves on it.
struct Stage {
    listener: Listener,
    tls: Option<ServerTls>,
    shutdown: Shutdown,
    router: Router,
}

impl Stage {
    async fn bind(address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self, Failure> {
        let metrics = install_metrics().map_err(|error| Failure::work("installing metrics", error))?;
        let tls = tls.map(|tls| ServerTls::from_files(&tls.certificate, &tls.key)).transpose();
        let tls = tls.map_err(|error| Failure::work("setting up TLS", error))?;
        let limits = listener::Config { drain: DRAIN, ..listener::Config::default() };
        let listener = Listener::bind(address, tls.clone(), limits).await;
        let listener = listener.map_err(|error| Failure::work("listening", error))?;
        let router = Router::new()
            .route("/metrics", get(move || std::future::ready(metrics.render())))
            .route("/healthz", get(|| std::future::ready("ok\n")));
        Ok(Self { listener, tls, shutdown: Shutdown::new(), router })
    }

    /// Serves until a signal ends it. `ending` is told when it does.
    async fn run(self, mut signals: Signals, ending: impl FnOnce()) -> Result<(), Failure> {
        let Self { listener, tls, shutdown, router } = self;
        announce(&listener.url());
        if let Some(tls) = tls.clone() {
            let shutdown = shutdown.clone();
            tokio::spawn(async move { tls.watch(shutdown).await });
        }
        let serving = tokio::spawn(listener.serve(router, shutdown.clone()));
        while signals.next().await == Signal::Reload {
            match tls.as_ref().map(ServerTls::reload) {
                Some(Err(error)) => tracing::error!(%error, "certificate not reloaded"),
                Some(Ok(_)) => tracing::info!("reloaded: the certificate; other changes need a restart"),
                None => tracing::info!("nothing to reload; changes need a restart"),
            }
        }
        ending();
        shutdown.begin();
        serving.await.map_err(|error| Failure::work("serving", error))?;
        if !shutdown.drained(DRAIN).await {
            tracing::warn!("what was in flight was cut after the drain time");
        }
        tracing::info!("ended");
        Ok(())
    }
}

/// Runs the signalling server until a signal ends it.
pub(crate) async fn signal(config: &signal::Config, signals: Signals) -> Result<(), Failure> {
    let mut stage = Stage::bind(config.listen, config.tls.as_ref()).await?;
    let service = Service::new(config.service(), stage.shutdown.clone());
    stage.router = stage.router.merge(service.router());
    tracing::info!(address = %stage.listener.local_addr(), "signalling");
    stage.run(signals, || told(&service)).await
}

fn told(service: &Service) {
    let (sockets, rooms) = service.counts();
    tracing::info!(sockets, rooms, "draining");
}

/// Runs the node until a signal ends it.
pub(crate) async fn serve(mut config: serve::Config, signals: Signals) -> Result<(), Failure> {
    let (library, mut face) = config.face()?;
    let mut stage = Stage::bind(config.listen, config.tls.as_ref()).await?;
    let address = stage.listener.local_addr();
    let service = config.service(&stage.shutdown);
    let page = config.swarm.page();
    if service.is_some() && config.swarm.signal.is_none() && config.tls.is_none() {
        // The node is a socket of its own signalling server.
        config.swarm.signal = Some(format!("ws://{}/uid/", own(address)));
    }
    if let Some(library) = &library {
        stage.router = stage.router.merge(page::router(library.clone(), page));
    }
    // A node without an origin still finds its peers; it has nothing for them.
    let segments = library.unwrap_or_else(|| Library::new(Arc::new(Given::new()), config.media_limits()));
    let node = config.swarm.join(&segments, &config.client_tls()?, &stage.shutdown).await?;
    if let Some(node) = &node {
        face = face.telling(Arc::new(node.clone()));
    }
    stage.router = stage.router.merge(face.router()).merge(rest::router(service.as_ref(), config.public()));
    tracing::info!(%address, origin = config.origin(), peers = node.is_some(), signal = config.signal, "serving");
    stage.run(signals, || service.as_ref().map_or_else(|| tracing::info!("draining"), told)).await
}

/// Where a program on this machine reaches an address that we listen on.
fn own(address: SocketAddr) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}
