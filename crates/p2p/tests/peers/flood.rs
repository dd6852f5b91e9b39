//! A peer that asks without end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use sluicegate_p2p::chunk::Key;
use sluicegate_p2p::strands;
use sluicegate_rtc_driver::{Endpoint, Options};

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

/// Its offers of further connections come faster than the node can make them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_offers_gets_what_one_peer_may_have() {
    let stage = Stage::new().await;
    let mut config = stage.config(NODE);
    config.strands = strands::Limits { each: 2, all: 8, ..strands::Limits::default() };
    let (_node, _stop) = stage.start(config, Arc::default());
    stage.holds(1).await;
    let mut rude = Existing::join(&stage.address, "rudeeeee-0000-0000-0000-rudeeeeeeeee").await;
    let flood = rude.answers().await;
    let (now, address) = (Instant::now(), "127.0.0.1:9".parse().unwrap());
    let mut nobody = Endpoint::new(now, Arc::default(), vec![vec![address]]).unwrap();
    let (_, sdp) = nobody.offer(now, &Options::channel("dc")).unwrap();
    flood.send_text(&json!({"event": "hello", "data": {"v": 1, "strands": 0}}).to_string()).await.unwrap();
    for strand in 0..8 {
        let offer = json!({"event": "offer", "data": {"strand": strand, "sdp": sdp}});
        flood.send_text(&offer.to_string()).await.unwrap();
    }
    let mut taken = 0;
    for _ in 0..8 {
        let answer = text(&flood).await;
        assert_eq!(answer["event"], "answer");
        taken += usize::from(answer["data"]["sdp"].is_string());
    }
    assert_eq!(taken, 2);
}
