//! Viewers that come before the publisher wait for it, for a bounded time.

use std::time::Duration;

use sluicegate_ws_stream::{Config, close};

use crate::server::{Server, Way, closed, quick, text};
use crate::stream::clip;
use crate::viewer::Viewer;

#[tokio::test]
async fn a_player_before_the_publisher_starts_when_it_comes() {
    let server = Server::new().await;
    let mut websocket = Viewer::websocket(&server, "/live/a/b.flv").await;
    let waiting = server.get("/live/a/b.flv");
    let publishing = async {
        server.until("a/b", |status| status.viewers.len() == 2).await;
        let mut pusher = server.publish(&Way::WebSocket("/live/a/b.flv?publish=1")).await;
        pusher.send(clip(5, 100)).await;
        pusher
    };
    let (response, _pusher) = tokio::join!(waiting, publishing);
    assert_eq!(response.status(), 200);
    websocket.until("picture 00000004").await;
    assert_eq!(websocket.numbers(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn http_answers_404_after_the_wait() {
    let server = Server::start(sluicegate_hub::Config::default(), quick()).await;
    let response = server.get("/live/nobody.flv").await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(text(response).await.contains("nobody"));
    assert!(server.hub.streams().is_empty(), "nothing is left of the visit");
}

#[tokio::test]
async fn a_websocket_is_closed_after_the_wait() {
    let server = Server::start(sluicegate_hub::Config::default(), quick()).await;
    let mut websocket = server.websocket("/play?app=live&stream=nobody").await;
    let (code, reason) = closed(&mut websocket).await;
    assert_eq!(code, close::NOT_FOUND);
    assert!(reason.contains("live/nobody"), "{reason}");
    drop(websocket);
    let empty = async {
        while !server.hub.streams().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), empty).await.unwrap();
}

#[tokio::test]
async fn a_viewer_that_leaves_while_it_waits_is_no_demand() {
    let patient = Config { websocket_wait: Duration::from_secs(3_600), ..Config::default() };
    let server = Server::start(sluicegate_hub::Config::default(), patient).await;
    let websocket = server.websocket("/live/x.flv").await;
    server.until("x", |status| status.viewers.len() == 1).await;
    drop(websocket);
    while !server.hub.streams().is_empty() {
        tokio::task::yield_now().await;
    }
}
