//! Streams that go out by RTMP, and come in by RTSP.

use std::sync::Arc;

use serde_json::json;
use sluicegate_hub::relay::{Direction, Progress, Spec, Target, Transfer};
use sluicegate_hub::{Hub, Publish, StreamName};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
use sluicegate_wcs::{Config, Permissions, info};

use crate::node::{Node, until};
use crate::page::Page;

/// Takes a stream wherever it goes, but not at `rtmp://nobody`.
struct Rtmp;

impl Target for Rtmp {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        Box::pin(async move {
            if spec.target.starts_with("rtmp://nobody") {
                return Err("nobody is there".into());
            }
            progress.publishing();
            progress.stopped().cancelled().await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn streams_are_republished_by_rtmp() {
    let node = Node::start().await;
    let target: Arc<dyn Target> = Arc::new(Rtmp);
    node.relays.register(&["rtmp", "rtmps"], &target);
    let _publisher = node.publish("door");
    let startup = async |name: &str, url: &str, full: bool| {
        let body = json!({ "streamName": name, "rtmpUrl": url, "rtmpTransponderFullUrl": full });
        node.post("push/startup", &body).await
    };
    let begun = startup("door", "rtmp://host/live", false).await;
    assert_eq!(begun.status, 200);
    let begun = begun.json();
    assert_eq!((&begun["streamName"], &begun["rtmpUrl"]), (&json!("door"), &json!("rtmp://host/live/door")));
    assert_eq!(startup("door", "rtmp://host/live/", false).await.status, 409);
    assert_eq!(startup("door", "rtmp://host/live/x", true).await.json()["rtmpUrl"], "rtmp://host/live/x");
    for (name, url, status) in [
        ("door", "http://host/live", 400),
        ("door", "rtmp:", 400),
        ("nobody", "rtmp://host/live", 404),
        ("door", "rtmp://nobody/live", 500),
        ("", "rtmp://host/live", 400),
    ] {
        assert_eq!(startup(name, url, false).await.status, status, "{name} {url}");
    }
    assert_eq!(node.post("push/find_all", &json!({})).await.json().as_array().unwrap().len(), 2);
    let found = node.post("push/find", &json!({ "streamName": "door", "rtmpUrl": "rtmp://host/live" })).await.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["mediaSessionId"]), (1, &begun["mediaSessionId"]));
    assert_eq!(node.post("pull/find_all", &json!({})).await.status, 404, "these are of another kind");
    assert_eq!(node.post("push/terminate", &json!({})).await.status, 400);
    let ended = node.post("push/terminate", &json!({ "mediaSessionId": begun["mediaSessionId"] })).await;
    assert_eq!((ended.status, ended.body.as_str()), (200, ""));
    assert_eq!(node.post("push/find_all", &json!({})).await.json().as_array().unwrap().len(), 1);
}

async fn with_rtmp(permissions: Permissions) -> Node {
    let republish = vec!["rtmp://allowed/live".parse().unwrap()];
    let node = Node::with(Config { republish, ..Config::default() }, permissions).await;
    let target: Arc<dyn Target> = Arc::new(Rtmp);
    node.relays.register(&["rtmp", "rtmps"], &target);
    node
}

/// Publishes with an address to republish to.
async fn publish(page: &mut Page, id: &str, url: &str) {
    let wish = json!({
        "mediaSessionId": id, "name": id, "published": true, "hasAudio": true, "sdp": "offer", "rtmpUrl": url,
    });
    page.send("publishStream", &wish).await;
}

#[tokio::test]
async fn a_publisher_has_its_stream_republished() {
    let node = with_rtmp(Permissions::ALL).await;
    let mut camera = Page::open(&node.uri()).await;
    // Neither an address that is none nor a server that is gone is the stream's end.
    for (id, url) in [("a", "rtmp://host/live/"), ("b", "http://host"), ("c", "rtmp://nobody/live")] {
        publish(&mut camera, id, url).await;
        camera.message("setRemoteSDP").await;
        assert_eq!(camera.status().await, [id, "PUBLISHING", ""]);
    }
    let found = until("the one relay", async || {
        let found = node.post("push/find_all", &json!({})).await;
        (found.status == 200 && found.json().as_array().unwrap().len() == 1).then(|| found.json())
    })
    .await;
    assert_eq!((&found[0]["streamName"], &found[0]["rtmpUrl"]), (&json!("a"), &json!("rtmp://host/live/a")));
    // Who may not ask for relays may not do so by this way, but to where everybody may.
    let node = with_rtmp(Permissions { manage: false, ..Permissions::ALL }).await;
    let mut camera = Page::open(&node.uri()).await;
    publish(&mut camera, "a", "rtmp://host/live").await;
    assert_eq!(camera.status().await, ["a", "FAILED", info::RESTRICTED]);
    camera.publish("p", "door").await;
    assert_eq!(node.relays.list(), []);
    publish(&mut camera, "b", "rtmp://allowed/live/").await;
    camera.message("setRemoteSDP").await;
    assert_eq!(camera.status().await, ["b", "PUBLISHING", ""]);
    assert_eq!(node.relays.list()[0].spec.target, "rtmp://allowed/live/b");
}

/// Has a stream for every address but `rtsp://nobody`, until it is stopped.
struct Rtsp(Hub);

impl Target for Rtsp {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        assert_eq!(spec.direction, Direction::Pull);
        let hub = self.0.clone();
        Box::pin(async move {
            if spec.target.starts_with("rtsp://nobody") {
                return Err("nobody is there".into());
            }
            let publisher = hub.publish(&spec.stream, Publish::by("rtsp"))?;
            for number in 0..3 {
                let time = Timestamp::from_millis(20 * number);
                publisher.push(Frame::media(TrackId::AUDIO, Codec::Opus, time, b"\xfc"[..].into()))?;
            }
            progress.playing();
            progress.stopped().cancelled().await;
            // As one whose connection is lost.
            drop(publisher);
            Ok(())
        })
    }

