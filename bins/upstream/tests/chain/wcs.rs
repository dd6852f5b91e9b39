//! Flashphoner's Web SDK, unmodified, in Chromium: its camera goes to one upstream, a REST call relays it to another, and
//! a page plays it there.

use serde_json::{Value, json};
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::{api, until};
use tempfile::TempDir;

use crate::sdk::{page, pictures_advance, play, publish, versions};
use crate::stage::{STREAM, Site, Upstream};

/// A node with ports of its own for WCS.
pub(crate) struct Node {
    pub(crate) upstream: Upstream,
    /// Where pages, servers and tools come.
    pub(crate) port: String,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with("[wcs]\nlisten = [\"127.0.0.1:0\"]\n").await
    }

    /// A node by a configuration that has one plain port of its own for WCS.
    pub(crate) async fn with(configuration: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let config = state.path().join("upstream.toml");
        std::fs::write(&config, configuration).unwrap();
        let config = config.display().to_string();
        let mut upstream = Upstream::start_at("127.0.0.1:0", state, &["--config", &config]).await;
        let port = upstream.program.says("WCS at ws://").await;
        Self { upstream, port: port.trim().to_owned() }
    }

    /// A node with a certificate of its own for everything but one plain port: it, its address by TLS, and the folder of
    /// `certificate.pem`.
    pub(crate) async fn secure(more: &str) -> (Self, String, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = format!("[tls]\ncertificate = '{}'\nkey = '{}'\n", certificate.display(), key.display());
        let ports = "[wcs]\nlisten = ['127.0.0.1:0']\nlisten_tls = ['127.0.0.1:0']\n";
        let mut node = Self::with(&format!("{tls}{more}{ports}")).await;
        let port = node.upstream.program.says("WCS at wss://").await;
        (node, format!("wss://{}", port.trim()), folder)
    }

    pub(crate) fn uri(&self) -> String {
        format!("ws://{}", self.port)
    }

    pub(crate) async fn post(&self, method: &str, body: &Value) -> (u16, String) {
        let path = format!("/rest-api/{method}");
        let headers = [("Content-Type", "application/json;charset=UTF-8")];
        let answer = api::send("POST", &self.port, &path, &headers, body.to_string().as_bytes()).await.unwrap();
        (answer.status, answer.text())
    }

    /// Whether a tool finds the stream.
    pub(crate) async fn has(&self, name: &str) -> bool {
        self.post("stream/find", &json!({ "name": name, "published": true })).await.0 == 200
    }
}

