//! A socket as sessions need it: reads and vectored writes that go on side by side, and an orderly end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use sluicegate_net::listener::Socket;
use sluicegate_writers::Backlog;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use crate::Error;

/// Bytes read at once from players and servers, which say little.
const READ_BYTES: usize = 2 << 10;
/// The same from publishers.
const MEDIA_BYTES: usize = 64 << 10;
/// How long the other side may take to close after we have said goodbye.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// What has happened.
#[derive(Debug)]
pub(crate) enum Step {
    /// These bytes have arrived; `None` at the end.
    Read(Option<BytesMut>),
    /// So many bytes were written.
    Written(usize),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket,
    buffer: BytesMut,
    room: usize,
    stall: Duration,
    /// Since when the other side takes nothing.
    blocked: Option<Instant>,
    /// TLS holds bytes back.
    unflushed: bool,
}

impl Line {
    /// A connection whose peer may take nothing for as long as `stall`.
    pub(crate) fn new(socket: Socket, stall: Duration) -> Self {
        let buffer = BytesMut::new();
        Self { socket, buffer, room: READ_BYTES, stall, blocked: None, unflushed: false }
    }

    /// Media is to be read from now on.
    pub(crate) fn expect_media(&mut self) {
        self.room = MEDIA_BYTES;
    }

    /// Writes some of the queue and reads, whichever can be done first. Nothing is lost when this is dropped before it is
    /// done.
    pub(crate) async fn step(&mut self, queue: &mut Backlog) -> Result<Step, Error> {
        let deadline = self.blocked.map(|since| since + self.stall);
        let stall = self.stall;
        tokio::select! {
            step = poll_fn(|cx| self.poll_step(queue, cx)) => step,
            () = sleep_until(deadline) => Err(Error::Stalled { after: stall }),
        }
    }

    fn poll_step(&mut self, queue: &mut Backlog, cx: &mut Context<'_>) -> Poll<Result<Step, Error>> {
        if self.unflushed
            && queue.is_empty()
            && self.socket.is_tls()
            && let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(cx)
        {
            flushed?;
            (self.unflushed, self.blocked) = (false, None);
        }
        if !queue.is_empty() {
            match self.poll_write(queue, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Error::Closed)),
                Poll::Ready(written) => {
                    self.blocked = None;
                    self.unflushed = true;
                    return Poll::Ready(Ok(Step::Written(written?)));
                }
                Poll::Pending if self.blocked.is_none() => {
                    // The deadline is set by the caller's next call.
                    self.blocked = Some(Instant::now());
                    return Poll::Ready(Ok(Step::Written(0)));
                }
                Poll::Pending => {}
            }
        }
        self.poll_read(cx).map_ok(Step::Read)
    }

    /// What has arrived, `None` at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<BytesMut>, Error>> {
        if self.buffer.capacity() < self.room / 16 {
            self.buffer.reserve(self.room);
        }
        let count = ready!(poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.buffer))?;
        Poll::Ready(Ok((count > 0).then(|| self.buffer.split())))
    }

    fn poll_write(&mut self, queue: &mut Backlog, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        queue.poll_write(Pin::new(&mut self.socket), cx)
    }

    /// The socket, for one who writes by himself.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Writes all of the queue; what arrives meanwhile is left.
    pub(crate) async fn write(&mut self, queue: &mut Backlog) -> Result<(), Error> {
        let stall = self.stall;
        let writing = async {
            while !queue.is_empty() {
                if poll_fn(|cx| self.poll_write(queue, cx)).await? == 0 {
                    return Err(Error::Closed);
                }
            }
            Ok(self.socket.flush().await?)
        };
        tokio::time::timeout(stall, writing).await.unwrap_or(Err(Error::Stalled { after: stall }))
    }

    /// Ends our side and waits a little for the other's, so that what we said last is not lost in a reset.
    pub(crate) async fn goodbye(&mut self) {
        let closing = async {
            if self.socket.shutdown().await.is_ok() {
                while let Ok(Some(_)) = poll_fn(|cx| self.poll_read(cx)).await {}
            }
        };
        // A peer that does not close is left as it is.
        let _ = tokio::time::timeout(CLOSE_WAIT, closing).await;
    }
}

/// Waits for ever without a deadline.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
