//! The REST interface beside relays from node to node: RTMP out, RTSP in, clients, figures; by the SDK's own module.

use serde_json::{Value, json};
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::{api, until};

use crate::sdk::{page, pictures_advance, play, publish, versions};
use crate::stage::{STREAM, Site};
use crate::wcs::Node;

/// What a call of the module comes to, or `failed`.
async fn rest(page: &mut Browser, call: &str) -> Value {
    page.value(&format!("rest.{call}.then((found) => found ?? 'done', () => 'failed')")).await
}

/// A node that takes and plays streams by everything, and where it does so by RTMP and by RTSP.
async fn node() -> (Node, String, String) {
    let ports = "[wcs]\nlisten = ['127.0.0.1:0']\n[rtmp]\nlisten = '127.0.0.1:0'\n[rtsp]\nlisten = '127.0.0.1:0'\nudp_port = 0\n";
    let mut node = Node::with(ports).await;
    let rtmp = node.upstream.program.says("listening on rtmp://").await.trim_end_matches('/').to_owned();
    let rtsp = node.upstream.program.says("listening on rtsp://").await.trim_end_matches('/').to_owned();
    (node, format!("rtmp://{rtmp}/live"), format!("rtsp://{rtsp}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_has_its_camera_republished_by_rtmp() {
    let Some((chromium, sdks)) = versions() else { return };
    let one = Node::start().await;
    let (two, rtmp, _) = node().await;
    for sdk in sdks {
        let mut camera = page(&chromium, &sdk, &one, &one.uri()).await;
        let options = format!("{{rtmpUrl: '{rtmp}'}}");
        let told = camera.value(&format!("stream('door', 'publish', 'PUBLISHING', {options})")).await;
        assert_eq!(told, "PUBLISHING");
        let copy = api::until_stream(&two.upstream.address, "live/door", "live").await;
        assert_eq!(copy["publisher"], "rtmp", "{copy}");
        let (status, listed) = one.post("push/find", &json!({ "streamName": "door", "rtmpUrl": rtmp })).await;
        assert_eq!(status, 200, "{listed}");
        let mut viewer = page(&chromium, &sdk, &two, &two.uri()).await;
        assert_eq!(play(&mut viewer, "live/door").await, "PLAYING");
        pictures_advance(&mut viewer).await;
        viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
        // A publisher that is lost by RTMP is awaited while somebody watches.
        viewer.value("session.disconnect()").await;
        camera.value("published.stop()").await;
        camera.until("told.at(-1) === 'UNPUBLISHED'").await;
        api::gone(&two.upstream.address, "live/door").await;
        until("the relay's end", || async { (one.post("push/find_all", &json!({})).await.0 == 404).then_some(()) })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_without_the_apis_token_are_republished_where_the_configuration_says() {
    let Some((chromium, [newest, ..])) = versions() else { return };
    let (two, rtmp, _) = node().await;
    let closed = format!("[wcs]\nlisten = ['127.0.0.1:0']\nrepublish = ['{rtmp}']\n[access]\napi_token = 'api'\n");
    let one = Node::with(&closed).await;
    let mut camera = page(&chromium, &newest, &one, &one.uri()).await;
    for (url, told) in [(&rtmp.replace("/live", "/other"), "FAILED: Restricted access"), (&rtmp, "PUBLISHING")] {
        let options = format!("{{rtmpUrl: '{url}'}}");
        assert_eq!(camera.value(&format!("stream('door', 'publish', 'PUBLISHING', {options})")).await, told);
    }
    api::until_stream(&two.upstream.address, "live/door", "live").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdks_module_calls_the_rest() {
    let Some((chromium, sdks)) = versions() else { return };
    let mut one = Node::start().await;
    let (two, rtmp, rtsp) = node().await;
    let _site = Site::with_stream(&two.upstream).await;
    let uri = format!("{rtsp}/live/{STREAM}");
    for sdk in sdks {
        let mut page = page(&chromium, &sdk, &one, &one.uri()).await;
        let source = std::fs::read_to_string(sdk.join("flashphoner-rest-api.js")).unwrap();
        let address = &one.port;
        let instance = format!("FlashphonerRestApi.instance('http://{address}', 'http://{address}/')");
        assert_eq!(page.value(&format!("{source}\n;globalThis.rest = {instance}, true")).await, true);

        // A camera by RTSP, which a page plays by its address.
        assert_eq!(rest(&mut page, "rtsp.findAll()").await, "failed", "there is none");
        assert_eq!(rest(&mut page, &format!("rtsp.pull('{uri}')")).await, "done");
        assert_eq!(rest(&mut page, &format!("rtsp.pull('{uri}')")).await, "failed", "it is pulled already");
        assert_eq!(rest(&mut page, "rtsp.findAll()").await[0]["status"], "PLAYING");
        assert_eq!(rest(&mut page, &format!("rtsp.find('{uri}', 'PLAYING')")).await[0]["uri"], uri.as_str());
        assert_eq!(play(&mut page, &uri).await, "PLAYING");
        pictures_advance(&mut page).await;
        let stream = rest(&mut page, "stream.find(played.id(), undefined, false, true)").await;
        assert_eq!(stream[0]["status"], "PLAYING");
        // The older modules have no word for them.
        let metrics = &stream[0]["metrics"];
        assert!(metrics.is_null() || metrics["VIDEO_WIDTH"] == stream[0]["width"], "{stream}");
        assert_eq!(rest(&mut page, &format!("rtsp.terminate('{uri}')")).await, "done");
        page.until("told.at(-1) === 'STOPPED: Stopped by rest /terminate'").await;
        assert_eq!(rest(&mut page, "rtsp.findAll()").await, "failed");

        // Republishing by RTMP.
        assert_eq!(publish(&mut page, "door").await, "PUBLISHING");
        let pushed = rest(&mut page, &format!("push.push('door', '{rtmp}')")).await;
        assert_eq!(pushed["rtmpUrl"], format!("{rtmp}/door"), "{pushed}");
        api::until_stream(&two.upstream.address, "live/door", "live").await;
        assert_eq!(rest(&mut page, &format!("push.push('door', '{rtmp}')")).await, "failed");
        assert_eq!(rest(&mut page, &format!("push.find('door', '{rtmp}')")).await[0]["streamName"], "door");
        let id = rest(&mut page, "push.findAll()").await[0]["mediaSessionId"].take();
        assert_eq!(rest(&mut page, &format!("push.terminate({id})")).await, "done");
        api::gone(&two.upstream.address, "live/door").await;

        // Figures, clients, and their ends.
        let figures = rest(&mut page, "stat.poll()").await;
        assert_eq!(figures["connection"]["connections_established"], "1", "{figures}");
        assert_eq!(figures["stream"]["streams_webrtc_in"], "1", "{figures}");
        let client = rest(&mut page, "connection.findAll()").await[0].take();
        let version = client["clientVersion"].as_str().unwrap();
        let found = rest(&mut page, &format!("connection.find('{version}')")).await;
        assert_eq!(found[0]["sessionId"], client["sessionId"]);
        let follow = format!("connection.setLogLevel({}, 'DEBUG')", client["sessionId"]);
        assert_eq!(rest(&mut page, &follow).await, "done");
        assert_eq!(rest(&mut page, "stream.terminate(published.id())").await, "done");
        one.upstream.program.says("name=\"notifyStreamStatusEvent\"").await;
        page.until("told.at(-1) === 'UNPUBLISHED: Stopped by rest /terminate'").await;
        assert_eq!(rest(&mut page, &format!("connection.terminate({})", client["sessionId"])).await, "done");
        page.until("left.join() === 'DISCONNECTED'").await;
    }
}
