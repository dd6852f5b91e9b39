//! Nodes of ours with each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_p2p::chunk::Key;
use sluicegate_p2p::node::{Node, Peers};
use sluicegate_p2p::pacer::Kind;

use crate::stage::{FOUND, Shelf, Stage, bytes, connected, until, within};

const A: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const B: &str = "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb";
const ID: &str = "testvideo01:134";

fn is_node(node: &Node) -> bool {
    matches!(node.peers()[0].kind, Kind::Node { .. })
}

fn uid(number: usize) -> String {
    format!("node-{number:031}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_fetches_from_another() {
    let stage = Stage::new().await;
    let lengths = [1, 51_200, 51_201, 630_000, 12_000_000];
    let segments: Vec<(&str, u64, usize)> = (0..).zip(lengths).map(|(index, length)| (ID, index, length)).collect();
    let (server, _stop) = stage.node(A, Shelf::with(&segments));
    stage.holds(1).await;
    let (node, _stop) = stage.node(B, Shelf::default());
    connected(&node, 1).await;
    connected(&server, 1).await;
    until("hello", || is_node(&node) && is_node(&server)).await;
    for (id, index, length) in segments {
        let key = Key::new(id, index);
        let start = Instant::now();
        let got = within("a segment", node.fetch(key.clone(), FOUND)).await;
        assert!(got == Some(bytes(&key, length)), "{length} bytes");
        println!("{length} bytes in {:?}", start.elapsed());
    }
    assert_eq!(within("an end", node.fetch(Key::new(ID, 99), FOUND)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_fetch_at_once_and_each_gets_its_share() {
    let stage = Stage::new().await;
    let length = 2_000_000;
    let mut config = stage.config(A);
    config.upload = Some(8_000_000);
    let (server, _stop) = stage.start(config, Arc::new(Shelf::with(&[(ID, 0, length)])));
    stage.holds(1).await;
    let nodes: Vec<_> = (0..8).map(|number| stage.node(&uid(number), Shelf::default())).collect();
    connected(&server, 8).await;
    for (node, _) in &nodes {
        connected(node, 8).await;
    }
    let start = Instant::now();
    let fetching = nodes.iter().map(|(node, _)| {
        let node = node.clone();
        tokio::spawn(async move { (node.fetch(Key::new(ID, 0), FOUND).await, start.elapsed()) })
    });
    let mut times = Vec::new();
    for fetching in fetching.collect::<Vec<_>>() {
        let (got, time) = within("a segment", fetching).await.unwrap();
        assert!(got == Some(bytes(&Key::new(ID, 0), length)));
        times.push(time);
    }
    // Sixteen million bytes at eight million a second at most, in equal shares.
    let (least, most) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    assert!(least > Duration::from_millis(1_500) && most < 2 * least, "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_again_after_the_signalling_server_was_away() {
    let stage = Stage::new().await;
    let (first, _stop) = stage.node(A, Shelf::with(&[(ID, 0, 1000)]));
    stage.holds(1).await;
    let (second, stop) = stage.node(B, Shelf::default());
    connected(&second, 1).await;
    // One ends and comes again at once under the same name.
    stop.begin();
    until("nobody", || first.peers().is_empty()).await;
    let (second, _stop) = stage.node(B, Shelf::default());
    connected(&second, 1).await;
    assert!(within("a segment", second.fetch(Key::new(ID, 0), FOUND)).await.is_some());
    // Without signalling the channel stays.
    stage.shutdown.begin();
    assert!(within("a segment", second.fetch(Key::new(ID, 0), FOUND)).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_room_for_so_many_peers() {
    let stage = Stage::new().await;
    let mut config = stage.config(A);
    config.peers = 2;
    let (server, _stop) = stage.start(config, Arc::new(Shelf::default()));
    stage.holds(1).await;
    let nodes: Vec<_> = (0..4).map(|number| stage.node(&uid(number), Shelf::default())).collect();
    // Each of the four has the other three, and two of them the server.
    connected(&server, 2).await;
    until("the others", || {
        nodes.iter().map(|(node, _)| node.peers().iter().filter(|peer| peer.label.is_some()).count()).sum::<usize>()
            == 14
    })
    .await;
    assert_eq!(server.peers().len(), 2);
}
