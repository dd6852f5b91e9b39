//! What waits to leave by one connection: bounded in bytes, and written many frames at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What a waiting frame costs beside its bytes.
pub(super) const FRAME_COST: usize = 64;
/// Bytes written at once.
const PIECE: usize = 16 * 1024;
/// How long a peer may leave what we send unread.
const STALL: Duration = Duration::from_secs(5);

/// The end that is filled, by one task. When it is dropped, what waits still leaves.
#[derive(Debug)]
pub(super) struct Outlet {
    frames: mpsc::UnboundedSender<BytesMut>,
    queued: Arc<AtomicUsize>,
    limit: usize,
}

/// The end that is emptied.
#[derive(Debug)]
pub(super) struct Waiting {
    frames: mpsc::UnboundedReceiver<BytesMut>,
    queued: Arc<AtomicUsize>,
}

/// The two ends of a queue of at most `limit` bytes, each frame with [`FRAME_COST`].
pub(super) fn outlet(limit: usize) -> (Outlet, Waiting) {
    let (sender, frames) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    (Outlet { frames: sender, queued: Arc::clone(&queued), limit }, Waiting { frames, queued })
}

impl Outlet {
    /// Queues a frame, or says that it is lost: there is no room, or no connection.
    pub(super) fn send(&self, frame: BytesMut) -> bool {
        let cost = frame.len() + FRAME_COST;
        if self.queued.load(Ordering::Acquire) + cost > self.limit {
            return false;
        }
        self.insist(frame)
    }

    /// The same for a frame that has room in any case: the caller knows that there are few.
    pub(super) fn insist(&self, frame: BytesMut) -> bool {
        self.queued.fetch_add(frame.len() + FRAME_COST, Ordering::AcqRel);
        self.frames.send(frame).is_ok()
    }
}

impl Waiting {
    /// Writes what waits as `encode` has it, until nothing was said for `silence`, the other end is dropped, or the peer does
    /// not read.
    pub(super) async fn write(
        mut self,
        mut to: impl AsyncWrite + Unpin,
        encode: fn(&[u8], &mut Vec<u8>),
        silence: Duration,
    ) -> io::Result<()> {
        let mut piece = Vec::with_capacity(PIECE);
        while let Ok(Some(frame)) = timeout(silence, self.frames.recv()).await {
            let mut next = Some(frame);
            let mut cost = 0;
            while let Some(frame) = next {
                encode(&frame, &mut piece);
                cost += frame.len() + FRAME_COST;
                next = if piece.len() < PIECE { self.frames.try_recv().ok() } else { None };
            }
            let written = timeout(STALL, async {
                to.write_all(&piece).await?;
                to.flush().await
            });
            let written = written.await;
            self.queued.fetch_sub(cost, Ordering::AcqRel);
            written??;
            piece.clear();
        }
        Ok(())
    }
}
