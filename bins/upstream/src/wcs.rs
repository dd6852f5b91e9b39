//! Compatibility with Flashphoner WCS at the public host: its section of the configuration, and what joins it to WebRTC.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use serde::{Deserialize, Serialize};
use sluicegate_api::Access;
use sluicegate_hub::Hub;
use sluicegate_hub::relay::Relays;
use sluicegate_launch::Failure;
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::{ClientTls, ServerTls};
use sluicegate_wcs::{Gate, Parts, Permissions, Service};
use sluicegate_webrtc_relay::Engine;
use url::Url;

use self::bridge::Bridge;

mod bridge;
mod hooks;

/// The section `[wcs]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wcs {
    /// Whether WCS pages, servers and tools are served at all.
    enabled: bool,
    /// Ports of its own beside the main one, without TLS: a WebSocket at any path, and the REST interface. The original
    /// uses 8080 and 8081.
    pub(crate) listen: Vec<SocketAddr>,
    /// The same with the certificate of `[tls]`. The original uses 8443 and 8444.
    pub(crate) listen_tls: Vec<SocketAddr>,
    /// Authorities (PEM) that certificates of other servers must come from, instead of the host's own.
    ca_file: Option<PathBuf>,
    /// Whether certificates of other servers are taken as they are.
    insecure: bool,
    /// Addresses of `rtmp:` and `rtmps:` to which, or below which, a page may have its stream republished (`rtmpUrl`); who
    /// has the API's token may so anywhere.
    republish: Vec<Url>,
    /// A web server that decides about clients and is told of them.
    hooks: Option<hooks::Hooks>,
}

impl Default for Wcs {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: Vec::new(),
            listen_tls: Vec::new(),
            ca_file: None,
            insecure: false,
            republish: Vec::new(),
            hooks: None,
        }
    }
}

impl Wcs {
    /// Adds what is wrong with the section.
    pub(crate) fn validate(&self, has_certificate: bool, faults: &mut Vec<String>) {
        if !self.listen_tls.is_empty() && !has_certificate {
            faults.push("wcs.listen_tls needs the certificate of [tls]".to_owned());
        }
        if self.insecure && self.ca_file.is_some() {
            faults.push("wcs.ca_file means nothing where wcs.insecure is set".to_owned());
        }
        for url in self.republish.iter().filter(|url| !matches!(url.scheme(), "rtmp" | "rtmps") || !url.has_host()) {
            faults.push(format!("wcs.republish: {:?} is no address of rtmp: or rtmps:", url.scheme()));
        }
        if let Some(Err(fault)) = self.hooks.as_ref().map(hooks::Hooks::read) {
            faults.push(fault);
        }
    }

    /// All addresses of its own.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &SocketAddr> {
        self.listen.iter().chain(&self.listen_tls)
    }

    /// Makes the service; `None` where it is switched off, or WebRTC is.
    pub(crate) fn start(
        &self,
        hub: &Hub,
        engine: Option<&Engine>,
        relays: &Relays,
        access: &Arc<ArcSwap<Access>>,
        shutdown: &Shutdown,
    ) -> Result<Option<Service>, Failure> {
        let Some(engine) = engine.filter(|_| self.enabled) else { return Ok(None) };
        let tls = ClientTls::configured(self.ca_file.as_deref(), self.insecure);
        if self.insecure {
            tracing::warn!("wcs.insecure is set: certificates of other servers are not verified");
        }
        let access = Arc::clone(access);
        let gate: Gate = Arc::new(move |request| {
            let access = access.load();
            let (publish, play) = (access.may_publish(request), access.may_play(request));
            Permissions { publish, play, manage: access.may_manage(request) }
        });
        let parts = Parts {
            hub: hub.clone(),
            relays: relays.clone(),
            media: Arc::new(Bridge(engine.clone())),
            gate,
            tls: tls.map_err(|error| Failure::work("setting up WCS", error))?,
            shutdown: shutdown.clone(),
        };
        let hooks = self.hooks.as_ref().and_then(|hooks| hooks.read().ok());
        let republish = self.republish.clone();
        Ok(Some(Service::new(parts, sluicegate_wcs::Config { republish, hooks, ..sluicegate_wcs::Config::default() })))
    }

    /// Opens the ports of its own.
    pub(crate) async fn listen(
        &self,
        router: &Router,
        tls: Option<&ServerTls>,
        shutdown: &Shutdown,
    ) -> Result<(), Failure> {
        let plain = self.listen.iter().map(|address| (address, None));
        for (address, tls) in plain.chain(self.listen_tls.iter().map(|address| (address, tls))) {
            let limits = listener::Config { drain: crate::run::DRAIN, ..listener::Config::default() };
            let listener = Listener::bind(*address, tls.cloned(), limits).await;
            let listener = listener.map_err(|error| Failure::work("listening for WCS", error))?;
            let scheme = if tls.is_some() { "wss" } else { "ws" };
            tracing::info!("WCS at {scheme}://{}", listener.local_addr());
            tokio::spawn(listener.serve(router.clone(), shutdown.clone()));
        }
        Ok(())
    }
}
