//! A stream of bytes over the binary messages of a WebSocket; message boundaries mean nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes of one message that we send: large enough that headers cost nothing, small enough to interleave with pings.
const MESSAGE_BYTES: usize = 64 << 10;

/// When to ask whether the other side is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Between two pings. Default 4 s.
    pub interval: Duration,
    /// How long after a ping something must have come. Default 4 s, so that a dead link is seen within 8 s.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(4), timeout: Duration::from_secs(4) }
    }
}

/// What a byte stream counts; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Health {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    rtt_micros: AtomicU64,
}

impl Health {
    /// Payload bytes received.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Payload bytes sent.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// The round trip of the last ping; `None` before its pong.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        let micros = self.rtt_micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

/// Bytes over a WebSocket, for protocols that want a stream. It pings, and fails when the other side is gone.
#[derive(Debug)]
pub struct ByteStream<S> {
    websocket: WebSocketStream<S>,
    current: Bytes,
    health: Arc<Health>,
    keep_alive: KeepAlive,
    last_seen: Instant,
    last_ping: Instant,
    timer: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream<S> {
    /// A stream over an open WebSocket. Cancelling `cut` fails it at once, with all that is under way.
    #[must_use]
    pub fn new(websocket: WebSocketStream<S>, keep_alive: KeepAlive, cut: CancellationToken) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep(keep_alive.interval));
        Self {
            websocket,
            current: Bytes::new(),
            health: Arc::default(),
            keep_alive,
            last_seen: now,
            last_ping: now,
            timer,
            cut: Box::pin(cut.cancelled_owned()),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Pings when it is time to; fails when nothing has come for too long, or the connection was cut. Every read, write
    /// and flush asks: HTTP/2 does not read while what it has to write first finds no room.
    fn poll_alive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was cut"));
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now.duration_since(self.last_seen) >= self.keep_alive.interval.saturating_add(self.keep_alive.timeout) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not answer pings"));
            }
            if now.duration_since(self.last_ping) >= self.keep_alive.interval {
                self.ping(now, cx)?;
            }
            let dead = self.last_seen + self.keep_alive.interval + self.keep_alive.timeout;
            self.timer.as_mut().reset((self.last_ping + self.keep_alive.interval).min(dead.max(now)));
        }
        Ok(())
    }

    /// A ping that finds no room is left out: what fills the queue proves whether the other side lives.
    fn ping(&mut self, now: Instant, cx: &mut Context<'_>) -> io::Result<()> {
        self.last_ping = now;
        let mut websocket = Pin::new(&mut self.websocket);
        if websocket.as_mut().poll_ready(cx).map_err(failed)?.is_ready() {
            websocket.as_mut().start_send(Message::Ping(Bytes::new())).map_err(failed)?;
            let _ = websocket.poll_flush(cx).map_err(failed)?;
        }
        Ok(())
    }

    /// The next binary message that is not empty; `None` at the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(message) = ready!(Pin::new(&mut self.websocket).poll_next(cx)) else {
                return Poll::Ready(Ok(None));
            };
            self.last_seen = Instant::now();
            match message {
                Ok(Message::Binary(bytes)) if !bytes.is_empty() => {
                    self.health.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    return Poll::Ready(Ok(Some(bytes)));
                }
                Ok(Message::Pong(_)) => {
                    let micros = self.last_seen.duration_since(self.last_ping).as_micros().max(1);
                    self.health.rtt_micros.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
                }
                Ok(Message::Text(_)) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "a text message in a stream of bytes");
                    return Poll::Ready(Err(error));
                }
                Ok(Message::Close(_)) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => {
                    return Poll::Ready(Ok(None));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(failed(error))),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: impl FnOnce() -> Bytes) -> Poll<io::Result<usize>> {
        self.poll_alive(cx)?;
        let mut websocket = Pin::new(&mut self.websocket);
        ready!(websocket.as_mut().poll_ready(cx)).map_err(failed)?;
        let bytes = bytes();
        let length = bytes.len();
        websocket.start_send(Message::Binary(bytes)).map_err(failed)?;
        self.health.bytes_out.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Ok(length))
    }
}

fn failed(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::ConnectionClosed | WsError::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_alive(cx)?;
        if this.current.is_empty() {
            match ready!(this.poll_message(cx))? {
                Some(bytes) => this.current = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.current.len().min(buf.remaining());
        buf.put_slice(this.current.get(..count).unwrap_or_default());
        this.current.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let part = buf.get(..MESSAGE_BYTES).unwrap_or(buf);
        self.get_mut().poll_send(cx, || Bytes::copy_from_slice(part))
    }

    /// Puts many small pieces into one message: HTTP/2 writes frame headers and payloads apart.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, || {
            let whole: usize = bufs.iter().map(|piece| piece.len()).sum();
            let mut message = BytesMut::with_capacity(whole.min(MESSAGE_BYTES));
            for piece in bufs {
                let room = MESSAGE_BYTES.saturating_sub(message.len());
                message.extend_from_slice(piece.get(..room).unwrap_or(piece));
            }
            message.freeze()
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_alive(cx)?;
        Pin::new(&mut this.websocket).poll_flush(cx).map_err(failed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_alive(cx)?;
        match ready!(Pin::new(&mut this.websocket).poll_close(cx)) {
            Ok(()) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(failed(error))),
        }
    }
}
