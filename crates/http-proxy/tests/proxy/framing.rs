//! Answers without bodies, trailers, interim answers and expectations.

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{get, raw, request, send};
use crate::stage::{Setup, Stage};

#[tokio::test]
async fn head_keeps_the_length_that_get_would_have() {
    let stage = Stage::new().await;
    let asked = request("HEAD", "web/fields?content-length=12345&etag=x").body(Body::empty()).unwrap();
    let answer = send(stage.address, asked).await.unwrap();
    assert_eq!((answer.field("content-length"), answer.field("etag")), ("12345", "x"));
    assert_eq!(answer.text().await, "");
}

#[tokio::test]
async fn head_of_an_answer_without_length_claims_none() {
    let stage = Stage::new().await;
    let head = b"HEAD /proxy/cam-7/web/download?bytes=9 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(stage.address, head, "\u{0}").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn statuses_without_body_have_none_and_keep_their_fields() {
    let stage = Stage::new().await;
    let ask = |status: &str, more: &str| {
        let head = format!(
            "GET /proxy/cam-7/web/fields?status={status}&etag=x{more} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        let address = stage.address;
        async move { raw(address, head.as_bytes(), "\u{0}").await }
    };
    for status in ["204", "304"] {
        let answer = ask(status, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("etag: x\r\n"), "{answer}");
        assert!(!answer.contains("content-length") && !answer.contains("transfer-encoding"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn the_length_of_an_unchanged_thing_does_not_disturb() {
    let services =
        vec![("cached", parrot(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\netag: x\r\n\r\n").await)];
    let stage = Stage::with(Setup { services, ..Setup::default() }).await;
    let answer = get(stage.address, "cached/").await;
    assert_eq!((answer.status().as_u16(), answer.field("etag")), (304, "x"));
    assert_eq!(answer.text().await, "");
}

#[tokio::test]
async fn a_known_length_stays_and_an_unknown_one_is_chunked() {
    let stage = Stage::new().await;
    let known = get(stage.address, "web/download?bytes=100000&length=1").await;
    assert_eq!((known.field("content-length"), known.field("transfer-encoding")), ("100000", ""));
    assert_eq!(known.all().await.unwrap().0.len(), 100_000);
    let unknown = get(stage.address, "web/download?bytes=100000").await;
    assert_eq!((unknown.field("content-length"), unknown.field("transfer-encoding")), ("", "chunked"));
    assert_eq!(unknown.all().await.unwrap().0.len(), 100_000);
}

#[tokio::test]
async fn trailers_go_both_ways_and_cannot_forge() {
    let stage = Stage::new().await;
    let mut own = HeaderMap::new();
    own.insert("x-sum", "42".parse().unwrap());
    let frames = [Frame::data(Bytes::from_static(b"summed")), Frame::trailers(own)].map(Ok::<_, std::io::Error>);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let asked = request("POST", "web/trailers").header("te", "trailers").header("trailer", "x-sum");
    let answer = send(stage.address, asked.body(Body::new(body)).unwrap()).await.unwrap();
    assert_eq!(answer.field("x-te"), "true");
    let (seen, trailers) = answer.all().await.unwrap();
    assert_eq!(seen, "42", "the device sees the client's trailers");
    let trailers = trailers.expect("the client sees the device's trailers");
    assert_eq!(trailers["x-check"], "all well");
    assert!(!trailers.contains_key("sluicegate-problem"));
}

#[tokio::test]
async fn an_expectation_is_met_by_the_proxy_itself() {
    let stage = Stage::new().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let head = "POST /proxy/cam-7/web/head HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 2000];
    let count = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!answer.contains("\nexpect"), "{answer}");
}

#[tokio::test]
async fn an_expectation_of_a_refused_request_is_not_met() {
    let stage = Stage::new().await;
    let head = b"POST /proxy/nobody/web/ HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = raw(stage.address, head, "unknown-site").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// A device that speaks as it was told, once a connection.
async fn parrot(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn interim_answers_of_the_device_do_not_disturb() {
    let hints = parrot(
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let old = parrot(b"HTTP/1.0 200 OK\r\ncontent-type: text/x\r\n\r\nuntil the end");
    let services = vec![("hints", hints.await), ("old", old.await)];
    let stage = Stage::with(Setup { services, ..Setup::default() }).await;
    let answer = get(stage.address, "hints/").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await, "ok");
    let answer = get(stage.address, "old/").await;
    assert_eq!(answer.field("content-type"), "text/x");
    assert_eq!(answer.text().await, "until the end");
}

#[tokio::test]
async fn nonsense_of_the_device_is_a_bad_gateway() {
    let services = vec![
        ("ssh", parrot(b"SSH-2.0-OpenSSH_9.6\r\n").await),
        ("mute", parrot(b"").await),
        ("two", parrot(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await),
    ];
    let stage = Stage::with(Setup { services, ..Setup::default() }).await;
    for (path, code) in [("ssh/", "protocol"), ("mute/", "incomplete"), ("two/", "protocol")] {
        let answer = get(stage.address, path).await;
        assert_eq!((answer.status().as_u16(), answer.field("sluicegate-problem")), (502, code), "{path}");
    }
}
