//! The control stream on the bodies of one request and its answer.

use bytes::Bytes;
use http_body_util::BodyExt;
use sluicegate_cascade::{Decoder, Message, encode};
use tokio::sync::mpsc;

/// The authority of control requests on a link; no service can have it.
pub(crate) const AUTHORITY: &str = "control";
/// Messages that wait for the link. A session says little; a queue that is full means a link that stands still.
const QUEUE: usize = 64;

/// The sending half: a body whose chunks are messages.
#[derive(Debug)]
pub(crate) struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// A sender and the body to send.
    pub(crate) fn new() -> (Self, axum::body::Body) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let chunk: Bytes = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(chunk), receiver))
        });
        (Self(sender), axum::body::Body::from_stream(chunks))
    }

    /// Sends a message; `false` when the other end does not take it any more.
    pub(crate) fn send(&self, message: &Message) -> bool {
        match encode(message) {
            Ok(bytes) => self.0.try_send(bytes).is_ok(),
            Err(error) => {
                tracing::warn!(%error, "a control message was not sent");
                true
            }
        }
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receiver<B> {
    body: B,
    decoder: Decoder,
}

impl<B> Receiver<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    pub(crate) fn new(body: B) -> Self {
        Self { body, decoder: Decoder::default() }
    }

    /// The next message; `None` when the stream has ended or cannot be read any further.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match self.decoder.poll() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the control stream is damaged");
                    return None;
                }
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(data) = frame.data_ref() {
                self.decoder.handle_bytes(data);
            }
        }
    }
}
