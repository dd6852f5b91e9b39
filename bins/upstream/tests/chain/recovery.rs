//! A site that is killed leaves at once; an upstream that is restarted has its sites again.

use sluicegate_testbed::media::{Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};

use crate::stage::{SITE, STREAM, Site, Upstream};

#[tokio::test]
async fn a_killed_site_is_gone_and_may_return() {
    let upstream = Upstream::start().await;
    let site = Site::with_stream(&upstream).await;
    site.program.kill().await;
    until("the site's leaving", || async {
        api::get(&upstream.address, "/api/v1/sites").await.as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    let _again = Site::with_stream(&upstream).await;
    assert_eq!(api::stream(&upstream.address, STREAM).await["site"], SITE);
}

#[tokio::test]
async fn a_restarted_upstream_serves_the_site_again() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    let upstream = upstream.crash_and_return().await;
    api::until_site(&upstream.address, SITE).await;
    let url = upstream.url("http", &format!("/live/{STREAM}.flv"));
    assert_eq!(decode(&ffmpeg, &url, 25).await, Decoded { pictures: 25, complaints: String::new() });
}

#[tokio::test]
async fn an_ended_upstream_says_goodbye() {
    let mut upstream = Upstream::start().await;
    upstream.program.signal("TERM").await;
    assert_eq!(upstream.program.ended().await, Some(0), "{}", upstream.program.said());
}
