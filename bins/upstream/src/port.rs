//! FLV on the wire, for those who know sites only.

use bytes::Bytes;
use sluicegate_hub::Publisher;
use sluicegate_net::listener::Socket;
use sluicegate_net::ws::WebSocket;
use sluicegate_sites::{Intake, PortFuture};
use sluicegate_ws_stream::ingest::Limits;
use sluicegate_ws_stream::{ingest, m7s};

/// The intake of the WebSocket stream service.
#[derive(Debug)]
pub(crate) struct Port;

impl Intake for Port {
    fn ingest(&self, websocket: WebSocket, publisher: Publisher) -> PortFuture {
        Box::pin(async move { Ok(ingest::from_websocket(websocket, publisher, Limits::default()).await?) })
    }

    fn ingest_m7s(&self, socket: Socket, read_ahead: Bytes, publisher: Publisher) -> PortFuture {
        Box::pin(async move { Ok(m7s::ingest(socket, read_ahead, publisher, Limits::default()).await?) })
    }
}
