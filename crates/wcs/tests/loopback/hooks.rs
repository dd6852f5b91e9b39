//! A web server that decides about clients and is told of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use sluicegate_wcs::{Config, Hooks, Permissions};

use crate::node::{Node, until};
use crate::page::Page;

/// What was asked and told, in order.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Takes who says `letmein`, names streams anew, lets nobody play `secret`, and wants no data.
async fn decide(State(calls): State<Calls>, Path(method): Path<String>, Json(body): Json<Value>) -> Response {
    calls.lock().unwrap().push((method.clone(), body.clone()));
    let refused = StatusCode::FORBIDDEN.into_response();
    match method.as_str() {
        "connect" if body["custom"]["word"] == "letmein" => Json(json!({ "custom": { "group": 7 } })).into_response(),
        "publishStream" if body["custom"]["key"] == "k" => {
            Json(json!({ "name": format!("cams/{}", body["name"].as_str().unwrap()) })).into_response()
        }
        "playStream" if body["name"] != "cams/secret" => Json(body).into_response(),
        "connect" | "publishStream" | "playStream" | "sendData" => refused,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn application() -> (SocketAddr, Calls) {
    let calls = Calls::default();
    let router = Router::new().route("/app/{method}", post(decide)).with_state(Arc::clone(&calls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    (address, calls)
}

async fn node(application: SocketAddr) -> Node {
    let hooks = Hooks {
        timeout: Duration::from_secs(5),
        node: "node-1".to_owned(),
        ..Hooks::new(format!("http://{application}/app/").parse().unwrap())
    };
    Node::with(Config { hooks: Some(hooks), ..Config::default() }, Permissions::ALL).await
}

async fn admitted(node: &Node) -> Page {
    let mut page = Page::socket(&node.uri()).await;
    let fields = json!({ "appKey": "defaultApp", "custom": { "word": "letmein" }, "sipPassword": "hidden" });
    page.send("connection", &fields).await;
    assert_eq!(page.hear("getUserData").await["custom"], json!({ "group": 7 }));
    page
}

fn wish(id: &str, name: &str, published: bool, key: &str) -> Value {
    json!({
        "mediaSessionId": id, "name": name, "published": published, "hasVideo": true, "hasAudio": true,
        "status": "PENDING", "mediaProvider": "WebRTC", "sdp": "offer", "custom": { "key": key },
    })
}

/// What the application heard by a method.
fn heard(calls: &Calls, method: &str) -> Vec<Value> {
    let calls = calls.lock().unwrap();
    calls.iter().filter(|(called, _)| called == method).map(|(_, body)| body.clone()).collect()
}

#[tokio::test]
async fn the_application_decides() {
    let (address, calls) = application().await;
    let node = node(address).await;
    let mut stranger = Page::socket(&node.uri()).await;
    stranger.send("connection", &json!({ "appKey": "defaultApp" })).await;
    assert_eq!(stranger.ended().await, Some(1000));

    let mut camera = admitted(&node).await;
    let connect = heard(&calls, "connect").pop().unwrap();
    assert_eq!((&connect["nodeId"], &connect["appKey"]), (&json!("node-1"), &json!("defaultApp")));
    assert!(connect["sipPassword"].is_null() && connect["sessionId"].as_str().unwrap().starts_with("/127.0.0.1:"));
    camera.send("publishStream", &wish("p0", "door", true, "wrong")).await;
    let refused = camera.hear("notifyStreamStatusEvent").await;
    assert_eq!((&refused["status"], &refused["info"]), (&json!("FAILED"), &json!("Restricted access")));
    camera.send("publishStream", &wish("p1", "door", true, "k")).await;
    assert_eq!(camera.message("setRemoteSDP").await["data"][1], "answer cams/door");
    let status = camera.hear("notifyStreamStatusEvent").await;
    assert_eq!((&status["status"], &status["name"]), (&json!("PUBLISHING"), &json!("cams/door")));
    assert_eq!(node.post("stream/find", &json!({ "name": "cams/door", "published": true })).await.status, 200);

    let _secret = node.publish("cams/secret");
    let mut viewer = admitted(&node).await;
    for (id, name, info) in [("v1", "cams/secret", "Restricted access"), ("v2", "cams/none", "Stream not found")] {
        viewer.send("playStream", &wish(id, name, false, "")).await;
        let status = viewer.hear("notifyStreamStatusEvent").await;
        assert_eq!((&status["status"], &status["info"]), (&json!("FAILED"), &json!(info)));
    }
    viewer.play("v3", "cams/door").await;
    viewer.send("sendData", &json!({ "operationId": "o", "payload": { "a": 1 } })).await;
    assert_eq!(viewer.hear("DataStatusEvent").await, json!({ "operationId": "o", "status": "FAILED" }));
    assert_eq!(heard(&calls, "sendData")[0]["payload"], json!({ "a": 1 }));

    drop(camera);
    let told = async || heard(&calls, "unPublishStream").pop();
    let gone = until("the end of the publisher", told).await;
    assert_eq!((&gone["mediaSessionId"], &gone["info"]), (&json!("p1"), &json!("Stopped by session disconnect")));
    let told =
        async || heard(&calls, "ConnectionStatusEvent").into_iter().find(|event| event["status"] == "DISCONNECTED");
    until("the end of the camera", told).await;
    let of = |id: &str| -> Vec<Value> {
        let events = heard(&calls, "StreamStatusEvent").into_iter().filter(|event| event["mediaSessionId"] == id);
        events.map(|event| event["status"].clone()).collect()
    };
    assert_eq!((of("p1"), of("p0")), (vec![json!("PUBLISHING")], vec![json!("FAILED")]));
    until("the end of the player", async || (of("v3") == [json!("PLAYING"), json!("STOPPED")]).then_some(())).await;
}

/// However a stream ends, the application hears of it.
#[tokio::test]
async fn ends_of_the_media_are_told() {
    let (address, calls) = application().await;
    let node = node(address).await;
    let (mut camera, mut viewer) = (admitted(&node).await, admitted(&node).await);
    camera.send("publishStream", &wish("p", "door", true, "k")).await;
    camera.message("setRemoteSDP").await;
    assert_eq!(camera.status().await[1], "PUBLISHING");
    let media = node.latest();
    for id in ["v", "w"] {
        viewer.play(id, "cams/door").await;
    }
    // A player whose media says goodbye, and a publisher whose media does so before its message.
    node.latest().goodbye().await;
    assert_eq!(viewer.status().await, ["w", "STOPPED", "Stopped by user"]);
    media.goodbye().await;
    camera.send("unPublishStream", &json!({ "mediaSessionId": "p" })).await;
    assert_eq!(camera.status().await, ["p", "UNPUBLISHED", ""]);
    assert_eq!(viewer.status().await[0], "v");
    let told = async |method, id| {
        let of = async || heard(&calls, method).into_iter().find(|body| body["mediaSessionId"] == id);
        let body = until("an end", of).await;
        assert_eq!(heard(&calls, method).iter().filter(|body| body["mediaSessionId"] == id).count(), 1);
        body["info"].clone()
    };
    assert_eq!(told("unPublishStream", "p").await, "Stopped by publisher stop");
    assert_eq!(told("stopStream", "w").await, "Stopped by user");
    assert_eq!(told("stopStream", "v").await, "Stopped by publisher stop");
}

#[tokio::test]
async fn without_an_answer_nothing_is_allowed() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let node = node(gone).await;
    let mut page = Page::socket(&node.uri()).await;
    page.send("connection", &json!({ "appKey": "defaultApp" })).await;
    assert_eq!(page.ended().await, Some(1000));
    // Methods that are not called are allowed.
    let mut hooks = Hooks::new(format!("http://{gone}/").parse().unwrap());
    hooks.methods.retain(|method| method == "sendData");
    let node = Node::with(Config { hooks: Some(hooks), ..Config::default() }, Permissions::ALL);
    let node = node.await;
    let mut page = Page::open(&node.uri()).await;
    page.publish("p", "door").await;
}
