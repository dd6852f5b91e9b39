//! Sessions that outlive their sockets.

use std::time::Duration;

use serde_json::json;
use sluicegate_hub::StreamName;
use sluicegate_wcs::{Config, Permissions, server};

use crate::node::{Node, until};
use crate::page::Page;

fn is_live(node: &Node, name: &str) -> bool {
    node.hub.stream(&StreamName::parse(name).unwrap()).is_some_and(|status| status.publisher.is_some())
}

#[tokio::test]
async fn a_client_comes_back_to_its_streams() {
    let node = Node::start().await;
    let (mut page, token) = Page::kept(&node.uri(), None).await;
    assert!(token.len() > 32 && token.starts_with("/127.0.0.1:"), "{token}");
    page.publish("p", "door").await;
    let mut player = Page::open(&node.uri()).await;
    player.play("v", "door").await;
    drop(page);
    // Who has another name, or asks for nothing to be kept, has a session of its own.
    let (_stranger, other) = Page::kept(&node.uri(), Some("/127.0.0.1:1/host/00000000000000000000000000000000")).await;
    assert_ne!(other, token);
    let (mut page, again) = Page::kept(&node.uri(), Some(&token)).await;
    assert_eq!((again.as_str(), page.status().await), (token.as_str(), ["p", "PUBLISHING", ""].map(str::to_owned)));
    assert!(is_live(&node, "door"));
    assert_eq!(node.post("connection/find", &json!({ "streams": 1 })).await.json().as_array().unwrap().len(), 2);
    // The socket before is not known to be lost yet.
    let (mut newer, _) = Page::kept(&node.uri(), Some(&token)).await;
    assert_eq!(newer.status().await[1], "PUBLISHING");
    page.ended().await;
    newer.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
    assert_eq!(newer.status().await, ["p", "UNPUBLISHED", ""]);
    assert_eq!(player.status().await[1], "STOPPED");
    drop(newer);
    until("the session's end", async || (node.service.clients() == 2).then_some(())).await;
}

#[tokio::test]
async fn who_does_not_come_back_is_given_up() {
    let session = server::Config { keep: Duration::from_millis(300), ..server::Config::default() };
    let node = Node::with(Config { session, ..Config::default() }, Permissions::ALL).await;
    let (mut page, _) = Page::kept(&node.uri(), None).await;
    page.publish("p", "door").await;
    drop(page);
    until("the session's end", async || (node.service.clients() == 0).then_some(())).await;
    until("the stream's end", async || (!is_live(&node, "door")).then_some(())).await;
    // One whose media ends meanwhile does not wait.
    let node = Node::start().await;
    let (mut page, token) = Page::kept(&node.uri(), None).await;
    page.publish("p", "door").await;
    drop(page);
    assert_eq!(node.post("stream/terminate", &json!({ "name": "door" })).await.status, 200);
    until("the session's end", async || (node.service.clients() == 0).then_some(())).await;
    let (_page, fresh) = Page::kept(&node.uri(), Some(&token)).await;
    assert_ne!(fresh, token);
}
