//! Relays by WCS between two upstreams, as tools and operators see them.

use serde_json::{Value, json};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};

use crate::proxy::curl;
use crate::stage::{STREAM, Site, Upstream};
use crate::wcs::Node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sites_stream_goes_by_tls_to_a_node_that_wants_a_token() {
    let Some(path) = find(Peer::Curl) else { return };
    let access = "[access]\napi_token = 'api'\npublish_token = 'secret'\n";
    let (two, uri, folder) = Node::secure(access).await;
    let certificate = folder.path().join("certificate.pem");
    let trusting = format!("[wcs]\nlisten = ['127.0.0.1:0']\nca_file = '{}'\n", certificate.display());
    let (one, stranger) = (Node::with(&trusting).await, Node::with("[wcs]\nlisten = ['127.0.0.1:0']\n").await);
    let (_site, _other) = (Site::with_stream(&one.upstream).await, Site::with_stream(&stranger.upstream).await);

    let push = |uri: &str| json!({ "uri": uri, "localStreamName": STREAM, "remoteStreamName": "copy" });
    let (status, why) = one.post("pull/push", &push(&uri)).await;
    assert!(status == 500 && why.contains("Restricted access"), "{status} {why}");
    let shown = format!("{uri}/?token=secret");
    let (status, why) = stranger.post("pull/push", &push(&shown)).await;
    assert!(status == 500 && why.contains("certificate"), "{status} {why}");
    assert_eq!(one.post("pull/push", &push(&shown)).await, (200, String::new()));
    assert_eq!(two.post("stream/find", &json!({ "name": "copy" })).await.0, 401, "that is the API's");
    let (authority, url) = (certificate.to_str().unwrap(), two.upstream.url("https", "/api/v1/streams/copy"));
    let flows = until("frames", || async {
        let shown = curl(&path, &["--cacert", authority, "-H", "Authorization: Bearer api", &url]).await;
        let stream: Value = serde_json::from_slice(&shown).ok()?;
        (stream["frames_in"].as_u64()? > 100).then_some(stream)
    })
    .await;
    assert_eq!((&flows["publisher"], flows["tracks"].as_array().unwrap().len()), (&json!("wcs"), 2), "{flows}");
}

