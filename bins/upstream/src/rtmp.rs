//! RTMP at the public host: its section of the configuration, and the ports.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use sluicegate_api::{Access, Rule};
use sluicegate_hub::relay::Target;
use sluicegate_launch::{Failure, Ports, open_ports};
use sluicegate_net::port::Addresses;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_rtmp::{Ask, Gate, Listener, Outputs, RtmpTarget, Service, is_same};

use crate::config::Config;
use crate::run::Host;
use crate::section;

/// The section `[rtmp]`. Without an address there is no port; relays need none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rtmp {
    /// Where encoders publish and players play by RTMP.
    pub(crate) listen: Option<SocketAddr>,
    /// The same by RTMPS, with the certificate of `[tls]`.
    listen_tls: Option<SocketAddr>,
    /// Connections at once, at each port.
    max_connections: usize,
}

impl Default for Rtmp {
    fn default() -> Self {
        let max_connections = sluicegate_rtmp::Config::default().connections;
        Self { listen: None, listen_tls: None, max_connections }
    }
}

/// The rules of `[access]`, as they are at the moment.
struct Rules(Arc<ArcSwap<Access>>);

impl Gate for Rules {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        let access = self.0.load();
        match if ask.publishes { &access.publish } else { &access.play } {
            Rule::Open => true,
            Rule::Token(token) => ask.token.is_some_and(|given| is_same(given, token)),
        }
    }
}

impl Rtmp {
    /// Adds what is wrong with the section. `open` tells that anybody may publish because no token is set, though nobody
    /// has said so by name.
    pub(crate) fn validate(&self, has_certificate: bool, open: bool, faults: &mut Vec<String>) {
        section::validate("rtmp", self.addresses(), self.max_connections, has_certificate, open, faults);
    }

    fn addresses(&self) -> Addresses {
        Addresses { plain: self.listen, secure: self.listen_tls }
    }

    /// Lets relays go by RTMP, and opens the ports.
    pub(crate) async fn start(
        &self,
        config: &Config,
        host: &Host,
        tls: Option<&ServerTls>,
        shutdown: &Shutdown,
    ) -> Result<Ports, Failure> {
        let (hub, outputs) = (&host.state.hub, Outputs::new(&host.state.hub));
        let target: Arc<dyn Target> = Arc::new(RtmpTarget::new(hub.clone(), host.trusted.clone(), outputs.clone()));
        host.state.relays.register(&RtmpTarget::SCHEMES, &target);
        let service =
            Service::new(hub.clone(), self.service(config), outputs, Arc::new(Rules(Arc::clone(&host.access))));
        let service = service.map_err(|error| Failure::work("setting up RTMP", error))?;
        open_ports("RTMP", self.addresses(), tls, async |address, tls| {
            let listener = Listener::bind(address, tls).await?;
            Ok::<_, sluicegate_rtmp::Error>((listener.url(), service.clone().serve(listener, shutdown.clone())))
        })
        .await
    }

    /// What `[limits]` says of streams holds here, too.
    fn service(&self, config: &Config) -> sluicegate_rtmp::Config {
        let streams = config.limits.streams();
        sluicegate_rtmp::Config {
            wait: streams.websocket_wait,
            publisher_silence: streams.publisher_silence,
            publisher_frame: streams.publisher_frame,
            stall: streams.viewer_stall,
            unsent_bytes: streams.unsent_bytes,
            connections: self.max_connections,
            writers: streams.writers,
            replace_publisher: config.replace_publisher,
        }
    }
}
