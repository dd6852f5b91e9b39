//! The chunk node: segments to one and to many nodes by data channel, how soon they come, what a peer costs.

mod far;
mod full;
pub(crate) mod origin;
mod page;
pub(crate) mod peer;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sluicegate_p2p::chunk::Key;

use crate::client::Client;
use crate::error::{Doing, Error};
use crate::process::Process;
use crate::report::{at_least, line, percentile, row};
use origin::{ITAG, Layout, SEGMENT, VID};
use peer::Peer;

const BITS_PER_GBIT: f64 = 1e9;
/// How long peers may take to find each other, and a segment to come.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// Only the links with delay and loss, and Chromium.
    #[arg(long)]
    far: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { segments: 40, peers: 8, idle: 100, far: false }
    }
}

const SERVER: &str = "bench-node-0000-0000-0000-0000000000";

pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    line("\nchunk node");
    if !arguments.far {
        near(arguments).await?;
    }
    far::run().await
}

/// What is measured on loopback.
async fn near(arguments: &Arguments) -> Result<(), Error> {
    let layout = Layout::even(arguments.segments)?;
    let files = origin::serve(layout.clone(), "127.0.0.1:0").await?;
    let signal = Process::listening("cdn-node", &["signal", "--listen", "127.0.0.1:0"]).await?;
    let text = settings(&files, &signal.address, "127.0.0.1");
    let node = with_config(&text, async |config| {
        Process::listening("cdn-node", &["-h", "127.0.0.1", "-p", "0", "--config", config]).await
    });
    let node = node.await?;
    load(Client::connect(&node.address).await?, arguments.segments).await?;
    row("resident memory with 25 MB of segments cached", node.usage()?.resident / 1024.0, "MB", None);
    // First, because what transfers leave behind would be taken for the peers' own.
    idle(&node, &signal.address, arguments).await?;
    one(&node, &signal.address, &layout, arguments).await?;
    many(&node, &signal.address, &layout, arguments).await?;
    row("resident memory after it all", node.usage()?.resident / 1024.0, "MB", Some(150.0));
    drop(node);
    full::run(&signal.address).await
}

/// Lets a node load all segments.
async fn load(mut client: Client, segments: usize) -> Result<(), Error> {
    for index in 0..=segments {
        let path = format!("/video/{VID}/{ITAG}/{index}.sha256");
        let answer = client.ask(&path, &[]).await?;
        if answer.status != 200 {
            return Err(Error::Answer(format!("{} for {path}", answer.status)));
        }
    }
    Ok(())
}

/// The configuration of the node under measurement.
fn settings(origin: &str, signal: &str, host: &str) -> String {
    format!(
        "base_url = ['http://{origin}']\n[swarm]\nid = '{SERVER}'\nsignal = 'ws://{signal}/uid/'\nlisten = ['{host}:0']\n"
    )
}

/// Starts something that reads a configuration.
async fn with_config<T>(text: &str, start: impl AsyncFnOnce(&str) -> Result<T, Error>) -> Result<T, Error> {
    let path = std::env::temp_dir().join(format!("sluicegate-bench-{}.toml", std::process::id()));
    std::fs::write(&path, text).doing("writing a configuration")?;
    let started = start(&path.display().to_string()).await;
    // The program has read it.
    let _ = std::fs::remove_file(&path);
    started
}

async fn one(node: &Process, signal: &str, layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let mut times = Vec::new();
    for number in 0..20 {
        let start = Instant::now();
        let peer = Peer::loopback(signal, number).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        peer.stop.begin();
        peer.stop.drained(PATIENCE).await;
    }
    times.sort_by(f64::total_cmp);
    row("a peer's start to its open channel, p95 of 20", percentile(&times, 95), "ms", Some(50.0));
    let peer = Peer::loopback(signal, 100).await?;
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
    let wrong = peer.fetch(layout, 0..arguments.segments).await;
    report(node, "one peer", used.cpu, start, arguments.segments, wrong)?;
    peer.stop.begin();
    Ok(())
}

async fn many(node: &Process, signal: &str, layout: &Layout, arguments: &Arguments) -> Result<(), Error> {
    let mut peers = Vec::new();
    for number in 0..arguments.peers {
        peers.push(Peer::loopback(signal, 200 + number).await?);
    }
    let (used, start) = (node.usage()?, Instant::now());
    let wrong = join_all(peers.iter().map(|peer| peer.fetch(layout, 0..arguments.segments))).await;
    let what = format!("{} peers", arguments.peers);
    report(node, &what, used.cpu, start, arguments.segments * arguments.peers, wrong.iter().sum())?;
    peers.iter().for_each(|peer| peer.stop.begin());
    Ok(())
}

fn report(node: &Process, what: &str, cpu: f64, start: Instant, segments: usize, wrong: usize) -> Result<(), Error> {
    let time = start.elapsed().as_secs_f64();
    let bits = segments as f64 * f64::from(SEGMENT) * 8.0;
    let rate = bits / time / 1e6;
    at_least(&format!("{what}, segments of 0.63 MB in a row"), rate, "Mbit/s", 500.0);
    row(&format!("{what}, CPU of the node"), (node.usage()?.cpu - cpu) / (bits / BITS_PER_GBIT), "s/Gbit", Some(0.7));
    row(&format!("{what}, segments wrong or missing"), wrong as f64, "", Some(0.0));
    Ok(())
}

async fn idle(node: &Process, signal: &str, arguments: &Arguments) -> Result<(), Error> {
    let before = node.usage()?.resident;
    let mut peers = Vec::new();
    for number in 0..arguments.idle {
        peers.push(Peer::loopback(signal, 300 + number).await?);
    }
    let each = (node.usage()?.resident - before) / arguments.idle as f64;
    row("an idle peer, memory of the node", each / 1024.0, "MB", Some(0.2));
    peers.iter().for_each(|peer| peer.stop.begin());
    Ok(())
}
