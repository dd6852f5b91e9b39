//! A TCP port: how many connections it has at once, what all of them have, how they begin and what happens at the end.
//!
//! The listener for HTTP and the services with a port of their own are built on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::Error;
use crate::listener::Socket;
use crate::shutdown::Shutdown;
use crate::tls::ServerTls;

/// Between two tries when the system gives no connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Limits and times of a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// Bytes that the kernel may hold unsent for a client (`TCP_NOTSENT_LOWAT`): what it holds hides how slow a client is.
    pub unsent_bytes: u32,
    /// How long sent bytes may stay unacknowledged before a connection is lost (`TCP_USER_TIMEOUT`).
    pub unacknowledged: Duration,
    /// How long connections may go on after a shutdown has begun.
    pub drain: Duration,
}

/// Where a service with a port of its own listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Without TLS.
    pub plain: Option<SocketAddr>,
    /// With TLS.
    pub secure: Option<SocketAddr>,
}

impl Addresses {
    /// The addresses that others can reach.
    pub fn public(self) -> impl Iterator<Item = SocketAddr> {
        self.plain.into_iter().chain(self.secure).filter(|address| !address.ip().is_loopback())
    }

    /// Each address with its certificate. Without one there is no port with TLS.
    pub fn each(self, tls: Option<&ServerTls>) -> impl Iterator<Item = (SocketAddr, Option<ServerTls>)> {
        let secure = self.secure.zip(tls).map(|(address, tls)| (address, Some(tls.clone())));
        self.plain.map(|address| (address, None)).into_iter().chain(secure)
    }
}

/// Connections that wait to be accepted; the system may allow less (`net.core.somaxconn`, 4096). Beyond the 128 that are
/// usual a burst of calls overflows, and Linux resets some of them later on.
const BACKLOG: i32 = 4_096;

/// A bound port, with TLS or without.
#[derive(Debug)]
pub struct Port {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl Port {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Option<ServerTls>) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        // A socket that listens can be told anew how many may wait.
        SockRef::from(&tcp).listen(BACKLOG).map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address, tls })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Welcomes connections, each in a task of its own, until `shutdown`; then takes no more, and returns when all
    /// [`Place`]s are free or [`Limits::drain`] is over.
    pub async fn serve<F>(self, limits: Limits, shutdown: &Shutdown, welcome: impl Fn(Arrival) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (places, tasks) = (Arc::new(Semaphore::new(limits.connections)), TaskTracker::new());
        loop {
            let accepted = tokio::select! {
                () = shutdown.begun() => break,
                accepted = self.accept(&places) => accepted,
            };
            match accepted {
                Ok((tcp, peer, permit)) => {
                    let place = Place { _permit: permit, _tracked: tasks.token() };
                    let tls = self.tls.clone();
                    tokio::spawn(welcome(Arrival { tcp, peer, tls, limits, place }));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Without file descriptors the next try fails at once too; others may close meanwhile.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(self);
        tasks.close();
        if tokio::time::timeout(limits.drain, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections were cut after the drain time");
        }
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
        let (tcp, peer) = self.tcp.accept().await?;
        Ok((tcp, peer, place))
    }
}

/// A connection's place among those that its port may have; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
}

/// A connection that has come.
#[derive(Debug)]
pub struct Arrival {
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<ServerTls>,
    limits: Limits,
    place: Place,
}

impl Arrival {
    /// Where it comes from.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sets what all connections have and does the server's side of TLS where there is any, for protocols that are not
    /// HTTP.
    ///
    /// # Errors
    /// The client breaks off, the two have no version or cipher in common, or the handshake takes too long.
    pub async fn open(self) -> io::Result<(Socket, Place)> {
        self.accept(ServerTls::bare).await
    }

    /// The same for HTTP, whose version TLS may tell.
    pub(crate) async fn open_http(self) -> io::Result<(Socket, Place)> {
        self.accept(ServerTls::http).await
    }

    async fn accept(self, config: impl FnOnce(&ServerTls) -> Arc<rustls::ServerConfig>) -> io::Result<(Socket, Place)> {
        let Self { tcp, tls, limits, place, .. } = self;
        tcp.set_nodelay(true)?;
        Socket::tune(&tcp, limits.unsent_bytes, limits.unacknowledged)?;
        let Some(tls) = tls else { return Ok((tcp.into(), place)) };
        let handshake = TlsAcceptor::from(config(&tls)).accept(tcp);
        match tokio::time::timeout(limits.handshake, handshake).await {
            Ok(accepted) => Ok((accepted?.into(), place)),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")),
        }
    }
}

#[cfg(test)]
mod tests;
