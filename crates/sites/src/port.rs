//! What sites need of those who know FLV on the wire.

use std::pin::Pin;

use bytes::Bytes;
use sluicegate_hub::{Publisher, Subscriber};
use sluicegate_net::listener::Socket;
use sluicegate_net::ws::WebSocket;
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Why a transfer ended; for the log.
pub type PortError = Box<dyn std::error::Error + Send + Sync>;
/// A transfer under way; dropping it ends it.
pub type PortFuture = Pin<Box<dyn Future<Output = Result<(), PortError>> + Send>>;

/// Takes pushes of sites into the hub, for the upstream. Each transfer runs until its source ends.
pub trait Intake: Send + Sync + 'static {
    /// Publishes the FLV in the messages of `websocket`.
    fn ingest(&self, websocket: WebSocket, publisher: Publisher) -> PortFuture;

    /// Publishes what a pusher of the m7s plugin's form sends on `socket` after its 101.
    fn ingest_m7s(&self, socket: Socket, read_ahead: Bytes, publisher: Publisher) -> PortFuture;
}

/// Moves FLV between a site's hub and the outside. Each transfer runs until its source or its target ends.
pub trait FlvPort: Send + Sync + 'static {
    /// Publishes the FLV that `input` gives.
    fn publish(&self, input: Pin<Box<dyn AsyncRead + Send>>, publisher: Publisher) -> PortFuture;

    /// Publishes the stream at a URL with one of [`Source::SCHEMES`](crate::Source::SCHEMES).
    fn pull(&self, url: Url, publisher: Publisher) -> PortFuture;

    /// Sends a stream as FLV on `websocket`, until `stop` is cancelled; then it closes in order.
    fn push(&self, subscriber: Subscriber, websocket: WebSocket, stop: CancellationToken) -> PortFuture;

    /// The same, in the form that an upstream with the m7s plugin takes.
    fn push_m7s(&self, subscriber: Subscriber, websocket: WebSocket, stop: CancellationToken) -> PortFuture;
}
