//! Heads, shapes and numbers that are refused.

use axum::body::Body;
use sluicegate_http_proxy::ingress;

use crate::client::{get, raw, request, send};
use crate::stage::{Setup, Stage};

#[tokio::test]
async fn heads_beyond_the_limit_are_refused_and_the_link_lives_on() {
    let ingress = ingress::Config { max_head_bytes: 8 << 10, ..ingress::Config::default() };
    let stage = Stage::with(Setup { ingress, ..Setup::default() }).await;
    let ask = |bytes: usize| {
        let asked = request("GET", "web/head").header("x-big", "b".repeat(bytes));
        send(stage.address, asked.body(Body::empty()).unwrap())
    };
    assert_eq!(ask(7 << 10).await.unwrap().status(), 200);
    // The first passes the client's own fields, and is too long with what the proxy adds.
    for bytes in [(8 << 10) - 100, 9 << 10] {
        let answer = ask(bytes).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.field("sluicegate-problem")), (431, "head-too-large"));
    }
    assert_eq!(ask(33 << 10).await.unwrap().status(), 431, "the listener's own limit");
    let answer = get(stage.address, "web/fields?fill=45000").await;
    assert_eq!((answer.status().as_u16(), answer.field("x-fill").len()), (200, 45_000));
    for fill in [49_000, 60_000, 200_000] {
        let answer = get(stage.address, &format!("web/fields?fill={fill}")).await;
        assert_eq!(answer.status(), 502, "{fill}");
        assert!(["answer-head-too-large", "protocol"].contains(&answer.field("sluicegate-problem")), "{fill}");
    }
    assert_eq!(get(stage.address, "web/head").await.status(), 200);
}

#[tokio::test]
async fn shapes_that_smuggle_are_refused() {
    let stage = Stage::new().await;
    let inner = "GET /proxy/cam-7/web/never HTTP/1.1\r\nhost: x\r\n\r\n";
    for (fields, status) in [
        ("host: x\r\ncontent-length: 6\r\ncontent-length: 7\r\n", "400"),
        ("host: x\r\ntransfer-encoding: gzip, chunked\r\n", "501"),
        ("host: x\r\ntransfer-encoding: chunked, identity\r\n", "400"),
        ("host: x\r\nhost: y\r\n", "400"),
        ("content-length: 0\r\n", "400"),
        ("host: x\r\ncontent-length: +6\r\n", "400"),
        ("host: x\r\ntransfer-encoding : chunked\r\n", "400"),
        ("host: x\r\nx: y\r\n folded: z\r\n", "400"),
    ] {
        let head = format!("POST /proxy/cam-7/web/echo HTTP/1.1\r\n{fields}connection: close\r\n\r\n0\r\n\r\n{inner}");
        let answer = raw(stage.address, head.as_bytes(), "\u{0}").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields} gave {answer}");
    }
    // With both framings the server in front refuses, or reads the chunks, forgets the length and closes (RFC 9112
    // §6.1). The device never sees two, because each hop frames anew.
    for both in
        ["transfer-encoding: chunked\r\ncontent-length: 5\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let head = format!(
            "POST /proxy/cam-7/web/head HTTP/1.1\r\nhost: x\r\n{both}\r\n0\r\n\r\n\
             GET /proxy/cam-7/web/head?second HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(stage.address, head.as_bytes(), "\u{0}").await;
        assert!(!answer.contains("content-length: 5\n"), "{answer}");
        assert!(!answer.contains("second"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_and_a_site_have_only_so_many_in_flight() {
    for (ingress, code) in [
        (ingress::Config { per_client: 3, ..ingress::Config::default() }, "client-limit"),
        (ingress::Config { per_site: 3, ..ingress::Config::default() }, "site-limit"),
    ] {
        let stage = Stage::with(Setup { ingress, ..Setup::default() }).await;
        let never = |stage: &Stage| {
            let address = stage.address;
            tokio::spawn(async move { get(address, "web/never").await.status() })
        };
        let held = [never(&stage), never(&stage), never(&stage)];
        for _ in &held {
            assert_eq!(stage.device.event().await, "asked");
        }
        let refused = get(stage.address, "web/head").await;
        assert_eq!((refused.status().as_u16(), refused.field("sluicegate-problem")), (503, code));
        assert_eq!(refused.field("retry-after"), "1");
        let [first, ..] = held;
        first.abort();
        assert_eq!(stage.device.event().await, "never dropped");
        assert_eq!(get(stage.address, "web/head").await.status(), 200, "a place is free again");
    }
}

#[tokio::test]
async fn a_place_is_held_until_the_body_has_ended() {
    let ingress = ingress::Config { per_client: 1, ..ingress::Config::default() };
    let stage = Stage::with(Setup { ingress, ..Setup::default() }).await;
    let mut answer = get(stage.address, "web/fed").await;
    assert_eq!(get(stage.address, "web/head").await.status(), 503);
    stage.device.feed(b"last").await;
    stage.device.end_feed();
    while answer.data().await.is_some() {}
    assert_eq!(get(stage.address, "web/head").await.status(), 200);
}
