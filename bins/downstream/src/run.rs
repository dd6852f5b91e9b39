//! Puts the services together and runs them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use sluicegate_http_proxy::egress::{self, Egress, Service, Services};
use sluicegate_hub::{Hub, StreamName};
use sluicegate_launch::{Failure, Signal, Signals};
use sluicegate_net::link;
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_sites::FlvPort;
use sluicegate_sites::downstream::{self, StreamConfig, UpstreamConfig};

use crate::cli::Arguments;
use crate::config::{self, Config, ServiceConfig};
use crate::identity;
use crate::port::Port;

/// How long requests in flight may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the site until a signal ends it.
pub(crate) async fn run(config: Config, arguments: &Arguments, mut signals: Signals) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    let hub =
        Hub::new(sluicegate_hub::Config::default()).map_err(|error| Failure::work("setting up the hub", error))?;
    let egress = Egress::new(services(&config.services)?, egress::Config::default());
    let egress = egress.map_err(|error| Failure::work("setting up services", error))?;
    listen(&config, &hub, &shutdown).await?;
    let tls = ClientTls::native().map_err(|error| Failure::work("setting up TLS", error))?;
    let port: Arc<dyn FlvPort> = Arc::new(Port { tls });
    let site = site(&config)?;
    tracing::info!(site = site.id, streams = site.streams.len(), services = site.services.len(), "site starts");
    let router: Router = egress.router();
    let running = downstream::run(&site, &hub, &router, &port, &shutdown);
    let running = running.map_err(|error| Failure::Usage(vec![error.to_string()]))?;
    while signals.next().await == Signal::Reload {
        reload(&config, arguments, &egress);
    }
    tracing::info!("draining");
    shutdown.begin();
    if tokio::time::timeout(DRAIN, running.ended()).await.is_err() {
        tracing::warn!("requests were cut after the drain time");
    }
    tracing::info!("ended");
    Ok(())
}

fn site(config: &Config) -> Result<downstream::Config, Failure> {
    let id = config.site.clone().map_or_else(|| identity::site_id(&config.state_dir), Ok)?;
    let fault = |fault: String| Failure::Usage(vec![fault]);
    let mut streams = BTreeMap::new();
    for (name, stream) in &config.streams {
        let parsed = stream.parse().map_err(fault)?;
        let name = StreamName::parse(name).map_err(|error| fault(error.to_string()))?;
        streams.insert(name, StreamConfig { source: parsed.source, always: stream.always });
    }
    let upstreams = config.upstreams.iter().map(upstream).collect::<Result<_, _>>()?;
    let services = config.services.keys().cloned().collect();
    Ok(downstream::Config {
        id,
        name: config.name.clone(),
        upstreams,
        services,
        streams,
        link: link::Config::default(),
    })
}

fn upstream(config: &config::UpstreamConfig) -> Result<UpstreamConfig, Failure> {
    let tls = match (&config.ca_file, config.insecure) {
        (_, true) => ClientTls::insecure(),
        (Some(path), false) => ClientTls::with_authorities(path),
        (None, false) => ClientTls::native(),
    };
    let tls = tls.map_err(|error| Failure::work(format!("upstream {}", config.url), error))?;
    let token = config.token().map_err(|fault| Failure::Usage(vec![fault]))?;
    let token = token.map(|secret| secret.reveal().to_owned());
    Ok(UpstreamConfig { url: config.url.clone(), token, tls, connections: config.connections })
}

fn services(configured: &BTreeMap<String, ServiceConfig>) -> Result<Services, Failure> {
    let mut services = Services::new();
    let mut faults = Vec::new();
    for (name, service) in configured {
        let tls = if service.insecure { ClientTls::insecure() } else { ClientTls::native() };
        let tls = tls.map_err(|error| Failure::work(format!("service {name}"), error))?;
        let host = service.host.as_deref().map(str::parse).transpose();
        match host {
            Ok(host) => {
                let service = Service { url: service.url.clone(), host, tls };
                if let Err(error) = services.insert(name, service) {
                    faults.push(format!("service {name}: {error}"));
                }
            }
            Err(_) => faults.push(format!("service {name}: host is no header value")),
        }
    }
    if faults.is_empty() { Ok(services) } else { Err(Failure::Usage(faults)) }
}

/// Opens the listeners into which encoders publish; what they publish is in the site's own hub.
async fn listen(config: &Config, hub: &Hub, shutdown: &Shutdown) -> Result<(), Failure> {
    for address in config.listeners() {
        let service = sluicegate_ws_stream::Service::new(hub.clone(), sluicegate_ws_stream::Config::default());
        let service = service.map_err(|error| Failure::work("setting up streams", error))?;
        let listener = Listener::bind(address, None, listener::Config::default()).await;
        let listener = listener.map_err(|error| Failure::work("listening for encoders", error))?;
        tracing::info!(address = %listener.local_addr(), "listening for encoders");
        tokio::spawn(listener.serve(service.router(), shutdown.clone()));
    }
    Ok(())
}

/// Applies what can be applied while it runs, and says what cannot.
fn reload(running: &Config, arguments: &Arguments, egress: &Egress) {
    let fresh = match config::load(arguments) {
        Ok(fresh) => fresh,
        Err(failure) => return tracing::error!(%failure, "not reloaded"),
    };
    match services(&fresh.services) {
        Ok(services) => egress.replace(services),
        Err(failure) => return tracing::error!(%failure, "not reloaded"),
    }
    let names = |config: &Config| config.services.keys().cloned().collect::<Vec<_>>();
    let fixed = [
        ("streams", running.streams != fresh.streams),
        ("services", names(running) != names(&fresh)),
        ("site", running.site != fresh.site || running.name != fresh.name),
    ];
    for (key, _) in fixed.iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "what is offered upstream changes with a restart");
    }
    tracing::info!("reloaded: where services lead");
}
