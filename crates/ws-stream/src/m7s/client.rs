//! A push to an original upstream, in the form that it takes and that conforms to RFC 6455: an empty binary message
//! before each tag. The original drops one frame header, then reads a frame; so the empty one is what it drops.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Sink, SinkExt, StreamExt};
use sluicegate_hub::{Batch, Ended, Format, Reason, Subscriber, TrackSet};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;

use crate::error::ended_code;
use crate::formats::{Container, Flv};
use crate::{Error, ingest};

/// How long the tags of one picture may take to be accepted by the connection.
const SEND_WAIT: Duration = Duration::from_secs(15);
/// How long a close frame may take to be sent and answered.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// File header and `PreviousTagSize0`.
const FILE_HEADER_BYTES: usize = 13;
/// A tag's header and its `PreviousTagSize`.
const AROUND_TAG_BYTES: usize = 11 + 4;

/// Pushes the stream until it ends, `stop` is cancelled or the server closes. Nothing is pinged: the media is the sign
/// of life that an original knows.
///
/// # Errors
/// As [`client::push`](crate::client::push).
pub async fn push<S>(
    mut subscriber: Subscriber,
    websocket: WebSocketStream<S>,
    stop: CancellationToken,
) -> Result<Reason, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut stream) = websocket.split();
    let mut told: Option<Arc<TrackSet>> = None;
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
        let messages = messages(&batch, &mut told);
        subscriber.sent(messages.iter().map(Bytes::len).sum());
        let sending = tokio::time::timeout(SEND_WAIT, send(&mut sink, messages)).await;
        sending.map_err(|_| Error::Stalled { after: SEND_WAIT })??;
    };
    let (code, reason) = match &done {
        Ok(reason) => (ended_code(*reason), reason.to_string()),
        Err(error) => (error.close_code(), ingest::reason(error)),
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

async fn send<S>(sink: &mut S, messages: Vec<Bytes>) -> Result<(), Error>
where
    S: Sink<Message, Error = tokio_tungstenite::tungstenite::Error> + Unpin,
{
    for message in messages {
        sink.feed(Message::Binary(message)).await?;
    }
    Ok(sink.flush().await?)
}

/// The messages of a batch: the file header and the metadata at the beginning, then an empty one before each tag.
fn messages(batch: &Batch, told: &mut Option<Arc<TrackSet>>) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let known = told.as_ref().is_some_and(|known| Arc::ptr_eq(known, &batch.tracks));
    if !known {
        let first = told.is_none();
        let mut head = Flv.head(&batch.tracks, first, batch.start());
        if first {
            messages.push(head.split_to(FILE_HEADER_BYTES.min(head.len())));
            messages.extend(next_tag(&mut head));
        }
        behind_empty(head, &mut messages);
        *told = Some(Arc::clone(&batch.tracks));
    }
    behind_empty(Flv.body(batch), &mut messages);
    messages
}

fn behind_empty(mut tags: Bytes, messages: &mut Vec<Bytes>) {
    while let Some(tag) = next_tag(&mut tags) {
        messages.extend([Bytes::new(), tag]);
    }
}

/// Cuts the first tag off.
fn next_tag(tags: &mut Bytes) -> Option<Bytes> {
    let [_, a, b, c, ..] = tags.chunk() else { return None };
    let size = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
    Some(tags.split_to(size.saturating_add(AROUND_TAG_BYTES).min(tags.len())))
}
