//! RTSP at the site: its port, and the target of pushes.

use std::sync::Arc;

use sluicegate_hub::Hub;
use sluicegate_hub::relay::Relays;
use sluicegate_launch::{Failure, Ports, open_ports};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_rtsp::{Ask, Config, Error, Gate, Listener, Output, RtspTarget, Service};
use sluicegate_sites::downstream::Running;

use crate::section::{Section, Tokens};

impl Gate for Tokens {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        self.admit(ask.publishes, |token| ask.credentials.prove(token))
    }
}

/// Opens the ports of the section. Packets go on the connection.
pub(crate) async fn start(
    section: &Section,
    hub: &Hub,
    output: &Output,
    shutdown: &Shutdown,
) -> Result<Ports, Failure> {
    let gate = Arc::new(section.tokens("rtsp").map_err(|fault| Failure::Usage(vec![fault]))?);
    let service = Service::new(hub.clone(), Config::default(), output.clone(), gate);
    let service = service.map_err(|error| Failure::work("setting up RTSP", error))?;
    open_ports("RTSP", section.addresses(), section.tls("RTSP over TLS")?.as_ref(), async |address, tls| {
        let listener = Listener::bind(address, tls, None).await?;
        Ok::<_, Error>((listener.url(), service.clone().serve(listener, shutdown.clone())))
    })
    .await
}

/// Lets streams of the site be pushed to `rtsp:` and `rtsps:` URLs.
pub(crate) fn register(relays: &Relays, running: &Running, hub: &Hub, tls: ClientTls, output: Output) {
    let target = running.feeding(Arc::new(RtspTarget::new(hub.clone(), tls, output)));
    relays.register(&RtspTarget::SCHEMES, &target);
}
