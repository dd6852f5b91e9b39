//! What a socket has not taken yet: shared bytes, each a whole message, the first perhaps begun.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Bytes gathered for one write. A viewer that falls behind holds on to no more than this and one batch.
const GATHER_BYTES: usize = 64 << 10;
/// Buffers gathered for one write: heads and bodies.
const GATHER_SLICES: usize = 16;
/// Buffers written with one call where a batch is more than that, as packets behind their headers are.
const MAX_SLICES: usize = 256;

/// Bytes on their way to one socket. It holds references to shared bytes, no copies.
#[derive(Debug, Default)]
pub struct Backlog {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    /// Appends bytes that begin and end with a message; nothing for none.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes = self.bytes.saturating_add(bytes.len());
            self.queue.push_back(bytes);
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether more may be gathered for the next write.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes < GATHER_BYTES && self.queue.len() < GATHER_SLICES
    }

    /// Writes once, and forgets what was written. Nothing is written twice or left out when the socket is not ready.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_write<W>(&mut self, socket: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        W: AsyncWrite + ?Sized,
    {
        let written = ready!(match (self.queue.len(), self.queue.front()) {
            (1, Some(only)) => socket.poll_write(cx, only),
            (..=GATHER_SLICES, _) => self.poll_write_slices::<GATHER_SLICES, W>(socket, cx),
            _ => self.poll_write_slices::<MAX_SLICES, W>(socket, cx),
        })?;
        self.consume(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_slices<const MOST: usize, W>(
        &self,
        socket: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        W: AsyncWrite + ?Sized,
    {
        let mut slices = [IoSlice::new(&[]); MOST];
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(&self.queue) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        socket.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
    }

    fn consume(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.queue.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written = written.saturating_sub(front.len());
            self.queue.pop_front();
        }
    }
}

impl Extend<Bytes> for Backlog {
    fn extend<T: IntoIterator<Item = Bytes>>(&mut self, messages: T) {
        messages.into_iter().for_each(|bytes| self.push(bytes));
    }
}

impl FromIterator<Bytes> for Backlog {
    fn from_iter<T: IntoIterator<Item = Bytes>>(messages: T) -> Self {
        let mut backlog = Self::default();
        backlog.extend(messages);
        backlog
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::task::Waker;
    use tokio::io::{AsyncReadExt, ReadBuf};

    /// Takes at most so many bytes at once.
    struct Narrow(tokio::io::DuplexStream, usize);

    impl tokio::io::AsyncRead for Narrow {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let most = self.1.min(buf.len());
            Pin::new(&mut self.0).poll_write(cx, &buf[..most])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let most = self.1.min(all.len());
            Pin::new(&mut self.0).poll_write(cx, &all[..most])
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_written_once_in_order(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..400),
            most in 1usize..6_000,
        ) {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let (mut wire, mut backlog) = (Narrow(near, most), Backlog::default());
            backlog.extend(parts.iter().map(|part| Bytes::from(part.clone())));
            let mut cx = Context::from_waker(Waker::noop());
            while !backlog.is_empty() {
                prop_assert!(backlog.poll_write(Pin::new(&mut wire), &mut cx).is_ready());
            }
            prop_assert_eq!(backlog.bytes, 0);
            drop(wire);
            let mut got = Vec::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(far.read_to_end(&mut got)).unwrap();
            prop_assert_eq!(got, parts.concat());
        }
    }
}
