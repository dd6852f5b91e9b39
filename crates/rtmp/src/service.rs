//! The port, and what its connections share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_hub::Hub;
use sluicegate_net::port::{Arrival, Limits, Port};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_writers::Writers;

use crate::connection::{Connection, ended};
use crate::metrics::Counted;
use crate::player::Player;
use crate::{Config, Error, Gate, Outputs};

/// How long a TLS handshake may take.
const TLS_WAIT: Duration = Duration::from_secs(10);
/// How long connections may take to end after a shutdown has begun.
const DRAIN: Duration = Duration::from_secs(3);

/// Publishing and playing by RTMP. Clones share all.
#[derive(Debug, Clone)]
pub struct Service(Arc<Shared>);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) config: Config,
    pub(crate) outputs: Outputs,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) writers: Writers<Player>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A bound port.
#[derive(Debug)]
pub struct Listener(Port);

impl Listener {
    /// Binds; port 0 takes a free one. With a certificate it is RTMPS, else RTMP.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Option<ServerTls>) -> Result<Self, Error> {
        Port::bind(address, tls).await.map(Self).map_err(Error::Listen)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme(), self.local_addr())
    }

    /// `rtmp` or `rtmps`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.0.is_tls() { "rtmps" } else { "rtmp" }
    }
}

impl Service {
    /// A service over `hub`; `gate` decides who may do what.
    ///
    /// # Errors
    /// [`Error::Config`] names a limit that leaves no room to work.
    pub fn new(hub: Hub, config: Config, outputs: Outputs, gate: Arc<dyn Gate>) -> Result<Self, Error> {
        config.validate()?;
        let writers = Writers::new(config.writers);
        Ok(Self(Arc::new(Shared { hub, config, outputs, gate, writers })))
    }

    /// The output formats, to see how often batches were converted.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        &self.0.outputs
    }

    /// Serves until `shutdown`; then players are told, and all connections end within 3 s.
    pub async fn serve(self, listener: Listener, shutdown: Shutdown) {
        let config = &self.0.config;
        let limits = Limits {
            connections: config.connections,
            handshake: TLS_WAIT,
            // The kernel must not hide a slow or dead player.
            unsent_bytes: config.unsent_bytes,
            unacknowledged: config.stall,
            drain: DRAIN,
        };
        let welcome = |arrival: Arrival| {
            let (shared, shutdown) = (Arc::clone(&self.0), shutdown.clone());
            async move {
                let (peer, counted) = (arrival.peer(), Counted::new());
                match arrival.open().await {
                    Ok((socket, place)) => {
                        Connection::new(shared, socket, peer, shutdown, (place, counted)).serve().await;
                    }
                    Err(error) => ended(peer, &Err(error.into())),
                }
            }
        };
        listener.0.serve(limits, &shutdown, welcome).await;
    }
}
