//! The other end: pushes a stream to a server and pulls one from a server.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sluicegate_hub::{Batch, Ended, Format, Reason, Subscriber, TrackSet};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::error::ended_code;
use crate::formats::{Container, Flv};

mod pull;

pub use pull::pull;

/// How long one message may take to be accepted by the connection.
const SEND_WAIT: Duration = Duration::from_secs(15);
/// How long a close frame may take to be sent and answered.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Pushes the stream as FLV, whole tags per binary message, until it ends, `stop` is cancelled or the server closes. The
/// socket is closed with a code and a reason.
///
/// A client masks what it sends, so the bytes of a push cannot be shared with viewers and are made here.
///
/// # Errors
/// The server closed with a code, the connection failed or took nothing for 15 s, or FLV cannot carry the stream's codec.
pub async fn push<S>(
    mut subscriber: Subscriber,
    websocket: WebSocketStream<S>,
    stop: CancellationToken,
) -> Result<Reason, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut stream) = websocket.split();
    let mut head = Head::default();
    let done = loop {
        let batch = tokio::select! {
            batch = subscriber.next() => batch,
            message = stream.next() => match message {
                Some(Ok(Message::Close(frame))) => return Error::from_close(frame.as_ref()).map_or(Ok(Reason::Finished), Err),
                None => return Ok(Reason::Finished),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(error.into()),
            },
            () = stop.cancelled() => break Ok(Reason::Finished),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(Ended { reason }) => break Ok(reason),
        };
        if let Err(error) = Container::Flv.carries(&batch.tracks) {
            break Err(error);
        }
        for message in [head.before(&batch), Flv.body(&batch)] {
            if !message.is_empty() {
                subscriber.sent(message.len());
                let sending = sink.send(Message::Binary(message));
                tokio::time::timeout(SEND_WAIT, sending).await.map_err(|_| Error::Stalled { after: SEND_WAIT })??;
            }
        }
    };
    let (code, reason) = match &done {
        Ok(reason) => (ended_code(*reason), reason.to_string()),
        Err(error) => (error.close_code(), crate::ingest::reason(error)),
    };
    let goodbye = async {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    // A server that does not answer is left as it is.
    let _ = tokio::time::timeout(CLOSE_WAIT, goodbye).await;
    done
}

/// Knows which tracks the receiver has been told of.
#[derive(Debug, Default)]
struct Head(Option<Arc<TrackSet>>);

impl Head {
    /// What must precede this batch; empty while the tracks stay the same.
    fn before(&mut self, batch: &Batch) -> Bytes {
        if self.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, &batch.tracks)) {
            return Bytes::new();
        }
        let first = self.0.is_none();
        self.0 = Some(Arc::clone(&batch.tracks));
        Flv.head(&batch.tracks, first, batch.start())
    }
}