    fn pulls(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn streams_are_pulled_by_rtsp() {
    let node = Node::start().await;
    let target: Arc<dyn Target> = Arc::new(Rtsp(node.hub.clone()));
    node.relays.register(&["rtsp", "rtsps", "rtsp+udp"], &target);
    let uri = "rtsp://me:secret@cam:8554/live/one";
    let mut page = Page::open(&node.uri()).await;
    page.ask("playStream", "early", uri, "offer").await;
    assert_eq!(page.status().await, ["early", "FAILED", info::STREAM_NOT_FOUND]);
    let started = node.post("rtsp/startup", &json!({ "uri": uri })).await;
    assert_eq!((started.status, started.body.as_str()), (200, ""));
    for (body, status) in [
        (json!({ "uri": uri }), 409),
        (json!({ "uri": "rtsp://other", "localStreamName": "rtsp/cam-8554/live/one" }), 409),
        (json!({ "uri": "rtsp://nobody/x" }), 500),
        (json!({ "uri": "http://cam" }), 400),
        (json!({ "uri": format!("rtsp://cam/{}", "x".repeat(100)) }), 400),
        (json!({}), 400),
    ] {
        assert_eq!(node.post("rtsp/startup", &body).await.status, status, "{body}");
    }
    let named = json!({ "uri": "rtsp://other", "localStreamName": "other" });
    assert_eq!(node.post("rtsp/startup", &named).await.status, 200);
    assert_eq!(node.post("rtsp/find_all", &json!({})).await.json().as_array().unwrap().len(), 2);
    let found = node.post("rtsp/find", &json!({ "uri": uri, "status": "PLAYING" })).await.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["uri"]), (1, &json!(uri)));
    assert_eq!(node.post("rtsp/find", &json!({ "status": "FAILED" })).await.status, 404);
    assert_eq!(node.post("pull/find_all", &json!({})).await.status, 404, "these are of another kind");

    // A page plays it by its address, or by its name.
    page.send("availableStream", &json!({ "mediaSessionId": "v", "name": uri })).await;
    assert_eq!(page.hear("availableStream").await["status"], "true");
    for (id, name) in [("v", uri), ("w", "rtsp/cam-8554/live/one")] {
        page.ask("playStream", id, name, "offer").await;
        assert_eq!(page.message("setRemoteSDP").await["data"][1], "answer rtsp/cam-8554/live/one");
        assert_eq!(page.status().await, [id, "PLAYING", ""]);
    }
    page.ask("publishStream", "p", uri, "offer").await;
    assert_eq!(page.status().await, ["p", "FAILED", info::FAILED]);
    assert_eq!(node.post("rtsp/terminate", &json!({})).await.status, 400);
    let ended = node.post("rtsp/terminate", &json!({ "uri": uri })).await;
    assert_eq!((ended.status, ended.body.as_str()), (200, ""));
    // At once, though the hub waits for publishers that are lost.
    assert!(
        node.hub
            .stream(&StreamName::parse("rtsp/cam-8554/live/one").unwrap())
            .is_none_or(|status| status.viewers.is_empty())
    );
    for _ in 0..2 {
        assert_eq!(page.status().await[1], "STOPPED");
    }
    assert_eq!(node.post("rtsp/terminate", &json!({ "uri": uri })).await.status, 404);
    let name = StreamName::parse("other").unwrap();
    assert!(node.hub.stream(&name).is_some_and(|status| status.publisher.is_some()));
}
