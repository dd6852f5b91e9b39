//! A socket as sessions need it: reads that frames are cut from, vectored writes with a deadline, an orderly end.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sluicegate_net::listener::Socket;
use sluicegate_writers::Backlog;
use tokio::io::AsyncWriteExt;
use tokio_util::io::poll_read_buf;

use crate::Error;

/// The buffer that commands are read into. Players say little, and there may be many.
const COMMAND_BYTES: usize = 1 << 10;
/// The buffer that media is read into. Messages are cut from it, so it is as large as a key frame.
const MEDIA_BYTES: usize = 64 << 10;
/// How long the other side may take to close after we have said goodbye.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket,
    buffer: BytesMut,
    /// Bytes of a new buffer. One with a sixteenth of it left is not read into any more.
    room: usize,
    stall: Duration,
}

impl Line {
    /// A connection whose peer may take nothing for as long as `stall`.
    pub(crate) fn new(socket: Socket, stall: Duration) -> Self {
        Self { socket, buffer: BytesMut::new(), room: COMMAND_BYTES, stall }
    }

    /// Media is to be read from now on.
    pub(crate) fn expect_media(&mut self) {
        self.room = MEDIA_BYTES;
    }

    /// What arrives next, `None` at the end. Nothing is lost when this is dropped before it is done.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// The same, for one who drives many connections.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        // Frames keep the buffer alive that they were cut from, so it is used up before there is a new one.
        if self.buffer.capacity() < self.room / 16 {
            self.buffer.reserve(self.room);
        }
        let count = ready!(poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.buffer))?;
        Poll::Ready(Ok((count > 0).then(|| self.buffer.split().freeze())))
    }

    /// The socket, for one who writes by himself.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    fn poll_write(&mut self, queue: &mut Backlog, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        queue.poll_write(Pin::new(&mut self.socket), cx)
    }

    /// Writes all of the queue. Dropping this leaves the connection without a boundary to go on from.
    pub(crate) async fn write(&mut self, queue: &mut Backlog) -> Result<(), Error> {
        let stall = self.stall;
        let stalled = |_| Error::Stalled { after: stall };
        while !queue.is_empty() {
            // Most sockets take it at once, and then there is nothing to time.
            let at_once = poll_fn(|cx| Poll::Ready(self.poll_write(queue, cx))).await;
            let written = match at_once {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    let writing = poll_fn(|cx| self.poll_write(queue, cx));
                    tokio::time::timeout(stall, writing).await.map_err(stalled)??
                }
            };
            if written == 0 {
                return Err(Error::Closed);
            }
        }
        if self.socket.is_tls() {
            tokio::time::timeout(stall, self.socket.flush()).await.map_err(stalled)??;
        }
        Ok(())
    }

    /// Ends our side and waits a little for the other's, so that what we said last is not lost in a reset.
    pub(crate) async fn goodbye(&mut self) {
        let closing = async {
            if self.socket.shutdown().await.is_ok() {
                while let Ok(Some(_)) = self.read().await {}
            }
        };
        // A peer that does not close is left as it is.
        let _ = tokio::time::timeout(CLOSE_WAIT, closing).await;
    }
}
