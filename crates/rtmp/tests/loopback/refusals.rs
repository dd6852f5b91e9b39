//! Who is refused, and what the refusal says.

use std::time::Duration;

use sluicegate_hub::{Publish, Viewer};
use sluicegate_net::tls::ClientTls;
use sluicegate_rtmp::{Config, Error, Limits, client};
use sluicegate_testbed::{soon, until};
use tokio_util::sync::CancellationToken;

use crate::encoder::Script;
use crate::stage::{Stage, name};

/// Pushes a stream of `from` to `stage` under a name, and says why that ends.
async fn pushed(from: &Stage, stage: &Stage, stream: &str) -> String {
    let (subscriber, tls) = (from.hub.subscribe(&name("cams/hall"), Viewer::by("test")), ClientTls::native().unwrap());
    let url = stage.url(stream);
    let push = client::push(&url, &tls, subscriber, &from.outputs, CancellationToken::new(), || {});
    soon("a refusal", push).await.unwrap_err().reason()
}

async fn pulled(stage: &Stage, stream: &str) -> Error {
    let (url, tls) = (stage.url(stream), ClientTls::native().unwrap());
    let publish = || stage.hub.publish(&name("copy"), Publish::by("test"));
    soon("a refusal", client::pull(&url, &tls, Limits::default(), publish)).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_token_opens_nothing() {
    let (from, stage) = (Stage::start().await, Stage::with(Config::default(), Some("secret"), None).await);
    let _publisher = from.publish("cams/hall");
    for stream in ["cams/door", "cams/door?token=wrong", "cams/door?token=", "cams/door?key=secret"] {
        let reason = pushed(&from, &stage, stream).await;
        assert!(reason.contains("NetStream.Publish.Denied a valid token is needed"), "{reason}");
        let reason = pulled(&stage, stream).await.reason();
        assert!(reason.contains("NetStream.Play.Failed a valid token is needed"), "{reason}");
    }
    assert_eq!(stage.hub.stream(&name("cams/door")), None);
    let stop = CancellationToken::new();
    let subscriber = from.hub.subscribe(&name("cams/hall"), Viewer::by("test"));
    let (tls, url, started) = (ClientTls::native().unwrap(), stage.url("cams/door?token=secret"), stop.clone());
    let push = client::push(&url, &tls, subscriber, &from.outputs, stop, || started.cancel());
    soon("the push", push).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_taken_or_none() {
    let (from, stage) = (Stage::start().await, Stage::start().await);
    let _publishers = (from.publish("cams/hall"), stage.publish("cams/door"));
    let reason = pushed(&from, &stage, "cams/door").await;
    assert!(reason.contains("NetStream.Publish.BadName stream cams/door is published already, by test"), "{reason}");
    let reason = pushed(&from, &stage, "cams/a%20b").await;
    assert!(reason.contains("NetStream.Publish.BadName stream name: only letters"), "{reason}");
}

#[tokio::test]
async fn a_stream_that_does_not_come() {
    let config = Config { wait: Duration::from_millis(200), ..Config::default() };
    let stage = Stage::with(config, None, None).await;
    let reason = pulled(&stage, "cams/none").await.reason();
    assert!(reason.contains("NetStream.Play.StreamNotFound stream cams/none does not exist"), "{reason}");
}

#[tokio::test]
async fn a_publisher_that_falls_silent_loses_the_name() {
    let config = Config { publisher_silence: Duration::from_millis(300), ..Config::default() };
    let stage = Stage::with(config, None, None).await;
    let mut encoder = Script::connect(&stage).await;
    encoder.publishes("hall").await;
    encoder.hears("NetStream.Publish.Start").await;
    encoder.hears("nothing was received for 300ms").await;
    until("the name's release", || async { stage.hub.stream(&name("cams/hall")).is_none().then_some(()) }).await;
}

#[tokio::test]
async fn a_stream_that_the_operator_cuts() {
    let stage = Stage::start().await;
    let mut encoder = Script::connect(&stage).await;
    encoder.publishes("hall").await;
    encoder.hears("NetStream.Publish.Start").await;
    assert!(stage.hub.cut(&name("cams/hall")));
    encoder.hears("NetStream.Publish.Rejected").await;
    encoder.reads_to_the_end().await;
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let stage = Stage::with(Config { connections: 1, ..Config::default() }, None, None).await;
    let first = Script::connect(&stage).await;
    let mut second = std::pin::pin!(Script::connect(&stage));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "served beside the only one");
    drop(first);
    second.await.plays("none").await;
}

/// A server that answers the handshake and takes nothing more.
#[tokio::test]
async fn a_server_that_breaks_off_is_told_as_it_is() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let from = Stage::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/x", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut first = vec![0; 1_537];
        socket.read_exact(&mut first).await.unwrap();
        socket.write_all(&[&[3][..], &[0; 1_536], &first[1..]].concat()).await.unwrap();
        // The answer to this, and connect; then a message of 16 MiB is announced.
        socket.read_exact(&mut first[1..]).await.unwrap();
        socket.write_all(&[3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0]).await.unwrap();
        let _ = socket.read_to_end(&mut first).await;
    });
    let (subscriber, tls) = (from.hub.subscribe(&name("cams/hall"), Viewer::by("test")), ClientTls::native().unwrap());
    let push = client::push(&url, &tls, subscriber, &from.outputs, CancellationToken::new(), || {});
    let error = soon("an error", push).await.unwrap_err();
    assert_eq!(error.reason(), "a message of 16777215 bytes, more than the limit of 8388608");
}
