//! Puts the signalling server together and runs it.

use std::io::Write;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use sluicegate_api::install_metrics;
use sluicegate_launch::{Failure, Signal, Signals};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_p2p::signal::Service;

use crate::config::Config;

/// How long requests in flight may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the signalling server until a signal ends it.
pub(crate) async fn signal(config: &Config, mut signals: Signals) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    let metrics = install_metrics().map_err(|error| Failure::work("installing metrics", error))?;
    let tls = config.tls.as_ref().map(|tls| ServerTls::from_files(&tls.certificate, &tls.key)).transpose();
    let tls = tls.map_err(|error| Failure::work("setting up TLS", error))?;
    let limits = listener::Config { drain: DRAIN, ..listener::Config::default() };
    let listener = Listener::bind(config.listen, tls.clone(), limits).await;
    let listener = listener.map_err(|error| Failure::work("listening", error))?;
    let service = Service::new(config.service(), shutdown.clone());
    let router = Router::new()
        .route("/metrics", get(move || std::future::ready(metrics.render())))
        .route("/healthz", get(|| std::future::ready("ok\n")))
        .merge(service.router());
    let (address, scheme) = (listener.local_addr(), if tls.is_some() { "https" } else { "http" });
    tracing::info!(%address, "signalling");
    // Whoever started us may not read it; that is no reason to end.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening on {scheme}://{address}/").and_then(|()| out.flush());
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
    let (sockets, rooms) = service.counts();
    tracing::info!(sockets, rooms, "draining");
    shutdown.begin();
    serving.await.map_err(|error| Failure::work("serving", error))?;
    if !shutdown.drained(DRAIN).await {
        tracing::warn!("sockets were cut after the drain time");
    }
    tracing::info!("ended");
    Ok(())
}