/// Waits for the one relay to be in a state.
async fn until_relay(upstream: &Upstream, state: &str) -> Value {
    until(state, || async {
        let list = api::get(&upstream.address, "/api/v1/relays").await;
        Some(list[0].clone()).filter(|relay| relay["state"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_of_the_api_is_tried_again_and_kept_over_a_restart() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let site = Site::with_stream(&one).await;
    let relay = json!({
        "direction": "push", "protocol": "wcs", "stream": STREAM, "target": two.url("ws", ""), "remote": "copy",
        "saved": true,
    });
    let body = relay.to_string();
    let begun = api::send("POST", &one.address, "/api/v1/relays", &[], body.as_bytes()).await.unwrap();
    assert_eq!(begun.status, 201, "{}", begun.text());
    until_relay(&one, "PUBLISHING").await;
    api::until_stream(&two.address, "copy", "live").await;
    // The far side goes and returns.
    let two = two.crash_and_return().await;
    api::until_stream(&two.address, "copy", "live").await;
    let again = until_relay(&one, "PUBLISHING").await;
    assert!(again["attempts"].as_u64().unwrap() > 1, "{again}");
    // So does this one, and its site.
    drop(site);
    let one = one.crash_and_return().await;
    let _site = Site::with_stream(&one).await;
    let again = until_relay(&one, "PUBLISHING").await;
    assert_eq!((&again["saved"], &again["remote"]), (&json!(true), &json!("copy")));
    api::until_stream(&two.address, "copy", "live").await;
    let path = format!("/api/v1/relays/{}", again["id"]);
    assert_eq!(api::request("DELETE", &one.address, &path).await.unwrap().status, 204);
    until_relay(&one, "STOPPED").await;
    api::gone(&two.address, "copy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_republished_by_rtmp() {
    let mut two = Node::with("[wcs]\nlisten = ['127.0.0.1:0']\n[rtmp]\nlisten = '127.0.0.1:0'\n").await;
    let rtmp = two.upstream.program.says("listening on rtmp://").await;
    let rtmp = format!("rtmp://{}/live", rtmp.trim_end_matches('/'));
    let one = Node::with("[wcs]\nlisten = ['127.0.0.1:0']\n").await;
    let _site = Site::with_stream(&one.upstream).await;
    let startup = json!({ "streamName": STREAM, "rtmpUrl": format!("{rtmp}/copy"), "rtmpTransponderFullUrl": true });
    let (status, begun) = one.post("push/startup", &startup).await;
    let begun: Value = serde_json::from_str(&begun).unwrap();
    assert_eq!((status, &begun["streamName"]), (200, &json!(STREAM)), "{begun}");
    let name = api::until_stream(&two.upstream.address, "live/copy", "live").await;
    assert_eq!(name["publisher"], "rtmp");
    assert_eq!(one.post("push/startup", &startup).await.0, 409);
    let (status, _) = one.post("push/terminate", &json!({ "mediaSessionId": begun["mediaSessionId"] })).await;
    assert_eq!(status, 200);
    api::gone(&two.upstream.address, "live/copy").await;
    drop(two);
    let (status, _) = one.post("push/startup", &startup).await;
    assert_eq!((status, one.post("push/find_all", &json!({})).await.0), (500, 404), "nobody is there any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_says_so() {
    let configuration = "[wcs]\nlisten = ['127.0.0.1:0']\n";
    let (mut one, two) = (Node::with(configuration).await, Node::with(configuration).await);
    let _site = Site::with_stream(&one.upstream).await;
    let push = json!({ "uri": two.uri(), "localStreamName": STREAM, "remoteStreamName": "copy" });
    assert_eq!(one.post("pull/push", &push).await, (200, String::new()));
    one.upstream.program.signal("TERM").await;
    api::gone(&two.upstream.address, "copy").await;
    assert_eq!(one.upstream.program.ended().await, Some(0));
}

/// The value of a counter or gauge; `None` where it has never been moved.
async fn metric(upstream: &Upstream, name: &str) -> Option<f64> {
    let text = api::request("GET", &upstream.address, "/metrics").await.unwrap().text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(ToOwned::to_owned));
    line.and_then(|value| value.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_relays_leave_nothing() {
    let configuration = "[wcs]\nlisten = ['127.0.0.1:0']\n";
    let (one, two) = (Node::with(configuration).await, Node::with(configuration).await);
    let _site = Site::with_stream(&one.upstream).await;
    let push = json!({ "uri": two.uri(), "localStreamName": STREAM, "remoteStreamName": "copy" });
    let pull = json!({ "uri": one.uri(), "localStreamName": "copy", "remoteStreamName": STREAM });
    let mut before = None;
    for round in 0..50 {
        for (node, method, body) in [(&one, "pull/push", &push), (&two, "pull/pull", &pull)] {
            assert_eq!(node.post(method, body).await, (200, String::new()), "round {round}");
            assert_eq!(node.post("pull/terminate", body).await, (200, String::new()), "round {round}");
        }
        before = before.or_else(|| Some([&one, &two].map(|node| node.upstream.program.descriptors())));
    }
    let before = before.unwrap();
    for (node, before) in [&one, &two].into_iter().zip(before) {
        until("the end of all sessions", || async {
            let rtc = metric(&node.upstream, "sluicegate_rtc_driver_sessions").await?;
            let wcs = metric(&node.upstream, "sluicegate_wcs_sessions").await?;
            // One more is this request, and one may be the last one's.
            let few = node.upstream.program.descriptors() <= before + 2;
            (rtc == 0.0 && wcs == 0.0 && few).then_some(())
        })
        .await;
        assert_eq!(api::get(&node.upstream.address, "/api/v1/relays").await, json!([]));
    }
}
