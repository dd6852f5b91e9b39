//! The node among existing peers.

use serde_json::json;
use sluicegate_p2p::chunk::Key;
use sluicegate_p2p::node::Peers;

use crate::existing::{Came, Existing, came, say, segment, send, text};
use crate::stage::{FOUND, Shelf, Stage, bytes, connected, until, within};

const NODE: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const PEER: &str = "huyod7ue-1yy9-1qwt-9m0e-a3hb3o3i0tfi";
const OTHER: &str = "lrxzah1o-3ynp-rh85-oaz9-3qgm9w2suwme";
const ID: &str = "testvideo01:134";

fn shelf() -> Shelf {
    // The second is longer than what an existing node can send at all.
    Shelf::with(&[(ID, 0, 668_753), (ID, 1, 3_700_000), (ID, 2, 614_487), ("testvideo01xxxx:134", 0, 60)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_existing_newcomer_is_called_and_served() {
    let stage = Stage::new().await;
    let (node, _stop) = stage.node(NODE, shelf());
    stage.holds(1).await;
    let mut peer = Existing::join(&stage.address, PEER).await;
    let channel = peer.answers().await;
    assert_eq!(came(&channel).await, Came::Text(json!({"event": "ping"})));
    channel.send_text("{\"event\":\"ping\"}").await.unwrap();
    assert_eq!(text(&channel).await, json!({"event": "pong"}));
    for (index, length) in [(0, 668_753), (1, 3_700_000), (2, 614_487)] {
        say(&channel, "query", ID, index).await;
        assert_eq!(text(&channel).await, json!({"event": "found", "data": {"id": ID, "index": index}}));
        say(&channel, "resolve", ID, index).await;
        let got = segment(&channel, &format!("{ID}|{index}")).await;
        assert!(got == bytes(&Key::new(ID, index), length), "segment {index}");
    }
    let shown = node.peers();
    assert_eq!((shown.len(), shown[0].uid.as_str(), shown[0].state), (1, PEER, "connected"));
    assert!(shown[0].sent > 4_900_000 && shown[0].received > 0, "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_messages_are_harmless_and_only_what_exists_is_found() {
    let stage = Stage::new().await;
    let (_node, _stop) = stage.node(NODE, shelf());
    stage.holds(1).await;
    let mut peer = Existing::join(&stage.address, PEER).await;
    let channel = peer.answers().await;
    // As recorded of an existing node, which says found to the numbers and falls silent afterwards.
    for odd in [
        "not json at all",
        "{\"event\":\"nosuch\",\"data\":{}}",
        "{\"event\":\"query\"}",
        "[]",
        "123",
        "null",
        "{\"event\":{\"a\":1}}",
        "{\"event\":\"quit\"}",
    ] {
        channel.send_text(odd).await.unwrap();
    }
    channel.send(bytes::BytesMut::from(&[0xDE, 0xAD, 0xBE, 0xEF][..])).await.unwrap();
    for id in ["", "testvideo01", "testvideo01:134:1", "testvideo01:999", "../../etc/pw:134", "testvideo01xxxxyyyyyy:1"]
    {
        say(&channel, "query", id, 0).await;
        say(&channel, "resolve", id, 0).await;
    }
    for index in [3, 99_999_999, u64::MAX] {
        say(&channel, "query", ID, index).await;
        say(&channel, "resolve", ID, index).await;
    }
    channel.send_text("{\"event\":\"query\",\"data\":{\"id\":\"testvideo01:134\",\"index\":\"2\"}}").await.unwrap();
    assert_eq!(text(&channel).await, json!({"event": "found", "data": {"id": ID, "index": 2}}));
    channel.send_text("{\"event\":\"ping\"}").await.unwrap();
    // An existing peer is not told of errors.
    assert_eq!(text(&channel).await, json!({"event": "pong"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quit_stops_the_running_segment() {
    let stage = Stage::new().await;
    let mut config = stage.config(NODE);
    // Slow enough that the end of one segment is far away.
    config.pacing.peer_rate = Some(1_000_000);
    let (_node, _stop) = stage.start(config, std::sync::Arc::new(shelf()));
    stage.holds(1).await;
    let mut peer = Existing::join(&stage.address, PEER).await;
    let channel = peer.answers().await;
    say(&channel, "resolve", ID, 1).await;
    let Came::Chunk(head, _) = within("a chunk", async {
        loop {
            if let chunk @ Came::Chunk(..) = came(&channel).await {
                return chunk;
            }
        }
    })
    .await
    else {
        panic!()
    };
    assert_eq!(head, "[\"testvideo01:134|1\",0,73]    ");
    say(&channel, "quit", ID, 1).await;
    say(&channel, "resolve", ID, 2).await;
    let mut more = 0;
    loop {
        match came(&channel).await {
            Came::Chunk(head, _) if head.contains("|1\"") => more += 1,
            Came::Chunk(head, _) => break assert_eq!(head, "[\"testvideo01:134|2\",0,13]    "),
            Came::Text(_) => {}
        }
    }
    // What was on its way.
    assert!(more <= 3, "{more}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_later_is_called_and_fetches() {
    let stage = Stage::new().await;
    let mut peer = Existing::join(&stage.address, PEER).await;
    let (node, _stop) = stage.node(NODE, Shelf::default());
    let channel = peer.calls().await;
    connected(&node, 1).await;
    let key = Key::new(ID, 7);
    let fetching = tokio::spawn({
        let (node, key) = (node.clone(), key.clone());
        async move { node.fetch(key, FOUND).await }
    });
    let query = json!({"event": "query", "data": {"id": ID, "index": 7, "cached": true}});
    assert_eq!(text(&channel).await, query);
    say(&channel, "found", ID, 7).await;
    assert_eq!(text(&channel).await, json!({"event": "resolve", "data": {"id": ID, "index": 7}}));
    let whole = bytes(&key, 300_000);
    send(&channel, "testvideo01:134|7", &whole).await;
    assert!(within("the segment", fetching).await.unwrap() == Some(whole));
    // Nobody has it: the node does not wait for long.
    assert_eq!(within("an end", node.fetch(Key::new(ID, 8), FOUND)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_again_gets_a_new_connection() {
    let stage = Stage::new().await;
    let (node, _stop) = stage.node(NODE, shelf());
    stage.holds(1).await;
    let mut first = Existing::join(&stage.address, PEER).await;
    let channel = first.answers().await;
    connected(&node, 1).await;
    say(&channel, "query", ID, 0).await;
    text(&channel).await;
    // The same uid from another program while the first one is silent but not gone.
    let before = node.peers()[0].number;
    let mut second = Existing::join(&stage.address, PEER).await;
    let channel = second.answers().await;
    say(&channel, "query", ID, 0).await;
    assert_eq!(text(&channel).await["event"], "found");
    assert!(node.peers().len() == 1 && node.peers()[0].number > before);
    // A goodbye frees everything.
    second.leaves().await;
    until("nobody", || node.peers().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_never_comes_delays_nobody() {
    let stage = Stage::new().await;
    let hanging = Shelf { hangs: Some("hangs0000001:1".to_owned()), ..shelf() };
    let (_node, _stop) = stage.node(NODE, hanging);
    stage.holds(1).await;
    let mut peer = Existing::join(&stage.address, PEER).await;
    let channel = peer.answers().await;
    let mut other = Existing::join(&stage.address, OTHER).await;
    let second = other.answers().await;
    say(&channel, "query", "hangs0000001:1", 0).await;
    say(&channel, "resolve", "hangs0000001:1", 0).await;
    for channel in [&channel, &second] {
        say(channel, "query", ID, 0).await;
        assert_eq!(text(channel).await["event"], "found");
        say(channel, "resolve", ID, 0).await;
        assert!(segment(channel, "testvideo01:134|0").await == bytes(&Key::new(ID, 0), 668_753));
    }
}
