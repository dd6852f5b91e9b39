//! RTMP at the site: its section of the configuration, the port for encoders, and the target of pushes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluicegate_hub::Hub;
use sluicegate_hub::relay::Relays;
use sluicegate_launch::{Failure, Secret};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::{ClientTls, ServerTls};
use sluicegate_rtmp::{Ask, Config, Gate, Listener, Outputs, RtmpTarget, Service, is_same};
use sluicegate_sites::downstream::Running;
use tokio::task::JoinSet;

/// The section `[rtmp]`. Without an address there is no port; pushes and pulls need none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rtmp {
    /// Where encoders publish and players play by RTMP.
    pub(crate) listen: Option<SocketAddr>,
    /// The same by RTMPS, with the certificate below.
    listen_tls: Option<SocketAddr>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// What encoders must give as `?token=`; without it anybody may publish here.
    publish_token: Option<Secret>,
    publish_token_file: Option<PathBuf>,
    /// What players must give.
    play_token: Option<Secret>,
    play_token_file: Option<PathBuf>,
}

/// The tokens of publishers and of players.
struct Tokens {
    publish: Option<Secret>,
    play: Option<Secret>,
}

impl Gate for Tokens {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        let token = if ask.publishes { &self.publish } else { &self.play };
        token.as_ref().is_none_or(|token| ask.token.is_some_and(|given| is_same(given, token.reveal())))
    }
}

impl Rtmp {
    /// Whether encoders can publish by RTMP.
    pub(crate) const fn listens(&self) -> bool {
        self.listen.is_some() || self.listen_tls.is_some()
    }

    /// Adds what is wrong with the section.
    pub(crate) fn validate(&self, faults: &mut Vec<String>) {
        if let Err(fault) = self.tokens() {
            faults.push(fault);
        }
        if self.listen_tls.is_some() && (self.certificate.is_none() || self.key.is_none()) {
            faults.push("rtmp.listen_tls needs rtmp.certificate and rtmp.key".to_owned());
        }
    }

    fn tokens(&self) -> Result<Tokens, String> {
        let choose = Secret::choose;
        Ok(Tokens {
            publish: choose("rtmp.publish_token", self.publish_token.as_ref(), self.publish_token_file.as_deref())?,
            play: choose("rtmp.play_token", self.play_token.as_ref(), self.play_token_file.as_deref())?,
        })
    }

    /// Listens, and says where: in the log for people, on standard output for programs.
    pub(crate) async fn start(&self, hub: &Hub, outputs: &Outputs, shutdown: &Shutdown) -> Result<Ports, Failure> {
        let tokens = self.tokens().map_err(|fault| Failure::Usage(vec![fault]))?;
        let service = Service::new(hub.clone(), Config::default(), outputs.clone(), Arc::new(tokens));
        let service = service.map_err(|error| Failure::work("setting up RTMP", error))?;
        let mut ports = JoinSet::new();
        let secure = self.listen_tls.zip(self.tls()?);
        let plain = self.listen.map(|address| (address, None));
        for (address, tls) in plain.into_iter().chain(secure.map(|(address, tls)| (address, Some(tls)))) {
            let listener = Listener::bind(address, tls).await;
            let listener = listener.map_err(|error| Failure::work("listening for RTMP", error))?;
            let url = format!("{}://{}/", listener.scheme(), listener.local_addr());
            tracing::info!(url, "listening for encoders");
            // Whoever started us may not read it; that is no reason to end.
            let _ = writeln!(std::io::stdout(), "listening on {url}");
            ports.spawn(service.clone().serve(listener, shutdown.clone()));
        }
        Ok(ports)
    }

    fn tls(&self) -> Result<Option<ServerTls>, Failure> {
        let files = self.certificate.as_ref().zip(self.key.as_ref());
        let tls = files.map(|(certificate, key)| ServerTls::from_files(certificate, key)).transpose();
        tls.map_err(|error| Failure::work("setting up RTMPS", error))
    }
}

/// Open ports.
pub(crate) type Ports = JoinSet<()>;

/// Lets streams of the site be pushed to `rtmp:` and `rtmps:` URLs.
pub(crate) fn register(relays: &Relays, running: &Running, hub: &Hub, tls: ClientTls, outputs: Outputs) {
    let target = running.feeding(Arc::new(RtmpTarget::new(hub.clone(), tls, outputs)));
    relays.register(&RtmpTarget::SCHEMES, &target);
}
