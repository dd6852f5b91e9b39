//! A node whose cache is full and whose peers are all busy: what it takes with the default budgets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use super::origin::{self, Layout, SEGMENT};
use super::peer::Peer;
use super::{load, settings, with_config};
use crate::client::Client;
use crate::error::Error;
use crate::process::Process;
use crate::report::row;

/// Segments of 75 MB together, where 48 MiB are kept; those that the peers fetch are the last 25 MB.
const SEGMENTS: usize = 120;
const FETCHED: usize = 40;
const PEERS: usize = 32;
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(signal: &str) -> Result<(), Error> {
    let layout = Layout::even(SEGMENTS)?;
    let origin = origin::serve(layout.clone(), "127.0.0.1:0").await?;
    let text = settings(&origin, signal, "127.0.0.1");
    let node = with_config(&text, async |config| {
        Process::listening("cdn-node", &["-h", "127.0.0.1", "-p", "0", "--config", config]).await
    });
    let node = node.await?;
    load(Client::connect(&node.address).await?, SEGMENTS).await?;
    let mut peers = Vec::new();
    for number in 0..PEERS {
        peers.push(Peer::loopback(signal, 500 + number).await?);
    }
    let done = AtomicBool::new(false);
    let watch = async {
        let mut most = 0.0_f64;
        while !done.load(Ordering::Relaxed) {
            most = most.max(node.usage()?.resident);
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, Error>(most)
    };
    let fetch = async {
        // Each begins elsewhere, so that all of what is kept is on its way at once.
        let all = peers.iter().enumerate().map(|(number, peer)| {
            let indexes = (0..FETCHED).map(move |at| SEGMENTS - FETCHED + (number + at) % FETCHED);
            peer.fetch(&layout, indexes)
        });
        let wrong: usize = join_all(all).await.iter().sum();
        done.store(true, Ordering::Relaxed);
        wrong
    };
    let (most, wrong) = tokio::join!(watch, fetch);
    let gigabytes = (PEERS * FETCHED) as f64 * f64::from(SEGMENT) / 1e9;
    row(
        &format!("a full cache and {PEERS} busy peers, {gigabytes:.1} GB: memory at most"),
        most? / 1024.0,
        "MB",
        Some(150.0),
    );
    row(&format!("{PEERS} busy peers, segments wrong or missing"), wrong as f64, "", Some(0.0));
    peers.iter().for_each(|peer| peer.stop.begin());
    Ok(())
}
