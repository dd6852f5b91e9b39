//! Relays between two nodes, and to servers that are not as they should be.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Retry, Spec};
use sluicegate_wcs::info;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::node::{Node, soon, until};
use crate::page::Page;

fn relay(uri: &str, local: &str, remote: &str) -> Value {
    json!({ "uri": uri, "localStreamName": local, "remoteStreamName": remote })
}

async fn is_published(node: &Node, name: &str) -> bool {
    node.post("stream/find", &json!({ "name": name, "published": true })).await.status == 200
}

#[tokio::test]
async fn a_stream_is_pushed_listed_played_and_ended() {
    let (one, two) = (Node::start().await, Node::start().await);
    let mut publisher = Page::open(&one.uri()).await;
    publisher.publish("p", "door").await;
    let push = relay(&one.uri().replace(&one.port.to_string(), &two.port.to_string()), "door", "copy");
    let done = one.post("pull/push", &push).await;
    assert_eq!((done.status, done.body.as_str()), (200, ""));
    assert!(is_published(&two, "copy").await, "it is there when the answer is");
    let listed = one.post("pull/find_all", &Value::Null).await.json();
    let [entry] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    let address = format!("{}/websocket", two.uri());
    assert_eq!((&entry["status"], &entry["uri"]), (&json!("PUBLISHING"), &json!(address)));
    assert_eq!((&entry["localStreamName"], &entry["remoteStreamName"]), (&json!("door"), &json!("copy")));
    let there = two.post("stream/find", &json!({ "mediaSessionId": entry["remoteMediaSessionId"] })).await.json();
    assert_eq!(there[0]["name"], "copy", "the far side knows it by this");
    // The same again, in the other spelling, and another stream to the same name.
    assert_eq!(one.post("pull/push", &relay(&address, "door", "copy")).await.status, 409);
    let _other = one.publish("other");
    assert_eq!(one.post("pull/push", &relay(&two.uri(), "other", "copy")).await.status, 409);
    // Another copy.
    assert_eq!(one.post("pull/push", &relay(&two.uri(), "door", "copy2")).await.status, 200);
    let mut player = Page::open(&two.uri()).await;
    player.play("v", "copy").await;
    // The SDK's module sends no address.
    let ended = one.post("pull/terminate", &json!({ "localStreamName": "door", "remoteStreamName": "copy" })).await;
    assert_eq!((ended.status, ended.body.as_str()), (200, ""));
    assert_eq!(player.status().await, ["v", "STOPPED", info::STOPPED_BY_PUBLISHER]);
    assert!(!is_published(&two, "copy").await && is_published(&two, "copy2").await);
    assert_eq!(one.post("pull/terminate", &relay(&two.uri(), "door", "copy")).await.status, 404);
    assert_eq!(one.post("pull/terminate", &json!({})).await.status, 400);
    // The source's end ends the rest.
    publisher.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
    until("the relay's end", async || (one.post("pull/find_all", &Value::Null).await.status == 404).then_some(()))
        .await;
    until("the copy's end", async || (!is_published(&two, "copy2").await).then_some(())).await;
}

#[tokio::test]
async fn a_stream_is_pulled_and_ends_with_its_source() {
    let (one, two) = (Node::start().await, Node::start().await);
    let mut publisher = Page::open(&one.uri()).await;
    publisher.publish("p", "door").await;
    // By the main port, whose other paths are no WebSockets.
    let uri = format!("ws://{}", one.main);
    assert_eq!(two.post("pull/pull", &relay(&uri, "here", "nobody")).await.status, 404);
    assert_eq!(two.post("pull/pull", &relay(&uri, "here", "door")).await.status, 200);
    assert!(is_published(&two, "here").await);
    assert_eq!(two.post("pull/find_all", &Value::Null).await.json()[0]["status"], "PLAYING");
    assert_eq!(two.post("pull/pull", &relay(&uri, "here", "door")).await.status, 409, "the name is in use");
    // What is ended is over there and here, so that it can be begun again at once.
    for _ in 0..5 {
        assert_eq!(two.post("pull/terminate", &json!({ "localStreamName": "here" })).await.status, 200);
        assert_eq!(two.post("pull/pull", &relay(&uri, "here", "door")).await.status, 200);
    }
    let mut player = Page::open(&two.uri()).await;
    player.play("v", "here").await;
    drop(publisher);
    assert_eq!(player.status().await[..2], ["v", "STOPPED"]);
    until("the relay's end", async || (two.post("pull/find_all", &Value::Null).await.status == 404).then_some(()))
        .await;
    assert!(!is_published(&two, "here").await);
}

