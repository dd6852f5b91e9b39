//! A site offers what a command writes, what other servers play, and what an encoder publishes to it.

use std::path::Path;

use sluicegate_testbed::media::{Decoded, decode, looped, publish};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, soon};

use crate::stage::{SITE, STREAM, Site, Upstream};

async fn plays(ffmpeg: &Path, upstream: &Upstream) {
    let url = upstream.url("http", &format!("/live/{STREAM}.flv"));
    assert_eq!(decode(ffmpeg, &url, 25).await, Decoded { pictures: 25, complaints: String::new() });
}

#[tokio::test]
async fn a_command() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::dial(&upstream, &["--stream", &format!("cams/door=exec:{} -", looped(&ffmpeg))]);
    api::until_site(&upstream.address, SITE).await;
    plays(&ffmpeg, &upstream).await;
}

#[tokio::test]
async fn another_server_by_http_and_websocket() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    // Any server that plays FLV will do; ours is at hand.
    let camera = Upstream::start().await;
    let _publisher = publish(&ffmpeg, &camera.url("http", "/live/a/b.flv"));
    api::until_stream(&camera.address, "a/b", "live").await;
    for scheme in ["http", "ws"] {
        let upstream = Upstream::start().await;
        let source = format!("cams/door={}", camera.url(scheme, "/live/a/b.flv"));
        let _site = Site::dial(&upstream, &["--stream", &source]);
        api::until_site(&upstream.address, SITE).await;
        plays(&ffmpeg, &upstream).await;
    }
}

#[tokio::test]
async fn an_encoder_at_the_site() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let mut site = Site::dial(&upstream, &["--stream", "cams/door=listen:127.0.0.1:0"]);
    api::until_site(&upstream.address, SITE).await;
    let said = soon("the encoder's address", site.program.says("address=127.0.0.1:")).await;
    let port = said.split_whitespace().next().unwrap();
    let _encoder = publish(&ffmpeg, &format!("http://127.0.0.1:{port}/live/cams/door.flv"));
    plays(&ffmpeg, &upstream).await;
}
