//! The life of a push, whatever form its messages have.

use std::time::Duration;

use futures_util::{Sink, SinkExt, StreamExt};
use sluicegate_hub::{Batch, Ended, Reason, Subscriber};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;

use crate::error::ended_code;
use crate::{Error, ingest};

/// How long the messages of one batch may take to be accepted by the connection.
const SEND_WAIT: Duration = Duration::from_secs(15);
/// How long a close frame may take to be sent and answered.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// What batches become.
pub(crate) trait Form {
    /// The messages of a batch.
    fn messages(&mut self, batch: &Batch) -> Result<Vec<Message>, Error>;

    /// The server has answered a ping.
    fn handle_pong(&mut self) {}
}

/// Sends what `form` makes of the stream until it ends, `stop` is cancelled or the server closes; then says goodbye.
pub(crate) async fn run<S>(
    mut form: impl Form,
    mut subscriber: Subscriber,
    websocket: WebSocketStream<S>,
    stop: CancellationToken,
) -> Result<Reason, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut stream) = websocket.split();
    let done = loop {
        let batch = tokio::select! {
            batch = subscriber.next() => batch,
            message = stream.next() => match message {
                Some(Ok(Message::Close(frame))) => return Error::from_close(frame.as_ref()).map_or(Ok(Reason::Finished), Err),
                None => return Ok(Reason::Finished),
                Some(Ok(Message::Pong(_))) => {
                    form.handle_pong();
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(error.into()),
            },
            () = stop.cancelled() => break Ok(Reason::Finished),
        };
        let messages = match batch {
            Ok(batch) => form.messages(&batch),
            Err(Ended { reason }) => break Ok(reason),
        };
        let messages = match messages {
            Ok(messages) => messages,
            Err(error) => break Err(error),
        };
        subscriber.sent(messages.iter().map(Message::len).sum());
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

async fn send<S>(sink: &mut S, messages: Vec<Message>) -> Result<(), Error>
where
    S: Sink<Message, Error = tokio_tungstenite::tungstenite::Error> + Unpin,
{
    for message in messages {
        sink.feed(message).await?;
    }
    Ok(sink.flush().await?)
}
