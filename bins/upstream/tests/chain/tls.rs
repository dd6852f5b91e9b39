//! The public port with a certificate: browsers and sites come by TLS, and a site verifies by default.

use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::until;

use crate::device::Device;
use crate::proxy::curl;
use crate::stage::{SITE, Site, Upstream};

#[tokio::test]
async fn a_site_and_curl_come_by_tls() {
    let Some(path) = find(Peer::Curl) else { return };
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let state = tempfile::tempdir().unwrap();
    let flags = ["--tls-cert", certificate, "--tls-key", key];
    let upstream = Upstream::start_at("127.0.0.1:0", state, &flags).await;
    let device = Device::start().await;
    let service = format!("web={}", device.url());

    let mut careful = Site::dial_by("wss", &upstream, &["--service", &service]);
    careful.program.says("cannot connect").await;
    drop(careful);

    let _site = Site::dial_by("wss", &upstream, &["--insecure", "--service", &service]);
    let sites = upstream.url("https", "/api/v1/sites");
    until("the site", || async {
        let list = curl(&path, &["--cacert", certificate, &sites]).await;
        String::from_utf8_lossy(&list).contains(SITE).then_some(())
    })
    .await;
    let url = upstream.url("https", &format!("/proxy/{SITE}/web/"));
    let page = curl(&path, &["--cacert", certificate, &url]).await;
    assert!(String::from_utf8_lossy(&page).contains("<title>device</title>"));
}
