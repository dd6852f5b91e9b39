//! What a viewer's socket has not taken yet: shared bytes, each a whole message, the first perhaps begun.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::viewer::Wire;

/// Bytes gathered for one write. A viewer that falls behind holds on to no more than this and one batch.
const GATHER_BYTES: usize = 64 << 10;
/// Buffers gathered for one write: heads and bodies.
const GATHER_SLICES: usize = 16;

/// Bytes on their way to one socket. It holds references to shared bytes, no copies.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    /// Appends bytes that begin and end with a message; nothing for none.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes = self.bytes.saturating_add(bytes.len());
            self.queue.push_back(bytes);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether more may be gathered for the next write.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < GATHER_BYTES && self.queue.len() < GATHER_SLICES
    }

    /// Writes once, and forgets what was written.
    pub(super) fn poll_write(&mut self, wire: Pin<&mut dyn Wire>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = ready!(self.poll_write_front(wire, cx))?;
        self.consume(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_front(&self, wire: Pin<&mut dyn Wire>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let (1, Some(only)) = (self.queue.len(), self.queue.front()) {
            return wire.poll_write(cx, only);
        }
        let mut slices = [IoSlice::new(&[]); GATHER_SLICES];
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(&self.queue) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        wire.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
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

    impl tokio::io::AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let most = self.1.min(buf.len());
            Pin::new(&mut self.0).poll_write(cx, &buf[..most])
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
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..16),
            most in 1usize..60,
        ) {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let (mut wire, mut backlog) = (Narrow(near, most), Backlog::default());
            parts.iter().for_each(|part| backlog.push(part.clone().into()));
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
