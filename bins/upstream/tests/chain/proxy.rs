//! curl reaches a site's web page through the tunnel, and nothing that the site does not list.

use std::path::Path;

use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, soon};
use tokio::process::Command;

use crate::device::Device;
use crate::stage::{SITE, Site, Upstream};

pub(crate) async fn curl(curl: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(curl);
    command.args(["--silent", "--show-error", "--max-time", "20"]).args(arguments).kill_on_drop(true);
    let output = soon("curl", command.output()).await.unwrap();
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn curl_reaches_the_device() {
    let Some(path) = find(Peer::Curl) else { return };
    let (upstream, device) = (Upstream::start().await, Device::start().await);
    let _site = Site::dial(&upstream, &["--service", &format!("web={}", device.url())]);
    api::until_site(&upstream.address, SITE).await;
    let at = |rest: &str| upstream.url("http", &format!("/proxy/{SITE}/{rest}"));

    let page = String::from_utf8(curl(&path, &["--include", &at("web/")]).await).unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>device</title>"), "{page}");
    let lower = page.to_ascii_lowercase();
    assert!(lower.contains("x-device: yes") && lower.contains("content-security-policy: sandbox"), "{page}");

    let answer = curl(&path, &["--include", &at("web/teapot?leaf=green")]).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 418") && answer.ends_with("short and stout"), "{answer}");

    let folder = tempfile::tempdir().unwrap();
    let (sent, upload): (Vec<u8>, _) = ((0..=255).cycle().take(3 << 20).collect(), folder.path().join("upload"));
    std::fs::write(&upload, &sent).unwrap();
    let data = format!("@{}", upload.display());
    assert!(curl(&path, &["--data-binary", &data, &at("web/echo")]).await == sent, "the echo differs");
}

#[tokio::test]
async fn what_is_not_listed_is_refused() {
    let Some(path) = find(Peer::Curl) else { return };
    let (upstream, device) = (Upstream::start().await, Device::start().await);
    let _site = Site::dial(&upstream, &["--service", &format!("web={}", device.url())]);
    api::until_site(&upstream.address, SITE).await;
    for (rest, status) in [(format!("{SITE}/camera/"), "403"), ("nobody/web/".to_owned(), "404")] {
        let url = upstream.url("http", &format!("/proxy/{rest}"));
        let answer = String::from_utf8(curl(&path, &["--include", &url]).await).unwrap();
        let head = answer.to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{url}: {answer}");
        assert!(head.contains("application/problem+json"), "{url}: {answer}");
    }
}
