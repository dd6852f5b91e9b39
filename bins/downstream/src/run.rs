//! Puts the services together and runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use sluicegate_http_proxy::egress::{Egress, Service, Services};
use sluicegate_hub::relay::Relays;
use sluicegate_hub::{Hub, StreamName};
use sluicegate_launch::{Failure, Signal, Signals};
use sluicegate_m7s::{Allowed, Pushes, SiteRoutes};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_sites::FlvPort;
use sluicegate_sites::downstream::{self, StreamConfig, UpstreamConfig};

use crate::cli::Arguments;
use crate::config::{self, Config, ServiceConfig};
use crate::identity;
use crate::port::Port;
use crate::webrtc::WebRtc;

/// How long requests in flight may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the site until a signal ends it.
pub(crate) async fn run(config: Config, arguments: &Arguments, mut signals: Signals) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    let hub = Hub::new(config.limits.hub()).map_err(|error| Failure::work("setting up the hub", error))?;
    let egress = Egress::new(services(&config.services)?, config.limits.services());
    let egress = egress.map_err(|error| Failure::work("setting up services", error))?;
    let mut encoders = Encoders::new(&hub, &shutdown)?;
    encoders.listen(&config).await?;
    let rtmp_outputs = sluicegate_rtmp::Outputs::new(&hub);
    let rtmp = crate::rtmp::start(&config.rtmp, &hub, &rtmp_outputs, &shutdown).await?;
    let rtsp_output = sluicegate_rtsp::Output::new(&hub);
    let rtsp = crate::rtsp::start(&config.rtsp, &hub, &rtsp_output, &shutdown).await?;
    let tls = ClientTls::native().map_err(|error| Failure::work("setting up TLS", error))?;
    let port: Arc<dyn FlvPort> = Arc::new(Port { tls: tls.clone() });
    let webrtc = WebRtc::start(&config, &hub)?;
    let site = site(&config, &webrtc)?;
    tracing::info!(site = site.id, streams = site.streams.len(), services = site.services.len(), "site starts");
    let relays = Relays::of(&hub);
    let pushes = Pushes::new(relays.clone(), allowed(&config)?);
    let routes = SiteRoutes::new(hub.clone(), m7s_services(&config), pushes.clone());
    let router: Router = webrtc.before(egress.router()).layer(from_fn_with_state(routes.clone(), SiteRoutes::dispatch));
    let running = downstream::run(&site, &hub, &router, &port, &shutdown);
    let mut running = running.map_err(|error| Failure::Usage(vec![error.to_string()]))?;
    webrtc.feed(running.wants());
    relays.register(&["ws", "wss"], &running.target(tls.clone()));
    crate::rtmp::register(&relays, &running, &hub, tls.clone(), rtmp_outputs);
    crate::rtsp::register(&relays, &running, &hub, tls, rtsp_output);
    let kept = sluicegate_sites::relays::keep(&relays, &config.state_dir);
    kept.map_err(|error| Failure::work("reading saved relays", error))?;
    sluicegate_sites::relays::begin(&relays, &config.relays);
    while signals.next().await == Signal::Reload {
        let done = reload(&config, arguments, &egress, &webrtc, &mut encoders, &mut running).await;
        match done.and_then(|fresh| Ok((allowed(&fresh)?, fresh))) {
            Ok((allowed, fresh)) => {
                pushes.replace(allowed);
                routes.replace(m7s_services(&fresh));
                tracing::info!("reloaded: streams, services and push targets");
            }
            Err(failure) => tracing::error!(%failure, "not reloaded"),
        }
    }
    tracing::info!("draining");
    shutdown.begin();
    encoders.service.shut_down();
    webrtc.shut_down();
    relays.shut_down();
    rtmp.join_all().await;
    rtsp.join_all().await;
    if tokio::time::timeout(DRAIN, running.ended()).await.is_err() {
        tracing::warn!("requests were cut after the drain time");
    }
    tracing::info!("ended");
    Ok(())
}

fn site(config: &Config, webrtc: &WebRtc) -> Result<downstream::Config, Failure> {
    let id = config.site.clone().map_or_else(|| identity::site_id(&config.state_dir), Ok)?;
    let upstreams = config.upstreams.iter().map(upstream).collect::<Result<_, _>>()?;
    Ok(downstream::Config {
        id,
        name: config.name.clone(),
        upstreams,
        services: names(config, webrtc),
        streams: streams(config)?,
        link: config.limits.link(),
    })
}

/// What pages may have pushed, and where.
fn allowed(config: &Config) -> Result<Allowed, Failure> {
    let upstreams = || config.upstreams.iter().map(|upstream| upstream.url.clone()).collect();
    let targets = config.push_targets.clone().unwrap_or_else(upstreams);
    Ok(Allowed { streams: streams(config)?.into_keys().collect(), targets })
}

