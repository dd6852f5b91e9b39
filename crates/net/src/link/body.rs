//! The body of an answer that came over a link; while it is read, it counts as load of its connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

/// What an answer of unknown length is taken for: it may be a stream without end.
const UNKNOWN_BYTES: u64 = 1 << 20;
/// What a request counts before its answer has come.
const PENDING_BYTES: u64 = 16 << 10;

/// Bytes of a connection's load that one request stands for.
#[derive(Debug)]
pub(crate) struct Load {
    total: Arc<AtomicU64>,
    mine: u64,
    _place: OwnedSemaphorePermit,
}

impl Load {
    /// A request that waits for its answer.
    pub(crate) fn pending(total: Arc<AtomicU64>, place: OwnedSemaphorePermit) -> Self {
        total.fetch_add(PENDING_BYTES, Ordering::Relaxed);
        Self { total, mine: PENDING_BYTES, _place: place }
    }

    fn set(&mut self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_sub(self.mine, Ordering::Relaxed);
        self.mine = bytes;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    load: Load,
    known: bool,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, mut load: Load) -> Self {
        let exact = http_body::Body::size_hint(&incoming).exact();
        load.set(exact.unwrap_or(UNKNOWN_BYTES));
        Self { incoming, load, known: exact.is_some() }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let (Some(data), true) = (frame.data_ref(), this.known)
        {
            let left = this.load.mine.saturating_sub(data.len() as u64);
            this.load.set(left);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
