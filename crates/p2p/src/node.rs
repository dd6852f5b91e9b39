//! The chunk node: it meets peers through a signalling server, and hands them segments over data channels.
//!
//! [`Node::start`] runs it. A task speaks to the signalling server, one keeps the [`Table`] of peers, and each peer has
//! one of its own, so that none waits for another. What the tasks decide is decided without sockets and clocks, in
//! [`Table`], [`crate::peer`] and [`crate::pacer`].

mod client;
mod fetches;
mod library;
mod link;
mod state;
mod strand;
mod swarm;
mod table;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_rtc_driver::Driver;
use tokio::sync::mpsc;
use url::Url;

pub use state::{PeerInfo, Peers};
pub use table::{Action, Stage, Table};

use crate::chunk::{Code, Key};
use crate::{pacer, peer, strands};

/// Signalling messages that wait for the server, and those that wait for the node: an offer and some candidates for each
/// of a thousand newcomers.
const SIGNALLING: usize = 4_096;

/// Where segments come from.
pub trait Segments: Send + Sync + 'static {
    /// Bytes of a segment; none where there is no such segment, or nobody knows.
    fn length(&self, key: Key) -> BoxFuture<'static, Option<u64>>;

    /// Whether the segment is at hand and need not be got from elsewhere.
    fn cached(&self, key: &Key) -> bool;

    /// The segment.
    fn segment(&self, key: Key) -> BoxFuture<'static, Result<Bytes, Code>>;
}

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name among peers: 36 of `A-Z a-z 0-9 _ -`.
    pub uid: String,
    /// The signalling server; the uid is put behind it, as in `ws://host:5000/uid/`.
    pub signal: Url,
    /// Sockets and sessions. [`Config::new`] gives them buffers that fit [`pacer::Limits::most`].
    pub rtc: sluicegate_rtc_driver::Config,
    /// Peers at once, those that are connecting among them. Default 256, which take up to 90 MB when all are busy.
    pub peers: usize,
    /// What one peer may make us do.
    pub session: peer::Limits,
    /// How fast chunks go to a peer.
    pub pacing: pacer::Limits,
    /// Further connections to a peer on a link that loses packets.
    pub strands: strands::Limits,
    /// Bytes a second to all peers together. Default none.
    pub upload: Option<u64>,
    /// Whether a segment that a peer asks about is loaded before the peer wants it. Default no: of all that have it, a
    /// peer takes it from one.
    pub prefetch: bool,
    /// Between two pings to the signalling server; it counts as gone after two and a half of them in silence. Default
    /// 30 s.
    pub ping: Duration,
}

impl Config {
    /// The defaults for a node.
    #[must_use]
    pub fn new(uid: impl Into<String>, signal: Url) -> Self {
        let pacing = pacer::Limits::default();
        let rtc = sluicegate_rtc_driver::Config {
            // Room for what is said beside chunks.
            send_buffer: pacing.most + (256 << 10),
            receive_window: 2 << 20,
            // A chunk has 51,230 bytes. The stack holds one such buffer for each session, busy or not.
            max_message: 64 << 10,
            ..sluicegate_rtc_driver::Config::default()
        };
        Self {
            uid: uid.into(),
            signal,
            rtc,
            peers: 256,
            session: peer::Limits::default(),
            pacing,
            strands: strands::Limits::default(),
            upload: None,
            prefetch: false,
            ping: Duration::from_secs(30),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The uid is none; the operator chooses another.
    #[error("the id {uid:?} is none: it must have 36 of A-Z a-z 0-9 _ -")]
    Uid {
        /// What was configured.
        uid: String,
    },
    /// The uid and the address of the signalling server do not make a URL.
    #[error("{url} is no address of a signalling server")]
    Url {
        /// What was configured.
        url: String,
    },
    /// The sockets could not be had.
    #[error("starting WebRTC")]
    Driver(#[from] sluicegate_rtc_driver::Error),
}

/// A running node. Clones share it.
#[derive(Debug, Clone)]
pub struct Node {
    shared: Arc<state::Shared>,
    addresses: Arc<[SocketAddr]>,
}

impl Node {
    /// Starts a node within a tokio runtime. It ends when `shutdown` begins, and tells its peers.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start(
        config: Config,
        segments: Arc<dyn Segments>,
        tls: ClientTls,
        shutdown: Shutdown,
    ) -> Result<Self, Error> {
        if !wire::is_uid(&config.uid) {
            return Err(Error::Uid { uid: config.uid });
        }
        let text = format!("{}{}", config.signal, config.uid);
        let url = Url::parse(&text).map_err(|_| Error::Url { url: config.signal.to_string() })?;
        let max_sessions = config.peers.saturating_mul(2).saturating_add(config.strands.all);
        let rtc = sluicegate_rtc_driver::Config { max_sessions, ..config.rtc.clone() };
        let driver = Driver::bind(rtc)?;
        // Two fifths of a Linux buffer are payload, with room to spare.
        let window = u32::try_from(driver.receive_buffer() / 5 * 2).unwrap_or(u32::MAX);
        let addresses: Arc<[SocketAddr]> = driver.addresses().into();
        tracing::info!(uid = config.uid, addresses = ?addresses, "node");
        let ping = config.ping;
        let shared = Arc::new(state::Shared::new(config, segments, window));
        let (outgoing, to_server) = mpsc::channel(SIGNALLING);
        let (from_server, incoming) = mpsc::channel(SIGNALLING);
        let client = client::Client::new(url, tls, ping, from_server, to_server);
        tokio::spawn(client.run(shutdown.clone()));
        let swarm = swarm::Swarm::new(Arc::clone(&shared), driver, outgoing, incoming);
        tokio::spawn(swarm.run(shutdown));
        Ok(Self { shared, addresses })
    }

    /// Addresses that peers are told.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Gets a segment from whichever peer has it at hand, within a minute; `None` where nobody says within `found` that it
    /// has it, or nobody sends all of it. The bytes are the peers' word: nothing here can tell whether they are right.
    pub async fn fetch(&self, key: Key, found: Duration) -> Option<Bytes> {
        fetches::fetch(&self.shared, key, found).await
    }
}

impl Peers for Node {
    fn uid(&self) -> &str {
        &self.shared.config.uid
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.shared.peers()
    }
}
