//! The chunk node: segments to one and to many nodes by data channel, how soon they come, what a peer costs.

mod origin;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_p2p::chunk::{Code, Key};
use sluicegate_p2p::node::{Config, Node, Peers, Segments};
use url::Url;

use crate::client::Client;
use crate::error::{Doing, Error};
use crate::process::Process;
use crate::report::{line, percentile, row};
use origin::{ITAG, Layout, VID};

/// Segments of this size, as the existing node was measured with, and a last one of a single chunk.
const SEGMENT: u32 = 630_000;
const SMALL: u32 = 1_000;
const BITS_PER_GBIT: f64 = 1e9;
/// How long peers may take to find each other, and a segment to come.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Segments that each peer fetches.
    #[arg(long, default_value_t = 40)]
    segments: usize,
    /// Peers at once in the second part, and idle ones in the last.
    #[arg(long, default_value_t = 8)]
    peers: usize,
    #[arg(long, default_value_t = 100)]
    idle: usize,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { segments: 40, peers: 8, idle: 100 }
    }
}

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

/// A peer of ours in this process.
struct Peer {
    node: Node,
    stop: Shutdown,
}

const SERVER: &str = "bench-node-0000-0000-0000-0000000000";

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

impl Peer {
    /// Starts a peer and waits for its channel to the node.
    async fn start(signal: &str, number: usize) -> Result<Self, Error> {
        let signal = Url::parse(&format!("ws://{signal}/uid/")).map_err(|error| Error::Answer(error.to_string()))?;
        let mut config = Config::new(format!("bench-peer-{number:025}"), signal);
        config.rtc.listen = vec![([127, 0, 0, 1], 0).into()];
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

    /// Fetches segments in a row; gives how many were wrong or missing.
    async fn fetch(&self, layout: &Layout, count: usize) -> usize {
        let mut wrong = 0;
        for index in 0..count {
            let key = Key::new(format!("{VID}:{ITAG}"), index as u64);
            let got = self.node.fetch(key, PATIENCE).await;
            // Comparing a piece is enough to see a chunk in a wrong place, and costs the machine less than all of it.
            let right = got.is_some_and(|got| {
                let expected = layout.length(index);
                got.len() == expected && (0..expected).step_by(997).all(|at| got.get(at) == Some(&layout.at(index, at)))
            });
            wrong += usize::from(!right);
        }
        wrong
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    line("\nchunk node");
    let mut lengths = vec![SEGMENT; arguments.segments];
    lengths.push(SMALL);
    let layout = Layout::new(lengths)?;
    let files = origin::serve(layout.clone()).await?;
    let signal = Process::listening("cdn-node", &["signal", "--listen", "127.0.0.1:0"]).await?;
    let config = std::env::temp_dir().join(format!("sluicegate-bench-{}.toml", std::process::id()));
    let text = format!(
        "base_url = ['http://{files}']\n[swarm]\nid = '{SERVER}'\nsignal = 'ws://{}/uid/'\nlisten = ['127.0.0.1:0']\n",
        signal.address
    );
    std::fs::write(&config, text).doing("writing a configuration")?;
    let own = ["-h", "127.0.0.1", "-p", "0", "--config", &config.display().to_string()];
    let started = Process::listening("cdn-node", &own).await;
    // The program has read it.
    let _ = std::fs::remove_file(&config);
    let node = started?;
    let mut client = Client::connect(&node.address).await?;
    for index in 0..=arguments.segments {
        let path = format!("/video/{VID}/{ITAG}/{index}.sha256");
        let answer = client.ask(&path, &[]).await?;
        if answer.status != 200 {
            return Err(Error::Answer(format!("{} for {path}", answer.status)));
        }
    }
    row("resident memory with 25 MB of segments cached", node.usage()?.resident / 1024.0, "MB", None);
    // First, because what transfers leave behind would be taken for the peers' own.
    idle(&node, &signal.address, arguments).await?;
    one(&node, &signal.address, &layout, arguments).await?;
    many(&node, &signal.address, &layout, arguments).await?;
    row("resident memory after it all", node.usage()?.resident / 1024.0, "MB", Some(150.0));
    Ok(())
}

async fn one(node: &Process, signal: &str, layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let mut times = Vec::new();
    for number in 0..20 {
        let start = Instant::now();
        let peer = Peer::start(signal, number).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        peer.stop.begin();
        peer.stop.drained(PATIENCE).await;
    }
    times.sort_by(f64::total_cmp);
    row("a peer's start to its open channel, p95 of 20", percentile(&times, 95), "ms", Some(50.0));
    let peer = Peer::start(signal, 100).await?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let key = Key::new(format!("{VID}:{ITAG}"), arguments.segments as u64);
        if peer.node.fetch(key, PATIENCE).await.is_some() {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    row("query, found, resolve and one chunk, p95 of 50", percentile(&times, 95), "ms", Some(5.0));
    let (used, start) = (node.usage()?, Instant::now());
    let wrong = peer.fetch(layout, arguments.segments).await;
    report(node, "one peer", used.cpu, start, arguments.segments, wrong)?;
    peer.stop.begin();
    Ok(())
}

async fn many(node: &Process, signal: &str, layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let mut peers = Vec::new();
    for number in 0..arguments.peers {
        peers.push(Peer::start(signal, 200 + number).await?);
    }
    let (used, start) = (node.usage()?, Instant::now());
    let wrong = join_all(peers.iter().map(|peer| peer.fetch(layout, arguments.segments))).await;
    let what = format!("{} peers", arguments.peers);
    report(node, &what, used.cpu, start, arguments.segments * arguments.peers, wrong.iter().sum())?;
    peers.iter().for_each(|peer| peer.stop.begin());
    Ok(())
}

fn report(node: &Process, what: &str, cpu: f64, start: Instant, segments: usize, wrong: usize) -> Result<(), Error> {
    let time = start.elapsed().as_secs_f64();
    let bits = segments as f64 * f64::from(SEGMENT) * 8.0;
    let rate = bits / time / 1e6;
    let verdict = if rate >= 500.0 { "reached (aim >= 500 Mbit/s)" } else { "NOT REACHED (aim >= 500 Mbit/s)" };
    line(&format!("{:<58} {rate:>10.3} Mbit/s   {verdict}", format!("{what}, segments of 0.63 MB in a row")));
    row(&format!("{what}, CPU of the node"), (node.usage()?.cpu - cpu) / (bits / BITS_PER_GBIT), "s/Gbit", Some(0.7));
    row(&format!("{what}, segments wrong or missing"), wrong as f64, "", Some(0.0));
    Ok(())
}

async fn idle(node: &Process, signal: &str, arguments: &Arguments) -> Result<(), Error> {
    let before = node.usage()?.resident;
    let mut peers = Vec::new();
    for number in 0..arguments.idle {
        peers.push(Peer::start(signal, 300 + number).await?);
    }
    let each = (node.usage()?.resident - before) / arguments.idle as f64;
    row("an idle peer, memory of the node", each / 1024.0, "MB", Some(0.2));
    peers.iter().for_each(|peer| peer.stop.begin());
    Ok(())
}
