//! RTMP at the public host: in and out beside all other ways, under the access rules, and from host to host.

use std::path::Path;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sluicegate_testbed::media::{Decoded, decode, publish};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};

use crate::stage::{STREAM, Site, Upstream};

const PICTURES: u32 = 50;

/// An upstream with a port for RTMP, and that port.
async fn start(more: &[&str]) -> (Upstream, String) {
    let flags = [&["--rtmp", "127.0.0.1:0"][..], more].concat();
    let mut upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &flags).await;
    let port = upstream.program.says("listening on rtmp://").await.trim_end_matches('/').to_owned();
    (upstream, port)
}

async fn plays(ffmpeg: &Path, urls: &[String]) {
    let decoded = join_all(urls.iter().map(|url| decode(ffmpeg, url, PICTURES))).await;
    for (url, decoded) in urls.iter().zip(decoded) {
        assert_eq!(decoded, Decoded { pictures: PICTURES.into(), complaints: String::new() }, "{url}");
    }
}

#[tokio::test]
async fn what_comes_by_rtmp_goes_everywhere() {
    for peer in [Peer::Ffmpeg, Peer::NewFfmpeg] {
        let Some(ffmpeg) = find(peer) else { return };
        let (upstream, port) = start(&[]).await;
        let url = format!("rtmp://{port}/cams/hall");
        let _publisher = publish(&ffmpeg, &url);
        let seen = api::until_stream(&upstream.address, "cams/hall", "live").await;
        assert_eq!(seen["publisher"], "rtmp", "{seen}");
        let others = [("http", "flv"), ("ws", "flv"), ("http", "mp4"), ("ws", "mp4")];
        let others = others.map(|(scheme, ending)| upstream.url(scheme, &format!("/live/cams/hall.{ending}")));
        plays(&ffmpeg, &[&[url][..], &others].concat()).await;
    }
}

#[tokio::test]
async fn what_comes_by_http_and_from_sites_goes_out_by_rtmp() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let (upstream, port) = start(&[]).await;
    let _publisher = publish(&ffmpeg, &upstream.url("http", "/live/cams/hall.flv"));
    let _site = Site::with_stream(&upstream).await;
    // Nobody has asked for the site's stream: its player makes the site push.
    assert_eq!(api::stream(&upstream.address, STREAM).await["state"], "offered");
    plays(&ffmpeg, &[format!("rtmp://{port}/cams/hall"), format!("rtmp://{port}/{STREAM}")]).await;
    let offered = || async { (api::stream(&upstream.address, STREAM).await["state"] == "offered").then_some(()) };
    until("the end of the site's push", offered).await;
}

#[tokio::test]
async fn tokens_are_those_of_the_other_publishers_and_players() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    let rules = |publish: &str| format!("[access]\npublish_token = '{publish}'\nplay_token = 'look'\n");
    std::fs::write(&path, rules("first")).unwrap();
    let (upstream, port) = start(&["--config", path.to_str().unwrap()]).await;
    let url = |token: &str| format!("rtmp://{port}/cams/hall?token={token}");
    let mut stranger = publish(&ffmpeg, &url("wrong"));
    assert_ne!(stranger.ended().await, Some(0));
    assert!(stranger.said().contains("a valid token is needed"), "{}", stranger.said());
    let publisher = publish(&ffmpeg, &url("first"));
    plays(&ffmpeg, &[url("look")]).await;
    let refused = decode(&ffmpeg, &url("first"), 1).await;
    assert!(refused.pictures == 0 && refused.complaints.contains("a valid token is needed"), "{refused:?}");

    // The rules of a reload hold for those who come.
    publisher.kill().await;
    std::fs::write(&path, rules("second")).unwrap();
    upstream.program.signal("HUP").await;
    let mut upstream = upstream;
    upstream.program.says("reloaded").await;
    let mut late = publish(&ffmpeg, &url("first"));
    assert_ne!(late.ended().await, Some(0));
    let _publisher = publish(&ffmpeg, &url("second"));
    plays(&ffmpeg, &[url("look")]).await;
}

#[tokio::test]
async fn the_same_by_tls() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key, config] =
        ["certificate.pem", "key.pem", "upstream.toml"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&config, "[rtmp]\nlisten_tls = '127.0.0.1:0'\n").unwrap();
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let flags = [&flags[..], &["--config", config.to_str().unwrap()]].concat();
    let (mut upstream, plain) = start(&flags).await;
    let port = upstream.program.says("listening on rtmps://").await.trim_end_matches('/').to_owned();
    let _publisher = publish(&ffmpeg, &format!("rtmps://{port}/cams/hall"));
    plays(&ffmpeg, &[format!("rtmps://{port}/cams/hall"), format!("rtmp://{plain}/cams/hall")]).await;
}

/// Begins a relay by the API and waits until it is in this state; its document then.
async fn relay(upstream: &Upstream, direction: &str, stream: &str, target: &str, state: &str) -> Value {
    let body = json!({ "direction": direction, "stream": stream, "target": target }).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = api::send("POST", &upstream.address, "/api/v1/relays", &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let begun: Value = serde_json::from_slice(&answer.body).unwrap();
    let path = format!("/api/v1/relays/{}", begun["id"]);
    until("the relay", || async {
        Some(api::get(&upstream.address, &path).await).filter(|relay| relay["state"] == state)
    })
    .await
}

#[tokio::test]
async fn relays_go_from_host_to_host() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let ((here, port), (there, other)) = tokio::join!(start(&[]), start(&[]));
    let _publisher = publish(&ffmpeg, &format!("rtmp://{port}/cams/hall"));
    api::until_stream(&here.address, "cams/hall", "live").await;
    let pushed = format!("rtmp://{other}/copies/pushed");
    relay(&here, "push", "cams/hall", &pushed, "PUBLISHING").await;
    let pulled = relay(&there, "pull", "copies/pulled", &format!("rtmp://{port}/cams/hall"), "PLAYING").await;
    assert_eq!((&pulled["protocol"], &pulled["attempts"]), (&"rtmp".into(), &1.into()));
    plays(&ffmpeg, &[pushed, there.url("http", "/live/copies/pulled.flv")]).await;
    // A name that is taken there is told as that server tells it.
    let refused = relay(&there, "push", "copies/pulled", &format!("rtmp://{port}/cams/hall"), "RETRYING").await;
    let reason = refused["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("NetStream.Publish.BadName stream cams/hall is published already, by rtmp"), "{reason}");
    let path = format!("/api/v1/relays/{}", pulled["id"]);
    assert!(api::request("DELETE", &there.address, &path).await.unwrap().status < 300);
    let gone = || async { api::stream(&there.address, "copies/pulled").await.is_null().then_some(()) };
    until("the end of the pull", gone).await;
}
