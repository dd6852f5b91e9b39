//! RTMP at the site: its port, and the target of pushes.

use std::sync::Arc;

use sluicegate_hub::Hub;
use sluicegate_hub::relay::Relays;
use sluicegate_launch::{Failure, Ports, open_ports};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_rtmp::{Ask, Config, Error, Gate, Listener, Outputs, RtmpTarget, Service, is_same};
use sluicegate_sites::downstream::Running;

use crate::section::{Section, Tokens};

impl Gate for Tokens {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        self.admit(ask.publishes, |token| ask.token.is_some_and(|given| is_same(given, token)))
    }
}

/// Opens the ports of the section.
pub(crate) async fn start(
    section: &Section,
    hub: &Hub,
    outputs: &Outputs,
    shutdown: &Shutdown,
) -> Result<Ports, Failure> {
    let gate = Arc::new(section.tokens("rtmp").map_err(|fault| Failure::Usage(vec![fault]))?);
    let service = Service::new(hub.clone(), Config::default(), outputs.clone(), gate);
    let service = service.map_err(|error| Failure::work("setting up RTMP", error))?;
    open_ports("RTMP", section.addresses(), section.tls("RTMPS")?.as_ref(), async |address, tls| {
        let listener = Listener::bind(address, tls).await?;
        Ok::<_, Error>((listener.url(), service.clone().serve(listener, shutdown.clone())))
    })
    .await
}

/// Lets streams of the site be pushed to `rtmp:` and `rtmps:` URLs.
pub(crate) fn register(relays: &Relays, running: &Running, hub: &Hub, tls: ClientTls, outputs: Outputs) {
    let target = running.feeding(Arc::new(RtmpTarget::new(hub.clone(), tls, outputs)));
    relays.register(&RtmpTarget::SCHEMES, &target);
}
