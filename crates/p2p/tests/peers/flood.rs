//! A peer that asks without end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_p2p::chunk::Key;

use crate::existing::{Existing, say, segment, text};
use crate::stage::{Shelf, Stage, bytes};

const NODE: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const ID: &str = "testvideo01:134";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_nobody_else() {
    let stage = Stage::new().await;
    let shelf = Arc::new(Shelf::with(&[(ID, 0, 668_753)]));
    let (_node, _stop) = stage.start(stage.config(NODE), Arc::clone(&shelf));
    stage.holds(1).await;
    let mut rude = Existing::join(&stage.address, "rudeeeee-0000-0000-0000-rudeeeeeeeee").await;
    let flood = rude.answers().await;
    let flooding = tokio::spawn(async move {
        for index in 0..20_000_u64 {
            // Nothing of what comes back is read.
            let event = if index % 2 == 0 { "query" } else { "resolve" };
            say(&flood, event, ID, index % 3).await;
        }
        flood
    });
    let mut peer = Existing::join(&stage.address, "politeee-0000-0000-0000-politeeeeeee").await;
    let channel = peer.answers().await;
    for _ in 0..10 {
        let asked = Instant::now();
        say(&channel, "query", ID, 0).await;
        assert_eq!(text(&channel).await["event"], "found");
        say(&channel, "resolve", ID, 0).await;
        assert!(segment(&channel, "testvideo01:134|0").await == bytes(&Key::new(ID, 0), 668_753));
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    flooding.abort();
    // What it asks for is loaded only as far as it takes what it gets.
    assert!(shelf.asked.lock().unwrap().len() < 5_000);
}
