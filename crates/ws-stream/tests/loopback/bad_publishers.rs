//! Publishers that send no FLV, too little, or too slowly cost their own connection only.

use std::time::Duration;

use futures_util::SinkExt;
use http::Method;
use sluicegate_ws_stream::{Config, close};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Pusher, Server, Way, closed, text};
use crate::stream::{GOP, avc_header, clip, header, tag};
use crate::viewer::Viewer;

const WAY: Way = Way::WebSocket("/live/x.flv?publish=1");

#[tokio::test]
async fn malformed_flv_closes_with_1007_offset_and_reason() {
    let server = Server::new().await;
    let damaged = [
        b"this is no FLV, however long one reads on".to_vec(),
        [header(), b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()].concat(),
    ];
    for bytes in damaged {
        let mut pusher = server.publish(&WAY).await;
        pusher.send(bytes).await;
        let Pusher::WebSocket(mut websocket) = pusher else { unreachable!() };
        let (code, reason) = closed(&mut websocket).await;
        assert_eq!(code, close::INVALID, "{reason}");
        assert!(reason.starts_with("malformed FLV at byte "), "{reason}");
        server.until_free("x").await;
    }
}

#[tokio::test]
async fn malformed_flv_by_http_is_a_400_problem() {
    let server = Server::new().await;
    let mut pusher = server.publish(&Way::Http(Method::POST, "/live/x.flv")).await;
    pusher.send(b"this is no FLV, however long one reads on".to_vec()).await;
    let Pusher::Http { response, .. } = pusher else { unreachable!() };
    let response = response.await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let text = text(response).await;
    assert!(text.contains("malformed FLV at byte "), "{text}");
}

#[tokio::test]
async fn codecs_that_we_do_not_carry_are_named() {
    let server = Server::new().await;
    let mut pusher = server.publish(&Way::Http(Method::POST, "/live/x.flv")).await;
    // Sorenson H.263 pictures.
    let pictures: Vec<u8> = (0..60).flat_map(|number| tag(9, number * 40, b"\x12 anything")).collect();
    pusher.send([header(), pictures].concat()).await;
    let Pusher::Http { response, .. } = pusher else { unreachable!() };
    let response = response.await.unwrap();
    assert_eq!(response.status(), 415);
    let text = text(response).await;
    assert!(text.contains("video codec 2 is not supported"), "{text}");
}

#[tokio::test]
async fn a_damaged_configuration_closes_with_1007() {
    let server = Server::new().await;
    let mut pusher = server.publish(&WAY).await;
    pusher.send([header(), avc_header(0, b"\x01\x42")].concat()).await;
    let Pusher::WebSocket(mut websocket) = pusher else { unreachable!() };
    let (code, reason) = closed(&mut websocket).await;
    assert_eq!(code, close::INVALID, "{reason}");
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_with_1009() {
    let config = Config { max_message_bytes: 10_000, ..Config::default() };
    let server = Server::start(sluicegate_hub::Config::default(), config).await;
    let mut pusher = server.publish(&WAY).await;
    pusher.send(vec![0; 20_000]).await;
    let Pusher::WebSocket(mut websocket) = pusher else { unreachable!() };
    assert_eq!(closed(&mut websocket).await.0, close::TOO_BIG);
}

#[tokio::test]
async fn a_silent_publisher_is_dropped() {
    let config = Config { publisher_silence: Duration::from_millis(200), ..Config::default() };
    let server = Server::start(sluicegate_hub::Config::default(), config).await;
    let mut pusher = server.publish(&WAY).await;
    pusher.send(clip(2, 100)).await;
    let Pusher::WebSocket(mut websocket) = pusher else { unreachable!() };
    assert_eq!(closed(&mut websocket).await.0, close::TIMEOUT);
    let mut pusher = server.publish(&Way::Http(Method::PUT, "/live/x.flv")).await;
    pusher.send(clip(2, 100)).await;
    let Pusher::Http { response, chunks } = pusher else { unreachable!() };
    assert_eq!(response.await.unwrap().status(), 408);
    drop(chunks);
}

#[tokio::test]
async fn a_slow_sender_that_completes_nothing_is_dropped() {
    let config = Config {
        publisher_silence: Duration::from_millis(200),
        publisher_frame: Duration::from_millis(400),
        ..Config::default()
    };
    let server = Server::start(sluicegate_hub::Config::default(), config).await;
    let Pusher::WebSocket(websocket) = server.publish(&WAY).await else { unreachable!() };
    let (mut sink, mut stream) = futures_util::StreamExt::split(*websocket);
    let dripping = async {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        for byte in clip(1, 5_000) {
            pace.tick().await;
            if sink.send(Message::binary(vec![byte])).await.is_err() {
                break;
            }
        }
    };
    let told = async {
        loop {
            match futures_util::StreamExt::next(&mut stream).await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::select! {
        () = dripping => panic!("the sender was let go on"),
        code = told => assert_eq!(code, close::TIMEOUT),
    }
}

#[tokio::test]
async fn text_is_ignored_but_a_sign_of_life() {
    let config = Config { publisher_silence: Duration::from_millis(300), ..Config::default() };
    let server = Server::start(sluicegate_hub::Config::default(), config).await;
    let mut viewer = Viewer::websocket(&server, "/live/x.flv").await;
    let Pusher::WebSocket(mut websocket) = server.publish(&WAY).await else { unreachable!() };
    let clip = clip(3, 100);
    let (first, second) = clip.split_at(200);
    websocket.send(Message::binary(first.to_vec())).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..8 {
        pace.tick().await;
        websocket.send(Message::text("still here")).await.unwrap();
    }
    websocket.send(Message::binary(second.to_vec())).await.unwrap();
    viewer.until("picture 00000002").await;
}

#[tokio::test]
async fn any_message_split_publishes_alike() {
    let server = Server::new().await;
    let clip = clip(GOP, 300);
    for size in [1, 2, 7, 11, 64, 1_000, clip.len()] {
        let mut viewer = Viewer::websocket(&server, "/live/x.flv").await;
        let mut pusher = server.publish(&WAY).await;
        for part in clip.chunks(size) {
            pusher.send(part.to_vec()).await;
        }
        viewer.until("picture 00000009").await;
        assert_eq!(viewer.numbers(), (0..GOP).collect::<Vec<_>>(), "{size} bytes a message");
        pusher.finish().await;
        let name = sluicegate_hub::StreamName::parse("x").unwrap();
        server.hub.cut(&name);
    }
}

#[tokio::test]
async fn unknown_tags_and_script_data_do_no_harm() {
    let server = Server::new().await;
    let mut viewer = Viewer::websocket(&server, "/live/x.flv").await;
    let mut pusher = server.publish(&WAY).await;
    let clip = clip(2, 100);
    pusher.send(clip[..13].to_vec()).await;
    pusher.send(tag(18, 0, b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09")).await;
    pusher.send(clip[13..].to_vec()).await;
    viewer.until("picture 00000001").await;
}
