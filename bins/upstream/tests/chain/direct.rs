//! A browser plays a site's stream straight from the site: the offer goes through the link, media does not.

use sluicegate_testbed::api;
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};

use crate::stage::{OFFERED, SITE, STREAM, Site, Upstream};
use crate::webrtc::{call, page, pictures_advance, publish_encoded};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_comes_straight_from_the_site() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    let mut viewer = page(&chromium, &upstream).await;
    let url = upstream.url("http", &format!("/whep/{STREAM}?via=site"));
    assert_eq!(call(&mut viewer, "play", &url).await, true);
    pictures_advance(&mut viewer).await;
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0.001)").await;
    // The upstream has sent nothing of it, and was never asked to have it pushed.
    let stream = api::stream(&upstream.address, STREAM).await;
    assert_eq!((&stream["state"], &stream["bytes_in"]), (&"offered".into(), &0.into()), "{stream}");
    assert_eq!(viewer.value("fetch(session, {method: 'DELETE'}).then(({status}) => status)").await, 200);
    viewer.until("pc.connectionState !== 'connected'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_of_m7s_works_in_every_spelling_of_the_proxy() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    for path in [
        format!("/webrtc/play/{STREAM}"),
        format!("/erwscascade/httpproxy/webrtc/play/{OFFERED}?cid={SITE}"),
        format!("/erwscascade/httpproxy?cid={SITE}&httpPath=/webrtc/play/{OFFERED}"),
        format!("/proxy/{SITE}/m7s/webrtc/play/{OFFERED}"),
    ] {
        let mut viewer = page(&chromium, &upstream).await;
        assert_eq!(call(&mut viewer, "playM7s", &upstream.url("http", &path)).await, true, "{path}");
        pictures_advance(&mut viewer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_by_which_way_it_plays() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    for (site_has_it, way) in [("true", "WebRTC from the site"), ("false", "WebRTC")] {
        let upstream = Upstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("site.toml");
        std::fs::write(&config, format!("[webrtc]\nenabled = {site_has_it}\n")).unwrap();
        let stream = format!("{OFFERED}=file:{}", sluicegate_testbed::media::sample().display());
        let _site = Site::dial(&upstream, &["--config", config.to_str().unwrap(), "--stream", &stream]);
        api::until_site(&upstream.address, SITE).await;
        let mut browser = Browser::open(&chromium, &upstream.url("http", "/")).await;
        browser.until("!!document.querySelector('#streams button')").await;
        browser.value("document.querySelector('#streams button').click()").await;
        browser.until(&format!("document.getElementById('facts').textContent.endsWith('· {way}')")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_site_has_is_not_found() {
    let upstream = Upstream::start().await;
    let answer = api::request("POST", &upstream.address, "/whep/cams/none?via=site").await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(answer.text().contains("no site that is connected"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_goes_on_when_the_encoder_comes_back_with_another_codec() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::NewFfmpeg)) else { return };
    let upstream = Upstream::start().await;
    let url = upstream.url("http", "/live/studio/a.flv");
    let first = publish_encoded(&ffmpeg, &url, "-c:v libx264 -preset ultrafast -tune zerolatency -c:a aac");
    api::until_stream(&upstream.address, "studio/a", "live").await;
    let mut browser = Browser::open(&chromium, &upstream.url("http", "/")).await;
    browser.until("!!document.querySelector('#streams button')").await;
    browser.value("document.querySelector('#streams button').click()").await;
    browser.until("document.getElementById('facts').textContent.endsWith('· WebRTC')").await;
    let codec = async |browser: &mut Browser, wanted: &str| {
        let receiver = "stage.cells[0].player.player.pc.getReceivers().find(({track}) => track.kind === 'video')";
        let now = format!(
            "import('/page/app.js').then(({{stage}}) => {receiver}.getStats()).then((all) =>
            [...all.values()].find(({{type}}) => type === 'codec')?.mimeType === 'video/{wanted}')"
        );
        browser.until(&now).await;
    };
    codec(&mut browser, "H264").await;
    first.kill().await;
    let _second = publish_encoded(&ffmpeg, &url, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus");
    codec(&mut browser, "VP9").await;
    let decoded = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames";
    let before = browser.value(decoded).await.as_u64().unwrap();
    browser.until(&format!("{decoded} > {before} + 15 || {decoded} < {before}")).await;
}
