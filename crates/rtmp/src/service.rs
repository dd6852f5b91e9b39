//! The port, and what its connections share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_hub::Hub;
use sluicegate_net::listener::Socket;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_writers::Writers;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, Place, ended};
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
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl Listener {
    /// Binds; port 0 takes a free one. With a certificate it is RTMPS, else RTMP.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Option<ServerTls>) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address, tls })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `rtmp` or `rtmps`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "rtmps" } else { "rtmp" }
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
        let places = Arc::new(Semaphore::new(self.0.config.connections));
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.begun() => break,
                accepted = accept(&listener.tcp, &places) => accepted,
            };
            match accepted {
                Ok((tcp, peer, permit)) => {
                    let (shared, tls, shutdown) = (Arc::clone(&self.0), listener.tls.clone(), shutdown.clone());
                    let place = Place::new(permit, &tasks);
                    tokio::spawn(async move {
                        match open(&shared, tcp, tls).await {
                            Ok(socket) => Connection::new(shared, socket, peer, shutdown, place).serve().await,
                            Err(error) => ended(peer, &Err(error)),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Without file descriptors the next try fails at once too; others may close meanwhile.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::debug!("RTMP connections were cut");
        }
    }
}

async fn accept(
    tcp: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (tcp, peer) = tcp.accept().await?;
    Ok((tcp, peer, place))
}

/// Does the server's side of TLS where there is any, and sets what all connections have.
async fn open(shared: &Shared, tcp: TcpStream, tls: Option<ServerTls>) -> Result<Socket, Error> {
    tcp.set_nodelay(true)?;
    let socket = match tls {
        None => Socket::from(tcp),
        Some(tls) => match tokio::time::timeout(TLS_WAIT, tls.accept(tcp)).await {
            Ok(accepted) => accepted?,
            Err(_) => return Err(Error::Silent { after: TLS_WAIT }),
        },
    };
    // The kernel must not hide a slow or dead player.
    socket.set_notsent_lowat(shared.config.unsent_bytes)?;
    socket.set_user_timeout(shared.config.stall)?;
    Ok(socket)
}
