//! A push of an original site, or of a conforming sender on its route, into the hub.

use std::io;

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
/// the first ping and loses its place at the second. Its media is its sign of life: control frames, text and empty
/// messages are none.
///
/// # Errors
/// As for [`ingest::from_reader`]; a broken frame is [`Error::Push`], an end within one [`Error::Io`], and a close frame
/// that tells of a failure [`Error::Closed`].
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
    /// The close code to answer with, once the peer has closed.
    closed: Option<u16>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Source<S> {
    /// The next bytes of FLV; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.parser.poll() {
                Ok(Some(Event::Flv(bytes))) => return Some(Ok(bytes)),
                Ok(Some(Event::Ping(payload))) => self.write(&frame::encode(frame::Opcode::Pong, &payload)).await,
                Ok(Some(Event::Close(code))) => return self.closed(code).map(Err),
                Ok(None) => {
                    self.buffer.clear();
                    self.buffer.reserve(READ_BYTES);
                    match self.socket.read_buf(&mut self.buffer).await {
                        Ok(0) if self.parser.is_between_messages() => return None,
                        Ok(0) => return Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
                        Ok(_) => self.parser.handle_bytes(&self.buffer),
                        Err(error) => return Some(Err(error.into())),
                    }
                }
                Err(violation) => return Some(Err(Error::Push(violation))),
            }
        }
    }

    /// Notes that the peer has closed; gives what it says has failed.
    fn closed(&mut self, code: Option<u16>) -> Option<Error> {
        let said = code.unwrap_or(close::NORMAL);
        // The codes that a close frame may carry (RFC 6455 §7.4); others are not repeated.
        let valid = matches!(said, 1000..=1003 | 1007..=1014 | 3000..=4999);
        self.closed = Some(if valid { said } else { close::PROTOCOL });
        let normal = matches!(said, close::NORMAL | close::GOING_AWAY);
        (!normal).then(|| Error::Closed { code: said, reason: String::new() })
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
