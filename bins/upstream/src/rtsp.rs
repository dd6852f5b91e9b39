//! RTSP at the public host: its section of the configuration, and the ports.

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
use sluicegate_rtsp::{Ask, Gate, Listener, Output, RtspTarget, Service};

use crate::config::Config;
use crate::run::Host;
use crate::section;

/// The section `[rtsp]`. Without an address there is no port; relays need none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rtsp {
    /// Where players play and encoders publish by RTSP.
    listen: Option<SocketAddr>,
    /// The same by TLS, with the certificate of `[tls]`.
    listen_tls: Option<SocketAddr>,
    /// The first of two UDP ports for players that do not want packets on their connection; 0 takes a free pair.
    udp_port: Option<u16>,
    /// Connections at once, at each port.
    max_connections: usize,
}

impl Default for Rtsp {
    fn default() -> Self {
        let max_connections = sluicegate_rtsp::Config::default().connections;
        Self { listen: None, listen_tls: None, udp_port: None, max_connections }
    }
}

/// The rules of `[access]`, as they are at the moment.
struct Rules(Arc<ArcSwap<Access>>);

impl Gate for Rules {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        let access = self.0.load();
        match if ask.publishes { &access.publish } else { &access.play } {
            Rule::Open => true,
            Rule::Token(token) => ask.credentials.prove(token),
        }
    }
}

impl Rtsp {
    /// Adds what is wrong with the section. `open` tells that anybody may publish because no token is set, though nobody
    /// has said so by name.
    pub(crate) fn validate(&self, has_certificate: bool, open: bool, faults: &mut Vec<String>) {
        section::validate("rtsp", self.addresses(), self.max_connections, has_certificate, open, faults);
    }

    fn addresses(&self) -> Addresses {
        Addresses { plain: self.listen, secure: self.listen_tls }
    }

    /// Lets relays go by RTSP, and opens the ports.
    pub(crate) async fn start(
        &self,
        config: &Config,
        host: &Host,
        tls: Option<&ServerTls>,
        shutdown: &Shutdown,
    ) -> Result<Ports, Failure> {
        let (hub, output) = (&host.state.hub, Output::new(&host.state.hub));
        let target: Arc<dyn Target> = Arc::new(RtspTarget::new(hub.clone(), host.trusted.clone(), output.clone()));
        host.state.relays.register(&RtspTarget::SCHEMES, &target);
        let service =
            Service::new(hub.clone(), self.service(config), output, Arc::new(Rules(Arc::clone(&host.access))));
        let service = service.map_err(|error| Failure::work("setting up RTSP", error))?;
        open_ports("RTSP", self.addresses(), tls, async |address, tls| {
            let listener = Listener::bind(address, tls, self.udp_port).await?;
            Ok::<_, sluicegate_rtsp::Error>((listener.url(), service.clone().serve(listener, shutdown.clone())))
        })
        .await
    }

    /// What `[limits]` says of streams holds here, too.
    fn service(&self, config: &Config) -> sluicegate_rtsp::Config {
        let streams = config.limits.streams();
        sluicegate_rtsp::Config {
            wait: streams.websocket_wait,
            publisher_silence: streams.publisher_silence,
            stall: streams.viewer_stall,
            unsent_bytes: streams.unsent_bytes,
            connections: self.max_connections,
            writers: streams.writers,
            replace_publisher: config.replace_publisher,
        }
    }
}
