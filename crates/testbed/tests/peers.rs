//! The peers do what chain tests rely on: a decoder's complaint is heard, and a browser's page can be asked.

use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::media::{Decoded, decode, sample};
use sluicegate_testbed::peer::{Peer, find};

#[tokio::test]
async fn a_damaged_stream_is_complained_about() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let good = decode(&ffmpeg, sample().to_str().unwrap(), 250).await;
    assert_eq!(good, Decoded { pictures: 250, complaints: String::new() });

    let mut bytes = std::fs::read(sample()).unwrap();
    bytes[60_000..61_000].fill(0xA5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.flv");
    std::fs::write(&path, bytes).unwrap();
    let damaged = decode(&ffmpeg, path.to_str().unwrap(), 250).await;
    assert!(damaged.pictures < 250 || !damaged.complaints.is_empty(), "{damaged:?}");
}

#[tokio::test]
async fn a_page_can_be_asked() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let page = "data:text/html,<title>here</title><button onclick='document.title = String(6 * 7)'>go</button>";
    let mut browser = Browser::open(&chromium, page).await;
    browser.until("document.title === 'here'").await;
    browser.value("document.querySelector('button').click()").await;
    assert_eq!(browser.value("Promise.resolve(document.title)").await, "42");
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("shots/page.png");
    browser.screenshot(&picture).await;
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
}