#[tokio::test]
async fn what_cannot_be_leaves_nothing() {
    let node = Node::start().await;
    let other = Node::start().await;
    let _publisher = node.publish("door");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = format!("ws://{nobody}");
    for (method, body, status) in [
        ("pull/push", relay(&gone, "door", "x"), 500),
        ("pull/pull", relay(&gone, "x", "door"), 500),
        ("pull/push", relay("ws://no.such.host.invalid", "door", "x"), 500),
        ("pull/push", relay(&gone, "nobody", "x"), 404),
        ("pull/push", relay("http://host", "door", "x"), 400),
        ("pull/push", json!({ "uri": gone }), 400),
        ("pull/push", relay(&gone, "no name", "x"), 400),
        ("pull/pull", relay(&gone, "door", "x"), 409),
        ("pull/push", json!([]), 500),
    ] {
        assert_eq!(node.post(method, &body).await.status, status, "{method} {body}");
    }
    // A name that is taken there.
    let _taken = other.publish("copy");
    assert_eq!(node.post("pull/push", &relay(&other.uri(), "door", "copy")).await.status, 409);
    assert_eq!(node.relays.list(), []);
    assert_eq!(node.post("pull/find_all", &Value::Null).await.status, 404);
    assert!(node.hub.stream(&StreamName::parse("x").unwrap()).is_none());
}

#[tokio::test]
async fn a_server_that_does_not_answer_ends_with_the_relay() {
    let node = Node::with(
        sluicegate_wcs::Config { settle: Duration::from_millis(200), ..sluicegate_wcs::Config::default() },
        sluicegate_wcs::Permissions::ALL,
    )
    .await;
    let _publisher = node.publish("door");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("ws://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut first = tokio_tungstenite::accept_async(tcp).await.unwrap();
        // Says nothing at first; the next is welcomed and asked, and no more.
        while let Some(Ok(_)) = first.next().await {}
        let (tcp, _) = listener.accept().await.unwrap();
        let mut second = tokio_tungstenite::accept_async(tcp).await.unwrap();
        second.next().await.unwrap().unwrap();
        second.send(Message::text(r#"{"message":"getUserData","data":[{}]}"#)).await.unwrap();
        let asked = second.next().await.unwrap().unwrap().into_text().unwrap();
        let asked: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!((&asked["message"], &asked["data"][0]["name"]), (&json!("publishStream"), &json!("x")));
        let told = second.next().await.unwrap().unwrap().into_text().unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["message"], "unPublishStream");
        assert_eq!(told["data"][0]["mediaSessionId"], asked["data"][0]["mediaSessionId"]);
    });
    assert_eq!(node.post("pull/push", &relay(&uri, "door", "x")).await.status, 500);
    assert_eq!(node.relays.list(), []);
    assert_eq!(node.post("pull/push", &relay(&uri, "door", "x")).await.status, 200, "accepted");
    let listed = node.post("pull/find_all", &Value::Null).await.json();
    assert_eq!((&listed[0]["status"], listed[0]["remoteMediaSessionId"].is_string()), (&json!("PENDING"), true));
    assert_eq!(node.post("pull/terminate", &json!({ "uri": uri })).await.status, 200);
    soon("the server", server).await.unwrap();
    assert_eq!(node.relays.list(), []);
}

#[tokio::test]
async fn the_end_of_a_node_is_told() {
    let (one, two) = (Node::start().await, Node::start().await);
    let _publisher = one.publish("door");
    assert_eq!(one.post("pull/push", &relay(&two.uri(), "door", "copy")).await.status, 200);
    let (mut near, mut far) = (Page::open(&one.uri()).await, Page::open(&two.uri()).await);
    far.play("v", "copy").await;
    one.shutdown.begin();
    one.relays.shut_down();
    assert_eq!(near.ended().await, Some(1001));
    assert_eq!(far.status().await, ["v", "STOPPED", info::STOPPED_BY_PUBLISHER]);
    assert!(one.shutdown.drained(Duration::from_secs(5)).await, "its sessions and relays are waited for");
}

#[tokio::test]
async fn a_relay_that_is_tried_again_is_shown_as_failed_with_its_reason() {
    let node = Node::start().await;
    let _publisher = node.publish("door");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let push = Spec::push(StreamName::parse("door").unwrap(), format!("ws://{nobody}"), Retry::Always);
    let (id, _) =
        node.relays.begin(Spec { protocol: Some("wcs".into()), remote: Some("copy".into()), ..push }).unwrap();
    let entry = until("the first failure", async || {
        let listed = node.post("pull/find_all", &Value::Null).await.json();
        (listed[0]["status"] == "FAILED").then(|| listed[0].clone())
    })
    .await;
    assert_eq!((&entry["direction"], &entry["remoteMediaSessionId"]), (&json!("push"), &Value::Null));
    assert!(entry["info"].as_str().unwrap().contains(&nobody.to_string()), "{entry}");
    // Found by either spelling, though it was asked for by another face of the table.
    let filter = json!({ "uri": format!("ws://{nobody}/websocket"), "localMediaSessionId": format!("relay-{id}") });
    assert_eq!(node.post("pull/find", &filter).await.status, 200);
    assert_eq!(node.post("pull/terminate", &filter).await.status, 200);
    assert_eq!(node.relays.list(), []);
}
