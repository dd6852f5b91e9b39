//! Whoever goes away, the other side learns it at once.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::{get, request, send};
use crate::stage::Stage;

/// Far above what a cancellation takes (milliseconds), far below any deadline of the proxy (30 s).
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_client_that_leaves_before_the_head_cancels_at_the_device() {
    let stage = Stage::new().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET /proxy/cam-7/web/never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(stage.device.event().await, "asked");
    let start = Instant::now();
    drop(stream);
    assert_eq!(stage.device.event().await, "never dropped");
    assert!(start.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn a_client_that_leaves_an_endless_answer_cancels_at_the_device() {
    let stage = Stage::new().await;
    let mut answer = get(stage.address, "web/fed").await;
    stage.device.feed(b"tick").await;
    answer.data().await.unwrap().unwrap();
    let start = Instant::now();
    drop(answer);
    assert_eq!(stage.device.event().await, "fed dropped");
    assert!(start.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_broken_at_the_device() {
    let stage = Stage::new().await;
    for framing in ["transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "content-length: 100\r\n\r\nhello"] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        let head = format!("POST /proxy/cam-7/web/upload HTTP/1.1\r\nhost: x\r\n{framing}");
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(stage.device.event().await, "upload began");
        drop(stream);
        assert_eq!(stage.device.event().await, "upload broken", "{framing}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_as_broken() {
    let stage = Stage::new().await;
    let mut answer = get(stage.address, "web/broken").await;
    assert_eq!(answer.status(), 200);
    let mut broken = false;
    while let Some(piece) = answer.data().await {
        broken |= piece.is_err();
    }
    assert!(broken, "the client must not take the half for the whole");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_comes_through() {
    let stage = Stage::new().await;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|piece| piece.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece))))
    });
    sender.send(Bytes::from_static(b"first")).await.unwrap();
    let asked = request("POST", "web/early").body(Body::new(StreamBody::new(stream))).unwrap();
    let answer = send(stage.address, asked).await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.text().await, "too much");
}
