//! What publishers tell their players: here, later, and behind a relay.

use serde_json::{Value, json};

use crate::node::Node;
use crate::page::Page;

async fn tell(page: &mut Page, kind: &str, payload: Value) {
    page.send("sendStreamEvent", &json!({ "mediaSessionId": "p", "type": kind, "payload": payload })).await;
}

/// The next event of a player.
async fn heard(page: &mut Page) -> (String, Value) {
    let mut event = page.hear("notifyStreamEvent").await;
    assert_eq!(event["mediaSessionId"], "v");
    (event["type"].as_str().unwrap().to_owned(), event["payload"].take())
}

/// Plays, and tells which of the states say that something is muted.
async fn joins(page: &mut Page, id: &str, name: &str) -> [bool; 2] {
    page.ask("playStream", id, name, "offer").await;
    page.message("setRemoteSDP").await;
    let status = page.hear("notifyStreamStatusEvent").await;
    assert_eq!(status["status"], "PLAYING");
    ["audioState", "videoState"].map(|state| status[state] == json!({ "muted": true }))
}

#[tokio::test]
async fn players_hear_it_on_all_nodes() {
    let [one, two, three] = [Node::start().await, Node::start().await, Node::start().await];
    let mut camera = Page::open(&one.uri()).await;
    camera.publish("p", "door").await;
    tell(&mut camera, "videoMuted", Value::Null).await;
    // The camera's own player shows that the message before has arrived.
    let mut near = Page::open(&one.uri()).await;
    tell(&mut camera, "data", json!(0)).await;
    camera.send("availableStream", &json!({ "mediaSessionId": "p", "name": "door" })).await;
    camera.hear("availableStream").await;
    assert_eq!(joins(&mut near, "v", "door").await, [false, true]);

    // One relay that pushes and one that pulls, each begun after the fact.
    let push = json!({ "uri": two.uri(), "localStreamName": "door", "remoteStreamName": "copy" });
    assert_eq!(one.post("pull/push", &push).await.status, 200);
    let pull = json!({ "uri": two.uri(), "localStreamName": "third", "remoteStreamName": "copy" });
    assert_eq!(three.post("pull/pull", &pull).await.status, 200);
    let (mut far, mut farther) = (Page::open(&two.uri()).await, Page::open(&three.uri()).await);
    let mut states = [joins(&mut far, "v", "copy").await, joins(&mut farther, "v", "third").await];
    for (page, [_, video]) in [&mut far, &mut farther].into_iter().zip(&mut states) {
        // It was on its way when the player joined.
        if !*video {
            assert_eq!(heard(page).await.0, "videoMuted");
        }
    }
    for (kind, payload) in [("audioMuted", Value::Null), ("videoUnmuted", Value::Null), ("data", json!({ "n": 1 }))] {
        tell(&mut camera, kind, payload.clone()).await;
        for page in [&mut near, &mut far, &mut farther] {
            assert_eq!(heard(page).await, (kind.to_owned(), payload.clone()));
        }
    }
    let mut late = Page::open(&three.uri()).await;
    assert_eq!(joins(&mut late, "w", "third").await, [true, false]);

    // The next publisher of the name has muted nothing.
    camera.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
    assert_eq!(camera.status().await[1], "UNPUBLISHED");
    camera.publish("p", "door").await;
    let mut later = Page::open(&one.uri()).await;
    assert_eq!(joins(&mut later, "w", "door").await, [false, false]);
}

#[tokio::test]
async fn who_is_refused_a_name_says_nothing_to_its_players() {
    let node = Node::start().await;
    let mut camera = Page::open(&node.uri()).await;
    camera.publish("p", "door").await;
    let mut player = Page::open(&node.uri()).await;
    player.play("v", "door").await;
    let mut other = Page::open(&node.uri()).await;
    other.ask("publishStream", "q", "door", "offer").await;
    other.send("sendStreamEvent", &json!({ "mediaSessionId": "q", "type": "data", "payload": "mine" })).await;
    other.send("unPublishStream", &json!({ "mediaSessionId": "q" })).await;
    assert_eq!(other.status().await[0], "q");
    tell(&mut camera, "data", json!("ours")).await;
    assert_eq!(heard(&mut player).await.1, json!("ours"), "nothing else before, not its end either");
}
