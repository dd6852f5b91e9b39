//! FLV bytes of a publisher into the hub, from a reader, a WebSocket or the body of a request.
//!
//! The bytes are one FLV stream however they are cut: a tag may span messages and a message may hold many tags.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, Stream, StreamExt};
use sluicegate_hub::{Expects, Publisher};
use sluicegate_media::Kind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::{Error, metrics};

pub use sluicegate_hub::Patience as Limits;

/// The buffer that a reader is read into. Frames are cut from it, so it is as large as a key frame.
const READ_BYTES: usize = 64 << 10;
/// A buffer with less room than this is not read into any more.
const LEAST_READ_BYTES: usize = 4 << 10;
/// Tags of codecs that we do not carry before a stream without any others is refused: a second or two of it.
const MAX_UNUSABLE_TAGS: u64 = 50;
/// How long a close frame may take to be sent and answered.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Publishes the FLV that `input` gives, until it ends.
///
/// # Errors
/// The input is no FLV, was silent for too long or failed; or the stream was cut or taken by another publisher.
pub async fn from_reader(input: impl AsyncRead + Unpin, publisher: Publisher, limits: Limits) -> Result<(), Error> {
    let input = futures_util::stream::unfold((input, BytesMut::new()), |(mut input, mut buffer)| async move {
        // Frames keep the buffer alive that they were cut from, so it is used up before there is a new one.
        if buffer.capacity() < LEAST_READ_BYTES {
            buffer.reserve(READ_BYTES);
        }
        let chunk = match input.read_buf(&mut buffer).await {
            Ok(0) => return None,
            Ok(_) => Ok(buffer.split().freeze()),
            Err(error) => Err(Error::Io(error)),
        };
        Some((chunk, (input, buffer)))
    });
    ended(run(std::pin::pin!(input), publisher, limits).await)
}

/// Publishes the FLV in the binary messages of `websocket`, until it closes. Text is ignored but counts as a sign of
/// life. When something is wrong the socket is closed with a code and a reason.
///
/// # Errors
/// As for [`from_reader`].
pub async fn from_websocket<S>(
    mut websocket: WebSocketStream<S>,
    publisher: Publisher,
    limits: Limits,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let read = (&mut websocket).map(Said::from);
    let until_closed = read.take_while(|said| std::future::ready(!matches!(said, Said::Goodbye)));
    let chunks = until_closed.filter_map(|said| std::future::ready(said.chunk()));
    let done = run(std::pin::pin!(chunks), publisher, limits).await;
    close(&mut websocket, done.as_ref().err()).await;
    ended(done)
}

/// Publishes the FLV in `chunks`, such as the body of a request, until they end.
///
/// # Errors
/// As for [`from_reader`].
pub async fn from_chunks<S>(chunks: S, publisher: Publisher, limits: Limits) -> Result<(), Error>
where
    S: Stream<Item = Result<Bytes, Error>>,
{
    ended(run(std::pin::pin!(chunks), publisher, limits).await)
}

/// What a message means to the FLV reader.
enum Said {
    /// Bytes; none for text, which is a sign of life only.
    Bytes(Bytes),
    /// A ping or a pong, which are not even that.
    Nothing,
    /// A normal end.
    Goodbye,
    /// Any other end.
    Failed(Error),
}

impl From<Result<Message, tokio_tungstenite::tungstenite::Error>> for Said {
    fn from(message: Result<Message, tokio_tungstenite::tungstenite::Error>) -> Self {
        match message {
            Ok(Message::Binary(bytes)) => Self::Bytes(bytes),
            Ok(Message::Text(_)) => Self::Bytes(Bytes::new()),
            Ok(Message::Close(frame)) => Error::from_close(frame.as_ref()).map_or(Self::Goodbye, Self::Failed),
            Ok(_) => Self::Nothing,
            Err(error) => Self::Failed(error.into()),
        }
    }
}

impl Said {
    fn chunk(self) -> Option<Result<Bytes, Error>> {
        match self {
            Self::Bytes(bytes) => Some(Ok(bytes)),
            Self::Failed(error) => Some(Err(error)),
            Self::Nothing | Self::Goodbye => None,
        }
    }
}

