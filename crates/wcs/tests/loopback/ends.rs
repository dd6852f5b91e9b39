//! Publishers whose media ends before their sockets say anything: what players, the next publisher and the application
//! hear of it.

use std::time::{Duration, Instant};

use serde_json::json;
use sluicegate_hub::{Hub, StreamName};
use sluicegate_wcs::{Config, Permissions, info, server};

use crate::node::{Node, soon};
use crate::page::Page;

/// A node where the socket of a publisher that says goodbye may take as long as it likes.
async fn patient() -> Node {
    let session = server::Config { parting: Duration::from_secs(3600), ..server::Config::default() };
    Node::with(Config { session, ..Config::default() }, Permissions::ALL).await
}

/// Waits until nobody publishes a name any more.
async fn freed(hub: &Hub, name: &str) {
    let name = StreamName::parse(name).unwrap();
    let free = async {
        while hub.stream(&name).is_some_and(|status| status.publisher.is_some()) {
            tokio::task::yield_now().await;
        }
    };
    soon("the name's freedom", free).await;
}

#[tokio::test]
async fn players_hear_what_the_socket_says() {
    let node = patient().await;
    let (mut near, mut nearer) = (Page::open(&node.uri()).await, Page::open(&node.uri()).await);
    for (number, expected) in [info::STOPPED_BY_PUBLISHER, info::STOPPED_BY_SESSION].into_iter().enumerate() {
        let mut camera = Page::open(&node.uri()).await;
        camera.publish("p", "door").await;
        let media = node.latest();
        let id = format!("v{number}");
        near.play(&id, "door").await;
        nearer.play(&format!("w{number}"), "door").await;
        media.goodbye().await;
        if expected == info::STOPPED_BY_PUBLISHER {
            camera.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
            assert_eq!(camera.status().await, ["p", "UNPUBLISHED", ""]);
        } else {
            drop(camera);
        }
        assert_eq!(near.status().await, [&id, "STOPPED", expected]);
        assert_eq!(nearer.status().await[2], expected);
    }
    // Two players, and nothing of what they played or of who published.
    assert_eq!(node.post("stream/find_all", &json!({})).await.status, 404);
}

#[tokio::test]
async fn the_name_is_free_at_once_and_its_next_players_are_not_meant() {
    let node = patient().await;
    let (mut camera, mut viewer) = (Page::open(&node.uri()).await, Page::open(&node.uri()).await);
    camera.publish("p", "door").await;
    let media = node.latest();
    viewer.play("v", "door").await;
    media.goodbye().await;
    freed(&node.hub, "door").await;
    let mut next = Page::open(&node.uri()).await;
    next.publish("q", "door").await;
    let mut later = Page::open(&node.uri()).await;
    later.play("w", "door").await;
    drop(camera);
    assert_eq!(viewer.status().await, ["v", "STOPPED", info::STOPPED_BY_SESSION]);
    next.send("sendStreamEvent", &json!({ "mediaSessionId": "q", "type": "data", "payload": 1 })).await;
    assert_eq!(later.hear("notifyStreamEvent").await["payload"], 1, "it has not ended");
    drop(next);
    assert_eq!(later.status().await, ["w", "STOPPED", info::STOPPED_BY_SESSION]);
}

#[tokio::test]
async fn who_plays_what_no_client_publishes_does_not_wait() {
    let node = patient().await;
    let publisher = node.publish("door");
    let mut viewer = Page::open(&node.uri()).await;
    viewer.play("v", "door").await;
    publisher.finish();
    assert_eq!(viewer.status().await, ["v", "STOPPED", info::STOPPED_BY_PUBLISHER]);
}

#[tokio::test]
async fn a_publisher_that_says_nothing_more_is_not_waited_for() {
    let node = Node::start().await;
    let (mut camera, mut viewer) = (Page::open(&node.uri()).await, Page::open(&node.uri()).await);
    camera.publish("p", "door").await;
    let media = node.latest();
    viewer.play("v", "door").await;
    let began = Instant::now();
    media.goodbye().await;
    assert_eq!(viewer.status().await, ["v", "STOPPED", info::STOPPED_BY_PUBLISHER]);
    assert!(began.elapsed() >= server::Config::default().parting);
    assert_eq!(camera.status().await, ["p", "UNPUBLISHED", ""]);
    camera.publish("p", "door").await;
}
