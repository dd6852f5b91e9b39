//! The port, and what its connections share.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_hub::{Hub, StreamName};
use sluicegate_net::port::{Arrival, Limits, Place, Port};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_writers::Writers;

mod connection;
pub(crate) mod format;
mod intake;
pub(crate) mod line;
mod play;
mod player;
pub(crate) mod share;
mod udp;

pub use format::Output;

use connection::{Connection, ended};
use player::Player;
use udp::Ports;

use crate::metrics::Counted;
use crate::{Credentials, Error};

/// How long a TLS handshake may take.
const TLS_WAIT: Duration = Duration::from_secs(10);
/// How long connections may take to end after a shutdown has begun.
const DRAIN: Duration = Duration::from_secs(3);

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Whether it wants to publish; else it wants to play.
    pub publishes: bool,
    /// The stream.
    pub name: &'a StreamName,
    /// What it shows: [`Credentials::prove`] tells whether it knows a token.
    pub credentials: &'a Credentials,
    /// Where it connects from.
    pub peer: SocketAddr,
}

/// Decides who may do what. It must not block.
pub trait Gate: Send + Sync + 'static {
    /// Whether the client may do what it asks for.
    fn admits(&self, ask: &Ask<'_>) -> bool;
}

/// Limits and times of a [`Service`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a player waits for a stream before it is told that there is none. Default 15 s, as long as viewers are
    /// kept while a publisher is away.
    pub wait: Duration,
    /// A publisher that sends nothing for this long is dropped. Default 15 s.
    pub publisher_silence: Duration,
    /// A peer to which nothing could be sent for this long is dropped, and so is one whose kernel does not answer.
    /// Default 15 s.
    pub stall: Duration,
    /// Bytes that the kernel may hold unsent for a player (`TCP_NOTSENT_LOWAT`). Default 128 KiB: a key frame of a
    /// 720p stream; more would hide a slow player from us, less costs wake-ups.
    pub unsent_bytes: u32,
    /// Connections at once; more wait in the system's queue. Default 4,096, at some 20 KiB each.
    pub connections: usize,
    /// Writer tasks among which the players by TCP of a stream are shared. Default: one per core.
    pub writers: NonZeroUsize,
    /// Whether a new publisher takes the place of a live one instead of being refused. Default no.
    pub replace_publisher: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(15),
            publisher_silence: Duration::from_secs(15),
            stall: Duration::from_secs(15),
            unsent_bytes: 128 << 10,
            connections: 4_096,
            writers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            replace_publisher: false,
        }
    }
}

impl Config {
    /// Checks that the limits leave room to work.
    ///
    /// # Errors
    /// [`Error::Config`] names the field.
    pub fn validate(&self) -> Result<(), Error> {
        let faults = [
            ("unsent_bytes must be at least 4096", self.unsent_bytes < 4_096),
            ("publisher_silence must not be 0", self.publisher_silence.is_zero()),
            ("stall must be at least 1 s", self.stall < Duration::from_secs(1)),
            ("connections must not be 0", self.connections == 0),
        ];
        faults.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(fault, _)| Err(Error::Config { fault }))
    }
}

/// Playing and publishing by RTSP. Clones share all.
#[derive(Debug, Clone)]
pub struct Service(Arc<Shared>);

/// What all connections share.
struct Shared {
    hub: Hub,
    config: Config,
    output: Output,
    gate: Arc<dyn Gate>,
    writers: Writers<Player>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    port: Port,
    udp: Option<Arc<Ports>>,
}

impl Listener {
    /// Binds; port 0 takes a free one. With a certificate it is RTSP over TLS, else RTSP. `udp_port` is the first of two
    /// UDP ports from which players get packets that do not want them on their connection, 0 for a free pair. Without it,
    /// and with TLS, which does not cover UDP, all packets go on the connection.
    ///
    /// # Errors
    /// An address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Option<ServerTls>, udp_port: Option<u16>) -> Result<Self, Error> {
        let port = Port::bind(address, tls).await.map_err(Error::Listen)?;
        let udp = match udp_port.filter(|_| !port.is_tls()) {
            None => None,
            Some(first) => {
                let address = SocketAddr::new(address.ip(), first);
                let failed = |source| Error::Listen(sluicegate_net::Error::Listen { address, source });
                Some(Arc::new(Ports::bind(address.ip(), first).await.map_err(failed)?))
            }
        };
        Ok(Self { port, udp })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.port.local_addr()
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme(), self.local_addr())
    }

    /// `rtsp` or `rtsps`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.port.is_tls() { "rtsps" } else { "rtsp" }
    }
}

impl Service {
    /// A service over `hub`; `gate` decides who may do what.
    ///
    /// # Errors
    /// [`Error::Config`] names a limit that leaves no room to work.
    pub fn new(hub: Hub, config: Config, output: Output, gate: Arc<dyn Gate>) -> Result<Self, Error> {
        config.validate()?;
        let writers = Writers::new(config.writers);
        Ok(Self(Arc::new(Shared { hub, config, output, gate, writers })))
    }

    /// Serves until `shutdown`; then all connections end within 3 s.
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
        let Listener { port, udp } = listener;
        let welcome = |arrival: Arrival| {
            let (shared, udp, shutdown) = (Arc::clone(&self.0), udp.clone(), shutdown.clone());
            async move {
                let (peer, counted) = (arrival.peer(), Counted::new());
                match arrival.open().await {
                    Ok((socket, place)) => {
                        let visit = Visit { shared, udp, peer, shutdown, _held: (place, counted) };
                        Connection::new(visit, socket).run().await;
                    }
                    Err(error) => ended(peer, &Err(error.into())),
                }
            }
        };
        port.serve(limits, &shutdown, welcome).await;
    }
}

/// A client's coming.
struct Visit {
    shared: Arc<Shared>,
    udp: Option<Arc<Ports>>,
    peer: SocketAddr,
    shutdown: Shutdown,
    /// Its place at the port, and its place in the count.
    _held: (Place, Counted),
}

impl Visit {
    /// A port of the client: where its connection comes from, and nowhere else. The address stays in the form that our
    /// sockets have it in, mapped or scoped.
    fn port(&self, number: u16) -> SocketAddr {
        let mut address = self.peer;
        address.set_port(number);
        address
    }
}
