//! What sites need of those who know FLV on the wire.

use std::pin::Pin;

use sluicegate_hub::{Publisher, Subscriber};
use sluicegate_net::ws::WebSocket;
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Why a transfer ended; for the log.
pub type PortError = Box<dyn std::error::Error + Send + Sync>;
/// A transfer under way; dropping it ends it.
pub type PortFuture = Pin<Box<dyn Future<Output = Result<(), PortError>> + Send>>;

/// Moves FLV between the hub and the outside. Each transfer runs until its source or its target ends.
pub trait FlvPort: Send + Sync + 'static {
    /// Publishes the FLV that `input` gives.
    fn publish(&self, input: Pin<Box<dyn AsyncRead + Send>>, publisher: Publisher) -> PortFuture;

    /// Publishes the FLV in the messages of `websocket`.
    fn ingest(&self, websocket: WebSocket, publisher: Publisher) -> PortFuture;

    /// Sends a stream as FLV on `websocket`, until `stop` is cancelled; then it closes in order.
    fn push(&self, subscriber: Subscriber, websocket: WebSocket, stop: CancellationToken) -> PortFuture;

    /// Publishes the FLV stream at a `ws`, `wss`, `http` or `https` URL.
    fn pull(&self, url: Url, publisher: Publisher) -> PortFuture;
}
