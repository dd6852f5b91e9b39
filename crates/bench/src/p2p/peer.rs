//! A node of ours that fetches: in this process, or as a program that may run in another network.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_p2p::chunk::{Code, Key};
use sluicegate_p2p::node::{Config, Node, Peers, Segments};
use url::Url;

use super::origin::{ITAG, Layout, SEGMENT, VID};
use super::{PATIENCE, SERVER};
use crate::error::Error;
use crate::report::line;

/// A peer that has nothing.
struct Nothing;

impl Segments for Nothing {
    fn length(&self, _: Key) -> BoxFuture<'static, Option<u64>> {
        Box::pin(std::future::ready(None))
    }

    fn cached(&self, _: &Key) -> bool {
        false
    }

    fn segment(&self, _: Key) -> BoxFuture<'static, Result<Bytes, Code>> {
        Box::pin(std::future::ready(Err(Code::NotFound)))
    }
}

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(1);

async fn wait(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Error> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE {
            return Err(Error::Answer(format!("no {what} within {PATIENCE:?}")));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A peer of ours.
pub(super) struct Peer {
    pub(super) node: Node,
    pub(super) stop: Shutdown,
}

impl Peer {
    /// Starts a peer on loopback and waits for its channel to the node.
    pub(super) async fn loopback(signal: &str, number: usize) -> Result<Self, Error> {
        Self::start(signal, number, Ipv4Addr::LOCALHOST.into()).await
    }

    async fn start(signal: &str, number: usize, host: IpAddr) -> Result<Self, Error> {
        let signal = Url::parse(&format!("ws://{signal}/uid/")).map_err(|error| Error::Answer(error.to_string()))?;
        let mut config = Config::new(format!("bench-peer-{number:025}"), signal);
        config.rtc.listen = vec![(host, 0).into()];
        // With the node it has all that it takes, so that the peers leave each other alone.
        config.peers = 1;
        let failed = |error: &dyn std::error::Error| Error::Answer(error.to_string());
        let tls = ClientTls::insecure().map_err(|error| failed(&error))?;
        let stop = Shutdown::new();
        let node = Node::start(config, Arc::new(Nothing), tls, stop.clone()).map_err(|error| failed(&error))?;
        let is_open = || node.peers().iter().any(|peer| peer.uid == SERVER && peer.label.is_some());
        wait("channel", is_open).await?;
        Ok(Self { node, stop })
    }

    /// Fetches a segment; tells whether it came, and as it must.
    async fn get(&self, layout: &Layout, index: usize) -> bool {
        let key = Key::new(format!("{VID}:{ITAG}"), index as u64);
        self.node.fetch(key, PATIENCE).await.is_some_and(|got| layout.is_right(index, &got))
    }

    /// Fetches segments in a row; gives how many were wrong or missing.
    pub(super) async fn fetch(&self, layout: &Layout, indexes: impl Iterator<Item = usize>) -> usize {
        let mut wrong = 0;
        for index in indexes {
            wrong += usize::from(!self.get(layout, index).await);
        }
        wrong
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The signalling server.
    #[arg(long)]
    signal: String,
    /// The address of its own.
    #[arg(long)]
    host: IpAddr,
    /// Segments of the stream, and how many are on their way at once.
    #[arg(long)]
    segments: usize,
    #[arg(long)]
    parallel: usize,
    /// How long to fetch before it counts, and while it does.
    #[arg(long)]
    warm: u64,
    #[arg(long)]
    seconds: u64,
}

/// What a peer has seen, as it prints it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Mbit/s.
    pub(super) rate: f64,
    /// Segments that were wrong or did not come.
    pub(super) wrong: f64,
    /// Further connections at the end.
    pub(super) strands: f64,
}

impl Seen {
    /// Reads what was printed.
    pub(super) fn read(text: &str) -> Option<Self> {
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [rate, wrong, strands] = numbers.as_slice() else { return None };
        Some(Self { rate: *rate, wrong: *wrong, strands: *strands })
    }
}

/// Fetches for a while and prints what it has seen.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let layout = Layout::even(arguments.segments)?;
    let peer = Peer::start(&arguments.signal, 0, arguments.host).await?;
    let (next, wrong, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let warm = Instant::now() + Duration::from_secs(arguments.warm);
    let end = warm + Duration::from_secs(arguments.seconds);
    let worker = async || {
        while Instant::now() < end {
            let index = next.fetch_add(1, Ordering::Relaxed) % arguments.segments;
            let right = peer.get(&layout, index).await;
            wrong.fetch_add(usize::from(!right), Ordering::Relaxed);
            let now = Instant::now();
            if right && now >= warm && now < end {
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    join_all((0..arguments.parallel).map(|_| worker())).await;
    let bits = done.into_inner() as f64 * f64::from(SEGMENT) * 8.0;
    let strands: usize = peer.node.peers().iter().map(|peer| peer.strands).sum();
    line(&format!("{} {} {strands}", bits / arguments.seconds as f64 / 1e6, wrong.into_inner()));
    Ok(())
}
