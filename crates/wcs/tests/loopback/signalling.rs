//! What pages hear.

use std::time::Duration;

use serde_json::json;
use sluicegate_hub::StreamName;
use sluicegate_wcs::media::{Event, Failure};
use sluicegate_wcs::{Config, Permissions, info, server};

use crate::node::{Node, call, until};
use crate::page::Page;

#[tokio::test]
async fn pages_publish_and_play_on_any_path_of_the_port_and_one_of_the_main_port() {
    let node = Node::start().await;
    for url in [node.uri(), format!("{}/any/path", node.uri()), format!("ws://{}/websocket", node.main)] {
        let mut page = Page::open(&url).await;
        page.publish("p", "door").await;
        page.play("v", "door").await;
        page.send("stopStream", &json!({ "mediaSessionId": "v" })).await;
        assert_eq!(page.status().await, ["v", "STOPPED", info::STOPPED_BY_USER]);
        page.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
        assert_eq!(page.status().await, ["p", "UNPUBLISHED", ""]);
        let name = StreamName::parse("door").unwrap();
        assert!(node.hub.stream(&name).is_none_or(|status| status.publisher.is_none()), "its name is free");
    }
    assert_eq!(call("GET", node.port, "/", "").await.status, 404);
}

#[tokio::test]
async fn players_hear_of_their_publishers_end() {
    let node = Node::start().await;
    let mut publisher = Page::open(&node.uri()).await;
    publisher.publish("p", "door").await;
    let mut player = Page::open(&node.uri()).await;
    player.play("v", "door").await;
    publisher.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
    assert_eq!(player.status().await, ["v", "STOPPED", info::STOPPED_BY_PUBLISHER]);
    assert_eq!(publisher.status().await, ["p", "UNPUBLISHED", ""]);

    publisher.publish("p2", "door").await;
    player.play("v2", "door").await;
    drop(publisher);
    assert_eq!(player.status().await, ["v2", "STOPPED", info::STOPPED_BY_SESSION]);
    until("the session's end", async || (node.service.clients() == 1).then_some(())).await;
}

#[tokio::test]
async fn what_cannot_be_fails_with_its_reason() {
    let node = Node::start().await;
    let mut page = Page::open(&node.uri()).await;
    page.ask("playStream", "a", "nobody", "offer").await;
    assert_eq!(page.status().await, ["a", "FAILED", info::STREAM_NOT_FOUND]);
    page.ask("playStream", "b", "rtsp://host/no name", "offer").await;
    assert_eq!(page.status().await, ["b", "FAILED", info::STREAM_NOT_FOUND]);
    page.ask("publishStream", "c", "no name", "offer").await;
    assert_eq!(page.status().await, ["c", "FAILED", info::FAILED]);
    page.publish("p", "door").await;
    let mut second = Page::open(&node.uri()).await;
    second.ask("publishStream", "q", "door", "offer").await;
    assert_eq!(second.status().await, ["q", "FAILED", info::NAME_IN_USE]);
    second.ask("playStream", "p", "door", "offer").await;
    assert_eq!(second.status().await, ["p", "FAILED", info::SESSION_ID_IN_USE]);
    // Media that ends by itself.
    let control = node.engine.sessions.lock().unwrap()[0].clone();
    let lost = Failure::failed(info::FAILED_BY_ICE_KEEP_ALIVE, "gone");
    control.events.send(Event::Ended(lost)).await.unwrap();
    assert_eq!(page.status().await, ["p", "FAILED", info::FAILED_BY_ICE_KEEP_ALIVE]);
    let name = StreamName::parse("door").unwrap();
    until("the name's freedom", async || {
        node.hub.stream(&name).is_none_or(|status| status.publisher.is_none()).then_some(())
    })
    .await;
    page.publish("p", "door").await;
}

#[tokio::test]
async fn a_publisher_without_media_fails_in_time() {
    let session = server::Config { connect: Duration::from_millis(50), ..server::Config::default() };
    let node = Node::with(Config { session, ..Config::default() }, Permissions::ALL).await;
    let mut page = Page::open(&node.uri()).await;
    page.ask("publishStream", "p", "door", "silent").await;
    page.message("setRemoteSDP").await;
    assert_eq!(page.status().await, ["p", "FAILED", info::FAILED_BY_ICE_TIMEOUT]);
}

#[tokio::test]
async fn access_rules_are_told_by_status() {
    let node = Node::with(Config::default(), Permissions { publish: false, ..Permissions::ALL }).await;
    let _publisher = node.publish("door");
    let mut page = Page::open(&node.uri()).await;
    page.ask("publishStream", "p", "mine", "offer").await;
    assert_eq!(page.status().await, ["p", "FAILED", info::RESTRICTED]);
    page.play("v", "door").await;
}

#[tokio::test]
async fn pages_ask_and_tell() {
    let node = Node::start().await;
    let mut publisher = Page::open(&node.uri()).await;
    publisher.send("availableStream", &json!({ "mediaSessionId": "q", "name": "door" })).await;
    assert_eq!(publisher.hear("availableStream").await["status"], "false");
    publisher.publish("p", "door").await;
    publisher.send("availableStream", &json!({ "mediaSessionId": "q", "name": "door" })).await;
    assert_eq!(publisher.hear("availableStream").await, json!({ "id": "q", "status": "true" }));
    let mut player = Page::open(&node.uri()).await;
    player.play("v", "door").await;
    let event = json!({ "mediaSessionId": "p", "type": "data", "payload": { "count": 23 } });
    publisher.send("sendStreamEvent", &event).await;
    let told = json!({ "mediaSessionId": "v", "type": "data", "payload": { "count": 23 } });
    assert_eq!(player.hear("notifyStreamEvent").await, told);
    publisher.send("sendData", &json!({ "operationId": "o", "payload": {} })).await;
    assert_eq!(publisher.hear("DataStatusEvent").await["status"], "ACCEPTED");
}

#[tokio::test]
async fn nonsense_is_skipped_and_a_client_without_a_greeting_left() {
    let session = server::Config { connection: Duration::from_millis(100), ..server::Config::default() };
    let node = Node::with(Config { session, ..Config::default() }, Permissions::ALL).await;
    let mut page = Page::open(&node.uri()).await;
    for text in ["", "{", "[]", r#"{"message":"publishStream","data":[7]}"#, r#"{"message":"fly","data":[]}"#] {
        page.text(text).await;
    }
    page.publish("p", "door").await;
    let mut silent = Page::socket(&node.uri()).await;
    silent.ended().await;
    let mut long = Page::open(&node.uri()).await;
    long.too_much(200 << 10).await;
    long.ended().await;
}
