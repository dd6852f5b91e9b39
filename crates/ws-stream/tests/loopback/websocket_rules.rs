//! What viewers may say on their WebSocket: pings, closes, data; and what costs them the connection.

use futures_util::{SinkExt, StreamExt};
use sluicegate_ws_stream::close;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::server::{Server, Way, closed};
use crate::stream::{clip, step};
use crate::viewer::Viewer;

#[tokio::test]
async fn pings_are_answered_between_messages() {
    let server = Server::new().await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(1, 100)).await;
    let mut websocket = server.websocket("/live/x.flv").await;
    for number in 1..20_u32 {
        websocket.send(Message::Ping(number.to_be_bytes().to_vec().into())).await.unwrap();
        pusher.send(step(number, 0, 50_000)).await;
        loop {
            match websocket.next().await.unwrap().unwrap() {
                Message::Pong(payload) => break assert_eq!(payload[..], number.to_be_bytes()),
                Message::Binary(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn data_from_a_viewer_is_skipped_however_long() {
    let server = Server::new().await;
    let mut viewer = server.websocket("/live/x.flv").await;
    viewer.send(Message::text("hello")).await.unwrap();
    viewer.send(Message::binary(vec![7; 3_000_000])).await.unwrap();
    viewer.send(Message::Ping(b"there?".to_vec().into())).await.unwrap();
    assert_eq!(viewer.next().await.unwrap().unwrap(), Message::Pong(b"there?".to_vec().into()));
}

#[tokio::test]
async fn a_close_is_answered_with_its_code_and_the_viewer_is_gone() {
    let server = Server::new().await;
    let mut viewer = server.websocket("/live/x.flv").await;
    let frame = CloseFrame { code: 4_321.into(), reason: "enough".into() };
    viewer.send(Message::Close(Some(frame))).await.unwrap();
    assert_eq!(closed(&mut viewer).await.0, 4_321);
    while !server.hub.streams().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_broken_frame_costs_the_viewer_its_connection_only() {
    let server = Server::new().await;
    let mut other = Viewer::websocket(&server, "/live/x.flv").await;
    let mut viewer = server.websocket("/live/x.flv").await;
    viewer.get_mut().write_all(b"\x82\x05hello").await.unwrap();
    let (code, reason) = closed(&mut viewer).await;
    assert_eq!((code, reason.as_str()), (close::PROTOCOL, "the frame is not masked"));
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(2, 100)).await;
    other.until("picture 00000001").await;
}

#[tokio::test]
async fn the_end_of_a_stream_has_a_code() {
    let server = Server::new().await;
    let mut pusher = server.publish(&Way::WebSocket("/live/x.flv?publish=1")).await;
    pusher.send(clip(2, 100)).await;
    let mut viewer = server.websocket("/live/x.flv").await;
    assert!(matches!(viewer.next().await, Some(Ok(Message::Binary(_)))));
    server.hub.cut(&sluicegate_hub::StreamName::parse("x").unwrap());
    assert_eq!(closed(&mut viewer).await.0, close::CUT);
}

#[tokio::test]
async fn shutting_down_closes_viewers_with_1001() {
    let server = Server::new().await;
    let mut viewer = server.websocket("/live/x.flv").await;
    server.until("x", |status| status.viewers.len() == 1).await;
    server.service.shut_down();
    assert_eq!(closed(&mut viewer).await.0, close::GOING_AWAY);
}
