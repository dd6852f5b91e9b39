//! A push of an original site, or of a conforming sender on its route, into the hub.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use sluicegate_hub::Publisher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{Event, Parser};
use crate::ingest::{self, Limits};
use crate::{Error, close, frame};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// How long a pong or a close frame may take.
const WRITE_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// Publishes what comes on `socket` after its 101, until it closes. It is never pinged: an original pusher swallows
/// the first ping and loses its place at the second.
///
/// # Errors
/// As for [`ingest::from_reader`]; a broken frame is [`Error::Push`].
pub async fn ingest<S>(socket: S, read_ahead: Bytes, publisher: Publisher, limits: Limits) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut source = Source { socket, parser: Parser::default(), buffer: BytesMut::new(), closed: None };
    source.parser.handle_bytes(&read_ahead);
    let chunks = stream::unfold(&mut source, |source| async move { Some((source.next().await?, source)) });
    let done = ingest::from_chunks(chunks, publisher, limits).await;
    source.goodbye(done.as_ref().err()).await;
    done
}

struct Source<S> {
    socket: S,
    parser: Parser,
    buffer: BytesMut,
    /// The peer's close code, once it has closed.
    closed: Option<u16>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Source<S> {
    /// The next bytes of FLV; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.parser.poll() {
                Ok(Some(Event::Flv(bytes))) => return Some(Ok(bytes)),
                Ok(Some(Event::Ping(payload))) => self.write(&frame::encode(frame::Opcode::Pong, &payload)).await,
                Ok(Some(Event::Close(code))) => {
                    self.closed = Some(code.unwrap_or(close::NORMAL));
                    return None;
                }
                Ok(None) => {
                    self.buffer.clear();
                    self.buffer.reserve(READ_BYTES);
                    match self.socket.read_buf(&mut self.buffer).await {
                        Ok(0) => return None,
                        Ok(_) => self.parser.handle_bytes(&self.buffer),
                        Err(error) => return Some(Err(error.into())),
                    }
                }
                Err(violation) => return Some(Err(Error::Push(violation))),
            }
        }
    }

    /// A peer that takes nothing is noticed by its silence.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(WRITE_WAIT, self.socket.write_all(bytes)).await;
    }

    async fn goodbye(&mut self, error: Option<&Error>) {
        let (code, reason) = match (self.closed, error) {
            (Some(code), _) => (code, String::new()),
            (None, Some(error)) => (error.close_code(), ingest::reason(error)),
            (None, None) => (close::NORMAL, String::new()),
        };
        self.write(&frame::encode_close(code, &reason)).await;
        let _ = timeout(WRITE_WAIT, self.socket.shutdown()).await;
    }
}
