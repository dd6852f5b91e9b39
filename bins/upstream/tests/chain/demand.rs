//! A site pushes its stream while somebody watches it, and sends nothing when nobody does.

use std::time::Duration;

use sluicegate_testbed::media::{Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};
use tokio::time::{Instant, sleep};

use crate::stage::{SITE, STREAM, Site, Upstream};

/// How long the last viewer's leaving may take to reach the site: its release after 5 s, or its lease after 10 s.
const RELEASED: Duration = Duration::from_secs(16);
/// How long nothing must come; a second of the sample has 17 kB.
const FLAT: Duration = Duration::from_secs(2);

async fn media_bytes(upstream: &Upstream) -> u64 {
    api::site(&upstream.address, SITE).await["media_bytes_in"].as_u64().unwrap()
}

#[tokio::test]
async fn nobody_watches_and_nothing_is_sent() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    assert_eq!(api::stream(&upstream.address, STREAM).await["state"], "offered");
    // The pause is what is measured, not a wait for something to happen.
    sleep(FLAT).await;
    assert_eq!(media_bytes(&upstream).await, 0);

    let url = upstream.url("http", &format!("/live/{STREAM}.flv"));
    let decoded = decode(&ffmpeg, &url, 25).await;
    assert_eq!(decoded, Decoded { pictures: 25, complaints: String::new() });
    let left = Instant::now();
    let mut bytes = media_bytes(&upstream).await;
    assert!(bytes > 0);
    loop {
        sleep(FLAT).await;
        let now = media_bytes(&upstream).await;
        if now == bytes {
            break;
        }
        assert!(left.elapsed() < RELEASED, "the site still sends after {:?}", left.elapsed());
        bytes = now;
    }
    api::until_stream(&upstream.address, STREAM, "offered").await;
    assert_eq!(media_bytes(&upstream).await, bytes);
}

#[tokio::test]
async fn a_stream_without_viewers_can_be_asked_for_again() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    for ending in ["flv", "mp4"] {
        let url = upstream.url("http", &format!("/live/{STREAM}.{ending}"));
        let decoded = decode(&ffmpeg, &url, 25).await;
        assert_eq!(decoded, Decoded { pictures: 25, complaints: String::new() }, "{url}");
        let gone = || async { (api::stream(&upstream.address, STREAM).await["state"] == "offered").then_some(()) };
        until("the release", gone).await;
    }
}
