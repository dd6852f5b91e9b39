//! `/video/…` passed on to other faces.

use crate::client::Node;
use crate::server::{Reply, Server, origin};

#[tokio::test]
async fn requests_go_on_without_what_is_nobody_elses_business() {
    let script = |_: &str| {
        let headers = "Set-Cookie: a=b\r\nETag: \"x\"\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n";
        Reply::Say(206, headers, b"part".to_vec())
    };
    let server = Server::start(script).await;
    let node = Node::start(&[], &[("UPSTREAM", &server.url("/below"))]).await;
    let headers = ["Range: bytes=0-3", "Cookie: secret=1", "X-Forwarded-For: 1.2.3.4", "X-Mine: 1"];
    let answer = node.ask("GET", "/video/any/thing.bin?a=b&c", &headers).await;
    assert_eq!((answer.status, answer.text().as_str()), (206, "part"));
    assert_eq!((answer.header("etag"), answer.header("x-kept")), ("\"x\"", "1"));
    assert_eq!((answer.header("set-cookie"), answer.header("x-hop")), ("", ""));
    let head = server.heard()[0].to_ascii_lowercase();
    assert!(head.starts_with("get /below/video/any/thing.bin?a=b&c http/1.1"), "{head}");
    assert!(head.contains("range: bytes=0-3") && head.contains("x-mine: 1"), "{head}");
    assert!(head.contains(&format!("host: {}", server.address)), "{head}");
    assert!(!head.contains("cookie") && !head.contains("x-forwarded"), "{head}");
    let answer = node.ask("HEAD", "/video/x", &[]).await;
    assert_eq!((answer.status, answer.body.len(), answer.header("content-length")), (206, 0, "4"));
    assert_eq!(node.ask("POST", "/video/x", &[]).await.status, 405);
    // Other paths are the node's own.
    assert_eq!(node.get("/status").await.json()["CPUNum"].as_u64().map(|count| count > 0), Some(true));
}

#[tokio::test]
async fn a_bad_answer_is_asked_for_once_more_and_then_passed_on() {
    // One server alone is asked again.
    let server = Server::start(|_| Reply::status(404)).await;
    let node = Node::start(&[], &[("UPSTREAM", &server.url(""))]).await;
    let answer = node.get("/video/missing0001.json").await;
    assert_eq!((answer.status, answer.text().as_str(), server.heard().len()), (404, "refused", 2));
    // Of two, the other one is.
    for ill in [Reply::status(500), Reply::status(404), Reply::Close] {
        let answer = ill.clone();
        let (one, two) = (Server::start(move |_| answer.clone()).await, Server::start(|_| Reply::body("good")).await);
        let list = format!("{};{}", one.url(""), two.url(""));
        let node = Node::start(&[], &[("UPSTREAM", &list)]).await;
        for _ in 0..8 {
            assert_eq!(node.get("/video/x").await.text(), "good", "{ill:?}");
        }
        assert_eq!(two.heard().len(), 8);
    }
    // 304 and 204 are good.
    for status in [204, 304] {
        let server = Server::start(move |_| Reply::Say(status, "", Vec::new())).await;
        let node = Node::start(&[], &[("UPSTREAM", &server.url(""))]).await;
        assert_eq!((node.get("/video/x").await.status, server.heard().len()), (status, 1));
    }
    let node = Node::start(&[], &[("UPSTREAM", "http://127.0.0.1:1")]).await;
    assert_eq!(node.get("/video/x").await.status, 502);
}

#[tokio::test]
async fn hashes_are_made_of_what_the_other_face_has() {
    let server = Server::start(|target| origin(target.trim_start_matches("/below"))).await;
    let node = Node::start(&[], &[("UPSTREAM", &server.url("/below"))]).await;
    let hash = node.get("/video/testvideo01/134/0.sha256").await;
    assert_eq!(hash.status, 200, "{}", hash.text());
    assert_eq!(server.count("/below/video/testvideo01/134/64-1063.ts"), 1);
    assert_eq!(server.count("sha256"), 0);
}
