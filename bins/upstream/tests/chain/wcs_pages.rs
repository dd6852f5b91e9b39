//! What pages of the Web SDK ask, tell and hear beside their streams; each with all versions of the SDK.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::until;

use crate::sdk::{blank, page, pictures_advance, play, publish, versions};
use crate::wcs::Node;

/// Publishes or plays with options of the SDK.
async fn with(page: &mut Browser, name: &str, verb: &str, options: &str) -> Value {
    let up = if verb == "publish" { "PUBLISHING" } else { "PLAYING" };
    page.value(&format!("stream('{name}', '{verb}', '{up}', {options})")).await
}

/// Waits until the page has been told something of its latest stream.
async fn hears(page: &mut Browser, what: &str) {
    page.until(&format!("told.some((told) => told.startsWith('{what}'))")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_of_all_nodes_hear_what_a_page_mutes() {
    let Some((chromium, sdks)) = versions() else { return };
    let (one, two) = (Node::start().await, Node::start().await);
    for sdk in sdks {
        let mut camera = page(&chromium, &sdk, &one, &one.uri()).await;
        assert_eq!(publish(&mut camera, "door").await, "PUBLISHING");
        let push = json!({ "uri": two.uri(), "localStreamName": "door", "remoteStreamName": "copy" });
        assert_eq!(one.post("pull/push", &push).await, (200, String::new()));
        let mut viewer = page(&chromium, &sdk, &two, &two.uri()).await;
        assert_eq!(play(&mut viewer, "copy").await, "PLAYING");
        for verb in ["muteAudio", "muteVideo", "unmuteAudio"] {
            camera.value(&format!("published.{verb}()")).await;
        }
        for event in ["audioMuted", "videoMuted", "audioUnmuted"] {
            hears(&mut viewer, event).await;
        }
        camera.value("published.sendData({count: 23})").await;
        hears(&mut viewer, r#"data {"count":23}"#).await;
        // Who comes later knows as well, here and there.
        let mut near = page(&chromium, &sdk, &one, &one.uri()).await;
        for (viewer, name) in [(&mut near, "door"), (&mut viewer, "copy")] {
            assert_eq!(play(viewer, name).await, "PLAYING");
            assert_eq!(viewer.value("played.getVideoState()").await, json!({ "muted": true }));
            assert_eq!(viewer.value("played.getAudioState()?.muted ?? false").await, false);
        }
        camera.value("session.disconnect()").await;
        hears(&mut near, "STOPPED: Stopped by session disconnect").await;
        hears(&mut viewer, "STOPPED: Stopped by publisher stop").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_ask_and_sessions_are_kept_alive() {
    let Some((chromium, sdks)) = versions() else { return };
    let node = Node::start().await;
    for sdk in sdks {
        let mut camera = blank(&chromium, &sdk, &node).await;
        // The newer ones send pings of their own, and miss those that do not come.
        let watchful = "{pingInterval: 100, receiveProbes: 2, probesInterval: 6000}";
        assert_eq!(camera.value(&format!("open('{}', {watchful})", node.uri())).await, true);
        assert_eq!(publish(&mut camera, "door").await, "PUBLISHING");
        let asks =
            "(name) => session.createStream({name}).available().then(() => 'there', (stream) => stream.getInfo())";
        assert_eq!(camera.value(&format!("({asks})('door')")).await, "there");
        assert_eq!(camera.value(&format!("({asks})('nobody')")).await, "Stream not found");
        assert_eq!(camera.value("session.sendData({a: 1}).then(() => 'taken', () => 'refused')").await, "taken");
        camera.until("pings >= 2").await;
        assert_eq!(
            camera.value("[session.status(), published.status(), ...left].join()").await,
            "ESTABLISHED,PUBLISHING"
        );
        camera.value("session.disconnect()").await;
        camera.until("left.join() === 'DISCONNECTED'").await;
        until("the end", || async { (!node.has("door").await).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_fails_in_time_and_with_its_reason() {
    let Some((chromium, sdks)) = versions() else { return };
    let node = Node::start().await;
    let closed = Node::with("[wcs]\nlisten = ['127.0.0.1:0']\n[access]\npublish_token = 'secret'\n").await;
    for sdk in sdks {
        let mut viewer = page(&chromium, &sdk, &closed, &closed.uri()).await;
        assert_eq!(publish(&mut viewer, "door").await, "FAILED: Restricted access");
        let shown = format!("open('{}/?token=secret')", closed.uri());
        assert_eq!(viewer.value(&shown).await, true);
        assert_eq!(publish(&mut viewer, "door").await, "PUBLISHING");
        viewer.value("published.stop()").await;
        hears(&mut viewer, "UNPUBLISHED").await;
        // What nobody draws on sends nothing.
        let empty = "{constraints: {audio: false, video: false, customStream: canvas()}}";
        viewer.value(&format!("stream('empty', 'publish', 'PUBLISHING', {empty}), true")).await;

        // No way from here to there.
        let nowhere = "{mediaOptions: {iceServers: [], iceTransportPolicy: 'relay'}}";
        let mut lost = blank(&chromium, &sdk, &node).await;
        assert_eq!(lost.value(&format!("open('{}', {nowhere})", node.uri())).await, true);
        lost.value("stream('lost', 'publish', 'PUBLISHING'), true").await;

        let mut camera = page(&chromium, &sdk, &node, &node.uri()).await;
        let silent = "{constraints: {audio: false, video: {width: 320, height: 240}}}";
        assert_eq!(with(&mut camera, "silent", "publish", silent).await, "PUBLISHING");
        let codec = until("the codec", || async {
            let (_, found) = node.post("stream/find", &json!({ "name": "silent" })).await;
            let found: Value = serde_json::from_str(&found).ok()?;
            found[0]["videoCodec"].as_str().filter(|codec| !codec.is_empty()).map(str::to_owned)
        })
        .await;
        let mut player = page(&chromium, &sdk, &node, &node.uri()).await;
        let without = format!("{{stripCodecs: '{codec}'}}");
        assert_eq!(with(&mut player, "silent", "play", &without).await, "FAILED: No common codecs");
        assert_eq!(play(&mut player, "silent").await, "PLAYING");
        let id = player.value("played.id()").await;
        assert_eq!(node.post("stream/terminate", &json!({ "mediaSessionId": id })).await, (200, String::new()));
        hears(&mut player, "STOPPED: Stopped by rest /terminate").await;
        assert_eq!(play(&mut player, "silent").await, "PLAYING");
        assert_eq!(node.post("stream/terminate", &json!({ "name": "silent", "published": true })).await.0, 200);
        hears(&mut camera, "UNPUBLISHED: Stopped by rest /terminate").await;
        hears(&mut player, "STOPPED").await;

        hears(&mut lost, "FAILED: Failed by ICE timeout").await;
        hears(&mut viewer, "FAILED: Failed by RTP activity").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_come_by_tls_at_any_path() {
    let Some((chromium, sdks)) = versions() else { return };
    let ((node, uri, _folder), host) = (Node::secure("").await, Node::start().await);
    for sdk in sdks {
        let mut page = blank(&chromium, &sdk, &host).await;
        assert_eq!(page.value(&format!("open('{uri}/any/path')")).await, true);
        assert_eq!(publish(&mut page, "door").await, "PUBLISHING");
        assert_eq!(play(&mut page, "door").await, "PLAYING");
        pictures_advance(&mut page).await;
        page.value("session.disconnect()").await;
        until("the end", || async { (!node.has("door").await).then_some(()) }).await;
    }
}

/// A page that asks for its session to be kept comes back by the name that it was told. The SDK itself ends its streams
/// with its socket, so that they are published anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_comes_back_and_publishes_again() {
    let Some((chromium, sdks)) = versions() else { return };
    let node = Node::start().await;
    for sdk in sdks {
        let mut camera = blank(&chromium, &sdk, &node).await;
        assert_eq!(camera.value(&format!("open('{}', {{keepAlive: true}})", node.uri())).await, true);
        assert_eq!(publish(&mut camera, "door").await, "PUBLISHING");
        let first = camera.value("token").await;
        // The page comes by another socket before the first is lost.
        let back = format!("open('{}', {{keepAlive: true, authToken: token}})", node.uri());
        assert_eq!(camera.value(&back).await, true);
        camera.until("left.join() === 'DISCONNECTED'").await;
        hears(&mut camera, "FAILED").await;
        until("the end of its stream", || async { (!node.has("door").await).then_some(()) }).await;
        assert_eq!(publish(&mut camera, "door").await, "PUBLISHING");
        assert_eq!(camera.value("token").await, first);
        let mut viewer = page(&chromium, &sdk, &node, &node.uri()).await;
        assert_eq!(play(&mut viewer, "door").await, "PLAYING");
        pictures_advance(&mut viewer).await;
        // The network takes the socket, with which the SDK ends all: nothing of it stays.
        camera.value("sockets.at(-1).close(), true").await;
        hears(&mut viewer, "STOPPED").await;
        viewer.value("session.disconnect()").await;
        until("the end of all", || async {
            (node.post("connection/find_all", &json!({})).await.0 == 404).then_some(())
        })
        .await;
    }
}

/// What the application was asked and told, in order.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Takes who says `letmein`, puts streams into a folder, lets nobody play what is secret, and wants no data.
async fn decide(State(calls): State<Calls>, Path(method): Path<String>, Json(body): Json<Value>) -> Response {
    calls.lock().unwrap().push((method.clone(), body.clone()));
    let name = body["name"].as_str().unwrap_or_default();
    match method.as_str() {
        "connect" if body["custom"]["word"] != "letmein" => StatusCode::FORBIDDEN.into_response(),
        "playStream" if name.ends_with("secret") => StatusCode::FORBIDDEN.into_response(),
        "publishStream" => Json(json!({ "name": format!("cams/{name}") })).into_response(),
        "sendData" => StatusCode::FORBIDDEN.into_response(),
        _ => Json(json!({})).into_response(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_server_decides_about_pages() {
    let Some((chromium, sdks)) = versions() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (application, calls) = (listener.local_addr().unwrap(), Calls::default());
    let router = Router::new().route("/app/{method}", post(decide)).with_state(Arc::clone(&calls));
    tokio::spawn(async { axum::serve(listener, router).await });
    let hooks = format!("[wcs.hooks]\nurl = 'http://{application}/app'\nnode = 'one'\n");
    let node = Node::with(&format!("[wcs]\nlisten = ['127.0.0.1:0']\n{hooks}")).await;
    let told = |method: &str, key: &str, value: &str| {
        let calls = calls.lock().unwrap();
        calls.iter().any(|(called, body)| called == method && body[key] == value)
    };
    for sdk in sdks {
        calls.lock().unwrap().clear();
        let mut page = blank(&chromium, &sdk, &node).await;
        let refused = page.value(&format!("open('{}').catch((why) => why)", node.uri())).await;
        assert_eq!(refused, "DISCONNECTED");
        let open = format!("open('{}', {{custom: {{word: 'letmein'}}}})", node.uri());
        assert_eq!(page.value(&open).await, true);
        assert_eq!(with(&mut page, "door", "publish", "{custom: {key: 'k'}}").await, "PUBLISHING");
        let asked = calls.lock().unwrap().iter().find(|(method, _)| method == "publishStream").unwrap().1.clone();
        for (key, value) in [("nodeId", "one"), ("appKey", "defaultApp"), ("name", "door"), ("status", "PENDING")] {
            assert_eq!(asked[key], value, "{asked}");
        }
        assert!(asked["custom"]["key"] == "k" && asked["hasVideo"] == true && asked["sdp"].is_string(), "{asked}");
        let sent = "session.sendData({a: 1}).then(() => 'taken', () => 'refused')";
        assert_eq!(page.value(sent).await, "refused");
        let mut viewer = blank(&chromium, &sdk, &node).await;
        assert_eq!(viewer.value(&open).await, true);
        assert_eq!(play(&mut viewer, "cams/secret").await, "FAILED: Restricted access");
        assert_eq!(play(&mut viewer, "cams/door").await, "PLAYING");
        pictures_advance(&mut viewer).await;
        page.value("published.stop()").await;
        hears(&mut page, "UNPUBLISHED").await;
        hears(&mut viewer, "STOPPED").await;
        viewer.value("session.disconnect()").await;
        for (method, key, value) in [
            ("ConnectionStatusEvent", "status", "ESTABLISHED"),
            ("StreamStatusEvent", "status", "PUBLISHING"),
            ("StreamStatusEvent", "status", "PLAYING"),
            ("unPublishStream", "name", "cams/door"),
            ("stopStream", "name", "cams/door"),
            ("StreamStatusEvent", "status", "UNPUBLISHED"),
            ("ConnectionStatusEvent", "status", "DISCONNECTED"),
        ] {
            until(method, || async { told(method, key, value).then_some(()) }).await;
        }
    }
}
