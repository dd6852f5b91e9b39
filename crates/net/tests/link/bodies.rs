//! Bodies both ways: in their own pace, cancelled from either side, without holding each other up.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use sluicegate_net::link;
use tokio::sync::mpsc;

use crate::stage::{PATIENCE, linked};

/// A body of what is sent, and the sender; the sender sees when nobody reads any more.
fn fed() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async {
        Some((Ok::<_, std::convert::Infallible>(receiver.recv().await?), receiver))
    });
    (sender, Body::from_stream(chunks))
}

#[tokio::test]
async fn bytes_come_back_one_by_one_while_the_request_goes_on() {
    let echo = post(|request: Request| async { request.into_body() });
    let (host, _site) = linked(link::Config::default(), Router::new().route("/echo", echo)).await;
    let (sender, body) = fed();
    let request = Request::post("http://site/echo").body(body).unwrap();
    let mut answer = host.pool.send(request).await.unwrap().into_body();
    for byte in 0..10_u8 {
        sender.send(Bytes::from(vec![byte])).await.unwrap();
        let frame = tokio::time::timeout(PATIENCE, answer.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), [byte][..]);
    }
    drop(sender);
    assert!(answer.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_reader_that_leaves_stops_the_site_s_work() {
    let (tell, mut told) = mpsc::channel::<mpsc::Sender<Bytes>>(1);
    let endless = get(move || async move {
        let (sender, body) = fed();
        tell.send(sender).await.unwrap();
        body
    });
    let (host, _site) = linked(link::Config::default(), Router::new().route("/endless", endless)).await;
    let answer = host.get("/endless").await.unwrap();
    let source = told.recv().await.unwrap();
    source.send(Bytes::from_static(b"x")).await.unwrap();
    drop(answer);
    tokio::time::timeout(PATIENCE, source.closed()).await.unwrap();
}

#[tokio::test]
async fn dozens_of_readers_that_stand_still_do_not_stop_the_others() {
    let large = get(|| async { vec![0_u8; 8 << 20] });
    let router = Router::new().route("/large", large).route("/small", get(|| async { "small" }));
    let (host, _site) = linked(link::Config::default(), router).await;
    let mut stalled = Vec::new();
    for _ in 0..24 {
        let mut answer = host.get("/large").await.unwrap();
        answer.body_mut().frame().await.unwrap().unwrap();
        stalled.push(answer);
    }
    for _ in 0..20 {
        assert_eq!(host.text("/small").await, "small");
    }
}

#[tokio::test]
async fn thousands_of_aborted_requests_keep_the_link() {
    let slow = get(|| async {
        std::future::pending::<()>().await;
    });
    let router = Router::new().route("/slow", slow).route("/small", get(|| async { "small" }));
    let (host, _site) = linked(link::Config::default(), router).await;
    for _ in 0..5_000 {
        let request = Request::get("http://site/slow").body(Body::empty()).unwrap();
        let sending = host.pool.send(request);
        assert!(tokio::time::timeout(Duration::ZERO, sending).await.is_err());
    }
    assert_eq!(host.text("/small").await, "small");
    assert_eq!(host.pool.connections().len(), 1);
    assert_eq!(host.pool.in_flight(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_alone() {
    let (host, _site) = linked(link::Config::default(), Router::new().route("/small", get(|| async { "small" }))).await;
    let request = Request::get("http://site/small").header("x-large", "x".repeat(200 << 10));
    let answer = host.pool.send(request.body(Body::empty()).unwrap()).await;
    assert!(matches!(answer, Err(link::Error::Head { .. })));
    assert_eq!(host.text("/small").await, "small");
}
