//! Bodies stream: each piece is there before the next is made, and an answer may last for ever.

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;

use crate::client::{get, request, send};
use crate::stage::Stage;

#[tokio::test]
async fn an_answer_comes_byte_by_byte() {
    let stage = Stage::new().await;
    let mut answer = get(stage.address, "web/fed").await;
    assert_eq!(answer.status(), 200);
    // The device makes a byte only after the one before has been read, so nothing on the way can wait for more.
    for byte in [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"] {
        stage.device.feed(byte).await;
        assert_eq!(answer.data().await.unwrap().unwrap(), &byte[..]);
    }
    stage.device.end_feed();
    assert!(answer.data().await.is_none());
}

#[tokio::test]
async fn events_and_pictures_are_flushed_one_by_one() {
    let stage = Stage::new().await;
    let mut answer = get(stage.address, "web/fed").await;
    assert_eq!(answer.field("content-type"), "text/event-stream");
    static PICTURE: [u8; 40_000] = [7; 40_000];
    for _ in 0..50 {
        stage.device.feed(b"data: now\n\n").await;
        assert_eq!(answer.data().await.unwrap().unwrap(), &b"data: now\n\n"[..]);
        stage.device.feed(&PICTURE).await;
        let mut read = 0;
        while read < PICTURE.len() {
            read += answer.data().await.unwrap().unwrap().len();
        }
        assert_eq!(read, PICTURE.len());
    }
}

#[tokio::test]
async fn both_bodies_stream_at_once() {
    let stage = Stage::new().await;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|piece| piece.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece))))
    });
    let asked = request("POST", "web/echo").body(Body::new(StreamBody::new(stream))).unwrap();
    let mut answer = send(stage.address, asked).await.unwrap();
    for round in 0..20 {
        let piece = Bytes::from(format!("round {round}"));
        sender.send(piece.clone()).await.unwrap();
        assert_eq!(answer.data().await.unwrap().unwrap(), piece);
    }
    drop(sender);
    assert!(answer.data().await.is_none());
}