/// Where requests of the m7s plugin's routes lead.
fn m7s_services(config: &Config) -> sluicegate_m7s::Services {
    let listed = config.services.iter().map(|(name, service)| (name.clone(), service.url.clone())).collect();
    sluicegate_m7s::Services { default: config.m7s.default_service.clone(), listed }
}

/// The services that the upstream is told of.
fn names(config: &Config, webrtc: &WebRtc) -> Vec<String> {
    let own = webrtc.is_offered().then(|| crate::webrtc::SERVICE.to_owned());
    config.services.keys().cloned().chain(own).collect()
}

fn streams(config: &Config) -> Result<BTreeMap<StreamName, StreamConfig>, Failure> {
    let fault = |fault: String| Failure::Usage(vec![fault]);
    let mut streams = BTreeMap::new();
    for (name, stream) in &config.all_streams() {
        let parsed = stream.parse().map_err(fault)?;
        let name = StreamName::parse(name).map_err(|error| fault(error.to_string()))?;
        streams.insert(name, StreamConfig { source: parsed.source, always: stream.always });
    }
    Ok(streams)
}

fn upstream(config: &config::UpstreamConfig) -> Result<UpstreamConfig, Failure> {
    let tls = ClientTls::configured(config.ca_file.as_deref(), config.insecure);
    let tls = tls.map_err(|error| Failure::work(format!("upstream {}", config.url), error))?;
    let token = config.token().map_err(|fault| Failure::Usage(vec![fault]))?;
    let token = token.map(|secret| secret.reveal().to_owned());
    let (connections, protocol) = (config.connections, config.protocol.into());
    Ok(UpstreamConfig { url: config.url.clone(), token, tls, connections, protocol })
}

fn services(configured: &BTreeMap<String, ServiceConfig>) -> Result<Services, Failure> {
    let mut services = Services::new();
    let mut faults = Vec::new();
    for (name, service) in configured {
        let tls = ClientTls::configured(None, service.insecure);
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

/// The listeners into which encoders publish; what they publish is in the site's own hub.
struct Encoders {
    service: sluicegate_ws_stream::Service,
    shutdown: Shutdown,
    open: BTreeSet<SocketAddr>,
}

impl Encoders {
    fn new(hub: &Hub, shutdown: &Shutdown) -> Result<Self, Failure> {
        let service = sluicegate_ws_stream::Service::new(hub.clone(), sluicegate_ws_stream::Config::default());
        let service = service.map_err(|error| Failure::work("setting up streams", error))?;
        Ok(Self { service, shutdown: shutdown.clone(), open: BTreeSet::new() })
    }

    /// Opens the listeners that are not open yet. One that no stream needs any more stays until the program ends.
    async fn listen(&mut self, config: &Config) -> Result<(), Failure> {
        for address in config.listeners() {
            if self.open.contains(&address) {
                continue;
            }
            let limits = listener::Config {
                handover_paths: sluicegate_ws_stream::Service::handover_paths(),
                drain: DRAIN,
                ..listener::Config::default()
            };
            let listener = Listener::bind(address, None, limits).await;
            let listener = listener.map_err(|error| Failure::work("listening for encoders", error))?;
            tracing::info!(address = %listener.local_addr(), "listening for encoders");
            tokio::spawn(listener.serve(self.service.router(), self.shutdown.clone()));
            self.open.insert(address);
        }
        Ok(())
    }
}

/// Applies what can be applied while it runs, and says what cannot. Nothing is applied of a file with faults.
async fn reload(
    running: &Config,
    arguments: &Arguments,
    egress: &Egress,
    webrtc: &WebRtc,
    encoders: &mut Encoders,
    site: &mut downstream::Running,
) -> Result<Config, Failure> {
    let fresh = config::load(arguments)?;
    let (targets, streams) = (services(&fresh.services)?, streams(&fresh)?);
    encoders.listen(&fresh).await?;
    egress.replace(targets);
    site.offer(&names(&fresh, webrtc), &streams);
    let fixed = [
        ("site", running.site != fresh.site || running.name != fresh.name),
        ("upstreams", running.upstreams != fresh.upstreams),
        ("limits", running.limits != fresh.limits),
        ("log", running.log != fresh.log || running.log_format != fresh.log_format),
        ("state_dir", running.state_dir != fresh.state_dir),
        ("rtmp", running.rtmp != fresh.rtmp),
        ("rtsp", running.rtsp != fresh.rtsp),
        ("webrtc", running.webrtc != fresh.webrtc),
        ("relays", running.relays != fresh.relays),
    ];
    for (key, _) in fixed.iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "this change needs a restart");
    }
    Ok(fresh)
}
