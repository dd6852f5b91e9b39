//! The other end: pushes a stream to a server and pulls one from a server.

use std::sync::Arc;

use sluicegate_hub::{Batch, Format, Reason, Subscriber, TrackSet};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::formats::{Container, Flv};

mod pull;
pub(crate) mod push;
mod relay;

pub use pull::pull;
pub use relay::FlvTarget;

/// Pushes the stream as FLV, whole tags per binary message, until it ends, `stop` is cancelled or the server closes. The
/// socket is closed with a code and a reason.
///
/// A client masks what it sends, so the bytes of a push cannot be shared with viewers and are made here.
///
/// # Errors
/// The server closed with a code, the connection failed or took nothing for 15 s, or FLV cannot carry the stream's codec.
pub async fn push<S>(
    subscriber: Subscriber,
    websocket: WebSocketStream<S>,
    stop: CancellationToken,
) -> Result<Reason, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    push::run(Plain::default(), subscriber, websocket, stop).await
}

/// A head where the tracks are new, then a message for each batch.
#[derive(Debug, Default)]
struct Plain(Option<Arc<TrackSet>>);

impl push::Form for Plain {
    fn messages(&mut self, batch: &Batch) -> Result<Vec<Message>, Error> {
        Container::Flv.carries(&batch.tracks)?;
        let mut messages = Vec::with_capacity(2);
        if !self.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, &batch.tracks)) {
            messages.push(Flv.head(&batch.tracks, self.0.is_none(), batch.start()));
            self.0 = Some(Arc::clone(&batch.tracks));
        }
        messages.push(Flv.body(batch));
        messages.retain(|message| !message.is_empty());
        Ok(messages.into_iter().map(Message::Binary).collect())
    }
}
