//! RTMPS: the same over TLS, verified by default.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use sluicegate_hub::{Publish, Viewer};
use sluicegate_net::tls::{ClientTls, ServerTls};
use sluicegate_rtmp::{Config, Limits, client};
use sluicegate_testbed::media::{Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::soon;

use crate::stage::{Stage, name};

#[tokio::test]
async fn a_stream_is_played_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let tls = ServerTls::from_files(&certificate, &key).unwrap();
    let stage = Stage::with(Config::default(), None, Some(tls)).await;
    let (_publisher, target, url) = (stage.publish("cams/hall"), Stage::start().await, stage.url("cams/hall"));
    assert_eq!(url.scheme(), "rtmps");

    let publish = || target.hub.publish(&name("copy"), Publish::by("test"));
    let native = ClientTls::native().unwrap();
    let stranger = client::pull(&url, &native, Limits::default(), publish);
    let refused = soon("a refusal", stranger).await.unwrap_err().reason();
    assert!(refused.contains("certificate"), "{refused}");

    let trusting = ClientTls::with_authorities(&certificate).unwrap();
    let mut viewer = target.hub.subscribe(&name("copy"), Viewer::by("test"));
    let (pull_url, hub) = (url.clone(), target.hub.clone());
    let pulling = tokio::spawn(async move {
        client::pull(&pull_url, &trusting, Limits::default(), || hub.publish(&name("copy"), Publish::by("test"))).await
    });
    for _ in 0..25 {
        soon("a batch", viewer.next()).await.unwrap();
    }
    pulling.abort();

    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let decoded = decode(&ffmpeg, url.as_str(), 25).await;
    assert_eq!(decoded, Decoded { pictures: 25, complaints: String::new() });
}