/// Says goodbye, in bounded time.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(websocket: &mut WebSocketStream<S>, error: Option<&Error>) {
    let frame = error.map(|error| CloseFrame { code: error.close_code().into(), reason: reason(error).into() });
    let goodbye = async {
        // When the peer closed first, this sends the answer to its close frame.
        let _ = websocket.send(Message::Close(frame)).await;
        while let Some(Ok(_)) = websocket.next().await {}
    };
    // A peer that does not answer is left as it is.
    let _ = tokio::time::timeout(CLOSE_WAIT, goodbye).await;
}

/// The error and its causes in one line that fits into a close frame.
pub(crate) fn reason(error: &Error) -> String {
    let mut text = sluicegate_net::causes(error);
    let end = text.floor_char_boundary(crate::frame::MAX_REASON_BYTES);
    text.truncate(end);
    text
}

fn ended(done: Result<(), Error>) -> Result<(), Error> {
    metrics::publisher_ended(match &done {
        Ok(()) => "done",
        Err(Error::Flv { .. } | Error::Unusable(_)) => "malformed",
        Err(Error::Silent { .. } | Error::Slow { .. }) => "silent",
        Err(Error::Hub(_)) => "closed",
        Err(_) => "failed",
    });
    done
}

/// Reads FLV for one publisher.
#[derive(Debug)]
struct Intake {
    reader: sluicegate_flv::Reader,
    announced: bool,
    /// Whether there were pictures or sound that we carry.
    usable: bool,
    warned: bool,
}

/// What came from a chunk of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// A frame was completed, or the peer gave another sign of life.
    Made,
    /// Bytes of a frame that is not complete.
    None,
}

/// Feeds `publisher` until the chunks end, something is wrong, or time is up.
async fn run<S>(mut chunks: S, publisher: Publisher, limits: Limits) -> Result<(), Error>
where
    S: Stream<Item = Result<Bytes, Error>> + Unpin,
{
    let reader = sluicegate_flv::Reader::new(sluicegate_flv::Limits::default());
    let mut intake = Intake { reader, announced: false, usable: false, warned: false };
    let mut progress = Instant::now();
    let closed = publisher.closed();
    tokio::pin!(closed);
    loop {
        let silent = Instant::now() + limits.silence;
        let slow = progress + limits.frame;
        let chunk = tokio::select! {
            chunk = tokio::time::timeout_at(silent.min(slow), chunks.next()) => chunk,
            reason = &mut closed => return Err(sluicegate_hub::Error::from(sluicegate_hub::Ended { reason }).into()),
        };
        match chunk {
            Ok(Some(chunk)) => {
                if intake.take(chunk?, &publisher)? == Progress::Made {
                    progress = Instant::now();
                }
            }
            Ok(None) => return Ok(()),
            Err(_) if slow < silent => return Err(Error::Slow { after: limits.frame }),
            Err(_) => return Err(Error::Silent { after: limits.silence }),
        }
    }
}

impl Intake {
    fn take(&mut self, bytes: Bytes, publisher: &Publisher) -> Result<Progress, Error> {
        let mut progress = if bytes.is_empty() { Progress::Made } else { Progress::None };
        let malformed = |source: sluicegate_flv::Error| Error::Flv { offset: source.offset(), source };
        self.reader.handle_bytes(bytes);
        while let Some(frame) = self.reader.poll_frame().map_err(malformed)? {
            self.announce(publisher);
            self.usable |= frame.kind() != Kind::Data;
            publisher.push(frame)?;
            progress = Progress::Made;
        }
        self.check_codecs()?;
        Ok(progress)
    }

    /// Tags of unknown codecs are left out, with a word to the operator; a stream of nothing else is refused.
    fn check_codecs(&mut self) -> Result<(), Error> {
        let Some((count, fault)) = self.reader.unsupported() else { return Ok(()) };
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(%fault, "a part of the published stream is left out");
        }
        if !self.usable && count >= MAX_UNUSABLE_TAGS {
            return Err(Error::Unusable(fault.clone()));
        }
        Ok(())
    }

    /// Tells the hub once which tracks the file header promises.
    fn announce(&mut self, publisher: &Publisher) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        if let Some((audio, video)) = self.reader.expects().filter(|(audio, video)| *audio || *video) {
            publisher.expect(Expects { video, audio });
        }
    }
}
