//! WebSocket passes: messages both ways, subprotocols, closing from either side, refusals.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws::{self, WebSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{raw, request, send};
use crate::stage::{PATIENCE, Setup, Stage};

/// A device that echoes messages and tells when a client has left.
async fn echo_device() -> (SocketAddr, mpsc::UnboundedReceiver<&'static str>) {
    let (events, seen) = mpsc::unbounded_channel();
    let accept = async move |mut request: Request<Body>| -> Response<Body> {
        let (response, accepted) = match ws::accept(&mut request, &["echo.v1"], ws::Config::default()) {
            Ok(both) => both,
            Err(problem) => return problem.into_response(),
        };
        tokio::spawn(async move {
            let mut socket = accepted.websocket().await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() && message.to_text().unwrap() == "close" {
                    let _ = socket.close(None).await;
                } else if message.is_text() || message.is_binary() {
                    let _ = socket.send(message).await;
                }
            }
            let _ = events.send("client left");
        });
        response
    };
    let listener =
        Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None, listener::Config::default()).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(Router::new().route("/chat", get(accept)), Shutdown::new()));
    (address, seen)
}

async fn stage() -> (Stage, mpsc::UnboundedReceiver<&'static str>) {
    let (device, seen) = echo_device().await;
    let services = vec![("chat", format!("http://{device}"))];
    (Stage::with(Setup { services, ..Setup::default() }).await, seen)
}

async fn connect(stage: &Stage, protocols: &[&str]) -> Result<(WebSocket, Response<()>), sluicegate_net::Error> {
    let url = format!("ws://{}/proxy/cam-7/chat/chat", stage.address).parse().unwrap();
    ws::connect(&url, HeaderMap::new(), protocols, &ClientTls::insecure().unwrap(), PATIENCE).await
}

async fn next(socket: &mut WebSocket) -> Option<Message> {
    timeout(PATIENCE, socket.next()).await.unwrap().map(Result::unwrap)
}

#[tokio::test]
async fn messages_of_any_size_come_back() {
    let (stage, _seen) = stage().await;
    let (mut socket, response) = connect(&stage, &["other", "echo.v1"]).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo.v1", "the device chooses");
    for size in [0, 1, 125, 126, 65_536, 3 << 20] {
        socket.send(Message::binary(vec![7; size])).await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap().into_data().len(), size);
    }
    socket.send(Message::text("grüezi")).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::text("grüezi")));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_by_the_device() {
    let (stage, mut seen) = stage().await;
    let (mut socket, _) = connect(&stage, &["echo.v1"]).await.unwrap();
    socket.send(Message::text("x")).await.unwrap();
    next(&mut socket).await.unwrap();
    drop(socket);
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("client left"));
}

#[tokio::test]
async fn a_device_that_closes_closes_the_client() {
    let (stage, _seen) = stage().await;
    let (mut socket, _) = connect(&stage, &["echo.v1"]).await.unwrap();
    socket.send(Message::text("close")).await.unwrap();
    assert!(next(&mut socket).await.unwrap().is_close());
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn a_lost_site_ends_the_client() {
    let (stage, mut seen) = stage().await;
    let (mut socket, _) = connect(&stage, &["echo.v1"]).await.unwrap();
    socket.send(Message::text("x")).await.unwrap();
    next(&mut socket).await.unwrap();
    stage.kill_site();
    assert!(timeout(PATIENCE, socket.next()).await.unwrap().is_none_or(|end| end.is_err()));
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("client left"));
}

#[tokio::test]
async fn a_refusal_of_the_device_comes_through() {
    let (stage, _seen) = stage().await;
    let refused = connect(&stage, &["unknown"]).await.unwrap_err();
    assert_eq!(refused.refused().map(|status| status.as_u16()), Some(400), "{refused}");
    let url = format!("ws://{}/proxy/cam-7/other/chat", stage.address).parse().unwrap();
    let refused =
        ws::connect(&url, HeaderMap::new(), &[], &ClientTls::insecure().unwrap(), PATIENCE).await.unwrap_err();
    assert_eq!(refused.refused().map(|status| status.as_u16()), Some(403), "{refused}");
}

#[tokio::test]
async fn a_broken_handshake_and_a_foreign_upgrade_are_no_websocket() {
    let (stage, _seen) = stage().await;
    let head = b"GET /proxy/cam-7/chat/chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\n\r\n";
    let answer = raw(stage.address, head, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("sluicegate-problem: handshake"), "{answer}");
    let asked = request("GET", "web/head").header("connection", "upgrade").header("upgrade", "h2c");
    let answer = send(stage.address, asked.body(Body::empty()).unwrap()).await.unwrap();
    assert!(!answer.text().await.contains("upgrade"), "an upgrade that we do not know ends here");
}