fn relay(node: &Node, local: &str, remote: &str) -> Value {
    json!({ "uri": node.uri(), "localStreamName": local, "remoteStreamName": remote })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_is_pushed_from_node_to_node() {
    let Some((chromium, [newest, ..])) = versions() else { return };
    let (one, two) = (Node::start().await, Node::start().await);
    let mut camera = page(&chromium, &newest, &one, &one.uri()).await;
    assert_eq!(publish(&mut camera, "testStream").await, "PUBLISHING");
    assert_eq!(one.post("pull/push", &relay(&two, "testStream", "copy")).await, (200, String::new()));
    let (status, listed) = one.post("pull/find_all", &json!({})).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((status, &listed[0]["status"]), (200, &json!("PUBLISHING")), "{listed}");
    assert!(two.has("copy").await, "it is there when the answer is");

    let mut viewer = page(&chromium, &newest, &two, &two.uri()).await;
    assert_eq!(play(&mut viewer, "copy").await, "PLAYING");
    pictures_advance(&mut viewer).await;
    assert_eq!(viewer.value("[...document.querySelectorAll('video')].at(-1).videoWidth").await, 320);
    // The fake microphone beeps once a second.
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
    // A stream of a page is a stream as any other.
    assert_eq!(api::stream(&two.upstream.address, "copy").await["publisher"], "wcs");

    camera.value("published.stop()").await;
    camera.until("told.at(-1) === 'UNPUBLISHED'").await;
    viewer.until("told.at(-1).startsWith('STOPPED')").await;
    assert_eq!(viewer.value("told.at(-1)").await, "STOPPED: Stopped by publisher stop");
    until("the relay's end", || async { (one.post("pull/find_all", &json!({})).await.0 == 404).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_that_begin_after_the_sound_go_along() {
    let Some((chromium, [newest, ..])) = versions() else { return };
    let (one, two) = (Node::start().await, Node::start().await);
    let mut camera = page(&chromium, &newest, &one, &one.uri()).await;
    let late = "{constraints: {audio: true, video: false, customStream: canvas()}}";
    assert_eq!(camera.value(&format!("stream('door', 'publish', 'PUBLISHING', {late})")).await, "PUBLISHING");
    let relay = relay(&two, "door", "copy");
    let pushed = one.post("pull/push", &relay);
    let drawn = async {
        // Longer than anybody waits for pictures that are not agreed.
        let heard =
            || async { (api::stream(&one.upstream.address, "door").await["frames_in"].as_u64()? >= 60).then_some(()) };
        until("sound", heard).await;
        camera.value("draw()").await;
    };
    let (pushed, ()) = tokio::join!(pushed, drawn);
    assert_eq!(pushed, (200, String::new()));
    let mut viewer = page(&chromium, &newest, &two, &two.uri()).await;
    assert_eq!(play(&mut viewer, "copy").await, "PLAYING");
    pictures_advance(&mut viewer).await;
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_is_pulled_by_another_node() {
    let Some((chromium, [.., older])) = versions() else { return };
    let (one, two) = (Node::start().await, Node::start().await);
    // By the main port and its one path.
    let uri = one.upstream.url("ws", "/websocket");
    let mut camera = page(&chromium, &older, &one, &uri).await;
    assert_eq!(publish(&mut camera, "testStream").await, "PUBLISHING");
    let pull = json!({ "uri": uri, "localStreamName": "here", "remoteStreamName": "testStream" });
    assert_eq!(two.post("pull/pull", &pull).await, (200, String::new()));
    let mut viewer = page(&chromium, &older, &two, &two.uri()).await;
    assert_eq!(play(&mut viewer, "here").await, "PLAYING");
    pictures_advance(&mut viewer).await;
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
    assert_eq!(two.post("pull/terminate", &pull).await, (200, String::new()));
    viewer.until("told.at(-1).startsWith('STOPPED')").await;
    assert!(!two.has("here").await && one.has("testStream").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hear_why_something_cannot_be() {
    let Some((chromium, [newest, ..])) = versions() else { return };
    let node = Node::start().await;
    let mut camera = page(&chromium, &newest, &node, &node.uri()).await;
    assert_eq!(play(&mut camera, "nobody").await, "FAILED: Stream not found");
    assert_eq!(publish(&mut camera, "door").await, "PUBLISHING");
    let mut second = page(&chromium, &newest, &node, &node.uri()).await;
    assert_eq!(publish(&mut second, "door").await, "FAILED: Stream name is already in use");
    assert_eq!(play(&mut second, "door").await, "PLAYING");
    camera.value("published.sendData({count: 23}), true").await;
    second.until(r#"told.includes('data {"count":23}')"#).await;
    second.value("played.stop()").await;
    second.until("told.at(-1) === 'STOPPED: Stopped by user'").await;
    // The page is closed, and its stream is gone.
    drop(camera);
    until("the stream's end", || async { (!node.has("door").await).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sites_stream_plays_in_a_page_of_the_sdk() {
    let Some((chromium, sdks)) = versions() else { return };
    let node = Node::start().await;
    let _site = Site::with_stream(&node.upstream).await;
    for sdk in sdks {
        // The sample's sound is none that WebRTC carries as it is; pictures play without it.
        let mut viewer = page(&chromium, &sdk, &node, &node.uri()).await;
        assert_eq!(play(&mut viewer, STREAM).await, "PLAYING");
        pictures_advance(&mut viewer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_one_kind_play_as_they_are() {
    let Some((chromium, sdks)) = versions() else { return };
    let node = Node::start().await;
    for sdk in sdks {
        let mut camera = page(&chromium, &sdk, &node, &node.uri()).await;
        let constraints = "{constraints: {audio: true, video: false}}";
        assert_eq!(
            camera.value(&format!("stream('sound', 'publish', 'PUBLISHING', {constraints})")).await,
            "PUBLISHING"
        );
        let constraints = "{constraints: {audio: false, video: {width: 320, height: 240}}}";
        assert_eq!(
            camera.value(&format!("stream('silent', 'publish', 'PUBLISHING', {constraints})")).await,
            "PUBLISHING"
        );
        let mut viewer = page(&chromium, &sdk, &node, &node.uri()).await;
        assert_eq!(play(&mut viewer, "sound").await, "PLAYING");
        viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
        // The element plays instead of waiting for a picture.
        viewer.until("[...document.querySelectorAll('video')].at(-1).currentTime > 1").await;
        assert_eq!(play(&mut viewer, "silent").await, "PLAYING");
        pictures_advance(&mut viewer).await;
        camera.value("session.disconnect()").await;
        until("the end", || async { (!node.has("sound").await && !node.has("silent").await).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdks_rest_module_relays_from_a_page_of_another_origin() {
    let Some((chromium, sdks)) = versions() else { return };
    let (one, two) = (Node::start().await, Node::start().await);
    let _site = Site::with_stream(&one.upstream).await;
    for sdk in sdks {
        // The page is of the main port, the interface on another: the browser asks first whether it may.
        let mut page = Browser::open(&chromium, &one.upstream.url("http", "/healthz")).await;
        page.until("location.pathname === '/healthz' && document.readyState === 'complete'").await;
        let source = std::fs::read_to_string(sdk.join("flashphoner-rest-api.js")).unwrap();
        page.value(&format!("{source}\n;globalThis.rest = FlashphonerRestApi.instance('http://{}'), true", one.port))
            .await;
        let find = "rest.pull.findAll().then((list) => list.map(({status}) => status).join(), () => 'none')";
        assert_eq!(page.value(find).await, "none");
        let push = format!("rest.pull.push('{}', '{STREAM}', 'copy').then(() => 'done', () => 'failed')", two.uri());
        assert_eq!(page.value(&push).await, "done");
        assert_eq!(page.value(find).await, "PUBLISHING");
        assert_eq!(page.value(&push).await, "failed");
        assert!(two.has("copy").await);
        // And back under another name.
        let pull = format!("rest.pull.pull('{}', 'back', 'copy').then(() => 'done', () => 'failed')", two.uri());
        assert_eq!(page.value(&pull).await, "done");
        assert!(one.has("back").await);
        let terminate = "rest.pull.terminate('back', 'copy').then(() => 'done', () => 'failed')";
        assert_eq!(page.value(terminate).await, "done");
        assert!(!one.has("back").await);
        let streams = "rest.stream.findAll().then((list) => list.length, () => 0)";
        assert!(page.value(streams).await.as_u64().unwrap() > 0);
        let terminate = format!("rest.pull.terminate('{STREAM}', 'copy').then(() => 'done', () => 'failed')");
        assert_eq!(page.value(&terminate).await, "done");
        assert_eq!(page.value(find).await, "none");
        assert!(!two.has("copy").await);
    }
}
