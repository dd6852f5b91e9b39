//! A person opens the first page in Chromium, clicks a site's stream and watches it. WebRTC is in `direct.rs`.

use std::path::Path;

use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, media};

use crate::device::Device;
use crate::stage::{OFFERED, SITE, STREAM, Site, Upstream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_plays_the_stream() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    let mut browser = Browser::open(&chromium, &upstream.url("http", "/?way=mp4")).await;
    let card =
        format!("[...document.querySelectorAll('#streams button')].find((b) => b.innerText.includes('{STREAM}'))");
    browser.until(&format!("!!({card})")).await;
    browser.value(&format!("({card}).click()")).await;

    let decoded = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames";
    browser.until("document.getElementById('video').currentTime > 0").await;
    browser.until(&format!("{decoded} >= 25")).await;
    let before = browser.value("document.getElementById('video').currentTime").await.as_f64().unwrap();
    browser.until(&format!("document.getElementById('video').currentTime > {before} + 1")).await;
    let size = browser.value("[video.videoWidth, video.videoHeight].join('x')").await;
    assert_eq!(size, "640x360");
    let message = browser.value("document.getElementById('message').textContent").await;
    assert_eq!(message, "", "the player complains");
    // A path, not a scratch folder: a person may want to look at it.
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    browser.screenshot(&shots.join("page.png")).await;

    let stream = api::stream(&upstream.address, STREAM).await;
    assert_eq!(stream["state"], "live", "{stream}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_streams_play_side_by_side() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let names = ["a/1", "a/2", "a/3", "a/4"];
    let streams: Vec<_> = names.iter().map(|name| format!("{name}=file:{}", media::sample().display())).collect();
    let more: Vec<_> = streams.iter().flat_map(|stream| ["--stream", stream]).collect();
    let _site = Site::dial(&upstream, &more);
    api::until_site(&upstream.address, SITE).await;
    // The plugin's page leads to ours.
    let page = api::request("GET", &upstream.address, "/erwscascade/ui/split4").await.unwrap();
    assert!(page.status == 307 && page.head.to_ascii_lowercase().contains("location: /?split=4"), "{}", page.head);
    let mut browser = Browser::open(&chromium, &upstream.url("http", "/?split=4")).await;
    browser.until("document.querySelectorAll('#streams button').length === 4").await;
    browser.value("document.querySelectorAll('#streams button').forEach((button) => button.click())").await;
    browser
        .until("[...document.querySelectorAll('.cell video')].filter((v) => v.currentTime > 0.5).length === 4")
        .await;
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    browser.screenshot(&shots.join("split.png")).await;
    browser.value("document.querySelector('[data-cells=\"1\"]').click()").await;
    browser.until("document.querySelectorAll('.cell').length === 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_with_tokens_asks_for_one_and_plays() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    std::fs::write(&path, "[access]\napi_token = 'sesame'\nplay_token = 'sesame'\n").unwrap();
    let more = ["--config", path.to_str().unwrap()];
    let upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
    let stream = format!("{OFFERED}=file:{}", media::sample().display());
    let _site = Site::dial(&upstream, &["--stream", &stream]);
    let mut browser = Browser::open(&chromium, &upstream.url("http", "/")).await;
    browser.until("!document.getElementById('token-form').hidden").await;
    browser.value("document.getElementById('token').value = 'sesame'").await;
    browser.value("document.getElementById('token-form').requestSubmit()").await;
    let card = "document.querySelector('#streams button')";
    browser.until(&format!("!!{card}")).await;
    browser.value(&format!("{card}.click()")).await;
    browser.until("document.getElementById('video').currentTime > 0.5").await;
    assert_eq!(browser.value("document.getElementById('token-form').hidden").await, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sites_page_works_in_its_sandbox() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let device = Device::start().await;
    let _site = Site::dial(&upstream, &["--service", &format!("web={}", device.url())]);
    api::until_site(&upstream.address, SITE).await;
    let mut browser = Browser::open(&chromium, &upstream.url("http", &format!("/proxy/{SITE}/web/"))).await;
    let title = browser.until("document.title").await;
    assert_eq!(title, "device");
    browser.until("document.body.dataset.script === 'ran'").await;
    // A sandboxed page has an origin of its own, so it cannot act as the page of the upstream.
    assert_eq!(browser.value("self.origin").await, "null");
}
