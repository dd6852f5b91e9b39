//! A second publisher is refused, or replaces the first where so configured; never mixed.

use http::Method;
use sluicegate_ws_stream::{Config, close};

use crate::server::{Pusher, Server, Way, closed, text};
use crate::stream::clip;
use crate::viewer::Viewer;

#[tokio::test]
async fn the_second_gets_409_by_any_way() {
    let server = Server::new().await;
    let mut first = server.publish(&Way::WebSocket("/publish?app=live&stream=x")).await;
    first.send(clip(2, 100)).await;
    for path in ["/publish?app=live&stream=x", "/live/live/x.flv?publish=1"] {
        let refusal = server.try_websocket(path).await.unwrap_err();
        assert_eq!(refusal.status(), 409, "{path}");
        assert_eq!(refusal.headers()["content-type"], "application/problem+json");
    }
    let response = server.request(Method::POST, "/live/live/x.flv").await;
    assert_eq!(response.status(), 409);
    assert!(text(response).await.contains("published already"));
    first.send(crate::stream::step(2, 0, 100)).await;
    server.until("live/x", |status| status.frames_in >= 8).await;
}

#[tokio::test]
async fn the_newer_one_wins_where_so_configured() {
    let config = Config { replace_publisher: true, ..Config::default() };
    let server = Server::start(sluicegate_hub::Config::default(), config).await;
    let way = Way::WebSocket("/live/x.flv?publish=1");
    let mut viewer = Viewer::websocket(&server, "/live/x.flv").await;
    let mut first = server.publish(&way).await;
    first.send(clip(3, 100)).await;
    viewer.until("picture 00000002").await;
    let mut second = server.publish(&way).await;
    let Pusher::WebSocket(mut first) = first else { unreachable!() };
    assert_eq!(closed(&mut first).await.0, close::CONFLICT);
    second.send(clip(5, 100)).await;
    viewer.until("picture 00000004").await;
    assert_eq!(viewer.numbers(), [0, 1, 2, 0, 1, 2, 3, 4]);
}
