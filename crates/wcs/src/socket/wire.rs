//! Texts to and from a client's socket, which a session may be without.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sluicegate_net::ws::WebSocket;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

/// How long one message may take to be accepted by a connection.
const SEND: Duration = Duration::from_secs(5);

/// The next message; never without a socket.
pub(super) async fn receive(socket: &mut Option<WebSocket>) -> Option<Result<Message, tungstenite::Error>> {
    match socket {
        Some(websocket) => websocket.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn send(websocket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(SEND, websocket.send(message)).await, Ok(Ok(())))
}

pub(super) async fn close(websocket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    // A peer that takes nothing is left as it is.
    let _ = tokio::time::timeout(SEND, websocket.close(Some(frame))).await;
}
