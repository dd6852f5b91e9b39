//! Who is at the other end of a socket.

use std::net::SocketAddr;

use axum::extract::Request;
use http::header::HOST;
use serde_json::{Map, Value};
use sluicegate_net::listener::ConnectInfo;
use sluicegate_net::ws::WebSocket;

use crate::service::Permissions;

/// Who connects, and to which of our names.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(super) address: Option<SocketAddr>,
    host: String,
}

impl Peer {
    pub(crate) fn of(request: &Request) -> Self {
        let address = request.extensions().get::<ConnectInfo>().map(|info| info.peer);
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        Self { address, host: host.to_owned() }
    }

    /// The session's name as the original forms it.
    pub(super) fn token(&self) -> String {
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        format!("/{address}/{}", self.host)
    }
}

/// A client that has come back, on another socket.
pub(crate) struct Takeover {
    pub(super) websocket: WebSocket,
    pub(super) peer: Peer,
    pub(super) permissions: Permissions,
    pub(super) fields: Map<String, Value>,
}
