//! ffmpeg publishes by every way in and decodes every way out without a complaint.

use futures_util::future::join_all;
use sluicegate_testbed::media::{Decoded, decode, publish, publish_by_websocket};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};

use crate::stage::Upstream;

/// Pictures that each viewer decodes: two seconds.
const PICTURES: u32 = 50;

async fn plays_everywhere(upstream: &Upstream, decoder: &std::path::Path, name: &str) {
    let video = until("a video track", || async {
        let stream = api::stream(&upstream.address, name).await;
        stream["tracks"].as_array()?.iter().find(|track| track["kind"] == "video").cloned()
    })
    .await;
    assert_eq!((&video["width"], &video["height"]), (&640.into(), &360.into()), "{video}");
    let outputs = [("http", "flv"), ("ws", "flv"), ("http", "mp4"), ("ws", "mp4")];
    let urls = outputs.map(|(scheme, ending)| upstream.url(scheme, &format!("/live/{name}.{ending}")));
    let decoded = join_all(urls.iter().map(|url| decode(decoder, url, PICTURES))).await;
    let good = Decoded { pictures: PICTURES.into(), complaints: String::new() };
    for (url, decoded) in urls.iter().zip(decoded) {
        assert_eq!(decoded, good, "{url}");
    }
}

#[tokio::test]
async fn published_by_http() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let _publisher = publish(&ffmpeg, &upstream.url("http", "/live/cams/hall.flv"));
    plays_everywhere(&upstream, &ffmpeg, "cams/hall").await;
}

#[tokio::test]
async fn published_by_websocket() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let _publisher = publish_by_websocket(&ffmpeg, &upstream.url("ws", "/publish?app=cams&stream=hall"));
    plays_everywhere(&upstream, &ffmpeg, "cams/hall").await;
}

#[tokio::test]
async fn a_new_ffmpeg_does_as_well() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    let upstream = Upstream::start().await;
    let _publisher = publish(&ffmpeg, &upstream.url("http", "/live/cams/hall.flv"));
    plays_everywhere(&upstream, &ffmpeg, "cams/hall").await;
}
