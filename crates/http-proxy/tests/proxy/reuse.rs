//! Connections to the device are kept; one that the device closed meanwhile costs nobody an answer that can be asked
//! for twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::client::{get, request, send};
use crate::stage::{Setup, Stage};

/// A device that answers so many requests a connection and closes when the next one comes. Returns its URL and the
/// count of its connections.
async fn tired(answers: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 8192];
                for _ in 0..answers {
                    if !matches!(stream.read(&mut request).await, Ok(1..)) {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
                let _ = stream.read(&mut request).await;
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn requests_share_a_connection() {
    let (url, connections) = tired(100).await;
    let stage = Stage::with(Setup { services: vec![("tired", url)], ..Setup::default() }).await;
    for _ in 0..50 {
        assert_eq!(get(stage.address, "tired/").await.text().await, "ok");
    }
    assert!(connections.load(Ordering::Relaxed) < 5, "{connections:?}");
}

#[tokio::test]
async fn what_can_be_asked_twice_is_and_what_cannot_is_not() {
    let (url, _) = tired(1).await;
    let stage = Stage::with(Setup { services: vec![("tired", url)], ..Setup::default() }).await;
    for _ in 0..10 {
        assert_eq!(get(stage.address, "tired/").await.status(), 200);
    }
    let asked = request("POST", "tired/").body(Body::from("x")).unwrap();
    let answer = send(stage.address, asked).await.unwrap();
    assert!(answer.status() == 200 || answer.field("sluicegate-problem") == "incomplete", "{}", answer.status());
}
