//! What tools get of the lists and commands that concern streams and clients.

use serde_json::json;
use sluicegate_hub::Reason;
use sluicegate_wcs::{Config, Permissions, info};

use crate::node::{Node, call, until};
use crate::page::Page;

#[tokio::test]
async fn lists_are_arrays_and_nothing_is_not_found() {
    let node = Node::start().await;
    for method in [
        "pull/find_all",
        "pull/find",
        "push/find_all",
        "rtsp/find_all",
        "stream/find_all",
        "stream/find",
        "connection/find_all",
    ] {
        for (verb, address) in [("GET", node.main), ("POST", node.main), ("POST", node.port)] {
            let answer = call(verb, address, &format!("/rest-api/{method}"), "").await;
            assert_eq!(answer.status, 404, "{verb} {method}");
            assert_eq!(answer.json()["path"], format!("/rest-api/{method}"));
            assert!(answer.head.contains("access-control-allow-origin: *"), "{}", answer.head);
        }
    }
    assert_eq!(call("GET", node.main, "/rest-api/pull/push", "").await.status, 405);
    assert_eq!(call("POST", node.main, "/rest-api/no/such", "{}").await.status, 404);
    assert_eq!(call("POST", node.main, "/rest-api/stream/find", "{").await.status, 500);
    assert_eq!(call("POST", node.main, "/rest-api/stream/find", &" ".repeat(70 << 10)).await.status, 413);
    let preflight = call("OPTIONS", node.main, "/rest-api/pull/push", "").await;
    assert_eq!((preflight.status, preflight.body.as_str()), (200, ""));
    assert!(preflight.head.contains("access-control-allow-origin: *"), "{}", preflight.head);
    assert!(preflight.head.contains("access-control-allow-headers: content-type"), "{}", preflight.head);
}

#[tokio::test]
async fn figures_are_told_to_those_who_may_know() {
    let node = Node::start().await;
    let mut page = Page::open(&node.uri()).await;
    page.publish("p", "door").await;
    page.play("v", "door").await;
    let _other = node.publish("by/another");
    let answer = call("GET", node.port, "/?action=stat", "").await;
    assert_eq!(answer.status, 200);
    let lines: Vec<&str> = answer.body.lines().collect();
    for line in ["-----Connection Stats-----", "connections_websocket=1", "streams_webrtc_in=2", "relays=0"] {
        assert!(lines.contains(&line), "{line}: {}", answer.body);
    }
    assert!(answer.body.contains("\nstreams_viewers=by/another/0;door/1\n"), "{}", answer.body);
    let some = call("GET", node.port, "/any?action=stat&format=json&groups=stream_stats,none", "").await.json();
    assert_eq!((&some["stream_stats"]["streams_webrtc_in"], some.as_object().unwrap().len()), (&json!(2), 1));
    let few = Permissions { manage: false, ..Permissions::ALL };
    let closed = Node::with(Config::default(), few).await;
    assert_eq!(call("GET", closed.port, "/?action=stat", "").await.status, 401);
    assert_eq!(call("GET", node.port, "/?action=other", "").await.status, 404);
}

#[tokio::test]
async fn streams_are_found_by_what_they_are() {
    let node = Node::start().await;
    let mut page = Page::open(&node.uri()).await;
    page.publish("p", "door").await;
    page.play("v", "door").await;
    let _other = node.publish("by/another");
    assert_eq!(node.post("stream/find_all", &json!({})).await.json().as_array().unwrap().len(), 3);
    let found = node.post("stream/find", &json!({ "name": "door", "published": true })).await;
    assert_eq!(found.status, 200);
    let found = found.json();
    let [entry] = found.as_array().unwrap().as_slice() else { panic!("{found}") };
    for (key, value) in [
        ("mediaSessionId", json!("p")),
        ("appKey", json!("defaultApp")),
        ("status", json!("PUBLISHING")),
        ("mediaType", json!("publish")),
        ("hasVideo", json!(true)),
        ("audioCodec", json!("opus")),
        ("mediaProvider", json!("WebRTC")),
    ] {
        assert_eq!(entry[key], value, "{key}");
    }
    assert!(entry["createDate"].as_u64().unwrap() > 1_700_000_000_000);
    let found = node.post("stream/find", &json!({ "mediaSessionId": "v", "display": ["metrics"] })).await.json();
    assert_eq!((&found[0]["status"], &found[0]["metrics"]["VIDEO_WIDTH"]), (&json!("PLAYING"), &json!(0)));
    let found = node.post("stream/find", &json!({ "name": "by/another", "published": true })).await.json();
    assert_eq!((&found[0]["status"], &found[0]["hasVideo"]), (&json!("PUBLISHING"), &json!(false)));
    assert_eq!(node.post("stream/find", &json!({ "name": "nobody" })).await.status, 404);
}

#[tokio::test]
async fn streams_are_ended_by_their_owners_being_told() {
    let node = Node::start().await;
    let mut publisher = Page::open(&node.uri()).await;
    publisher.publish("p", "door").await;
    let mut player = Page::open(&node.uri()).await;
    player.play("v", "door").await;
    assert_eq!(node.post("stream/terminate", &json!({})).await.status, 400);
    assert_eq!(node.post("stream/terminate", &json!({ "mediaSessionId": "x" })).await.status, 404);
    let done = node.post("stream/terminate", &json!({ "mediaSessionIds": ["v"] })).await;
    assert_eq!((done.status, done.body.as_str()), (200, ""));
    assert_eq!(player.status().await, ["v", "STOPPED", info::STOPPED_BY_REST]);
    player.play("w", "door").await;
    assert_eq!(node.post("stream/terminate", &json!({ "name": "door", "status": "PUBLISHING" })).await.status, 200);
    assert_eq!(publisher.status().await, ["p", "UNPUBLISHED", info::STOPPED_BY_REST]);
    assert_eq!(player.status().await[..2], ["w", "STOPPED"]);
    let other = node.publish("another");
    assert_eq!(node.post("stream/terminate", &json!({ "name": "another" })).await.status, 200);
    assert_eq!(other.closed().await, Reason::Cut);
}

#[tokio::test]
async fn clients_are_listed_and_ended() {
    let node = Node::start().await;
    let mut page = Page::open(&node.uri()).await;
    let listed = node.post("connection/find_all", &json!({})).await.json();
    assert_eq!((&listed[0]["clientVersion"], &listed[0]["status"]), (&json!("2.0"), &json!("ESTABLISHED")));
    let id = &listed[0]["sessionId"];
    assert!(id.as_str().unwrap().ends_with(&format!("/{}", node.port)), "{id}");
    for (body, status) in [
        (json!({ "sessionId": id, "logLevel": "DEBUG" }), 200),
        (json!({ "sessionId": id, "logLevel": "loud" }), 400),
        (json!({ "sessionId": id }), 400),
        (json!({ "logLevel": "DEBUG" }), 400),
        (json!({ "sessionId": "x", "logLevel": "INFO" }), 404),
    ] {
        assert_eq!(node.post("connection/set_log_level", &body).await.status, status, "{body}");
    }
    assert_eq!(node.post("connection/terminate", &json!({})).await.status, 400);
    assert_eq!(node.post("connection/terminate", &json!({ "sessionId": "x" })).await.status, 404);
    assert_eq!(node.post("connection/terminate", &json!({ "sessionId": id })).await.status, 200);
    page.ended().await;
    until("the session's end", async || (node.service.clients() == 0).then_some(())).await;
}
