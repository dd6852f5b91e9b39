//! One viewer: what its protocol decides, and the writing that is the same for all.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sluicegate_hub::{Batch, Next, Reason};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::Feed;

/// Reads of one socket before others have their turn.
const MAX_READS: usize = 4;

/// Whether a viewer stays with its writer; if not, how it came to its end.
pub type Fate<Outcome> = ControlFlow<Outcome>;

/// Why a socket is given up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lost {
    /// It takes nothing any more.
    Closed,
    /// It failed.
    Failed(io::Error),
    /// It took nothing for this long.
    Stalled(Duration),
}

/// What differs from one protocol to another. All calls come from one task and must not block.
///
/// The writer calls [`handle_batch`](Self::handle_batch) for each batch while there is room, and writes what was put into
/// the feed with as few calls as it can; what other methods put into it is written right after them. A method that breaks
/// ends the viewer: [`leave`](Self::leave) gets it back with what was not written.
pub trait Protocol: Send + Sized + 'static {
    /// The viewer's socket. Writes should be vectored, else there are many.
    type Socket: AsyncWrite + Unpin;
    /// How a viewer comes to its end.
    type Outcome;

    /// The socket that is written to.
    fn socket(&mut self) -> &mut Self::Socket;

    /// How long the socket may take nothing. Looked at about once a second.
    fn stall(&self) -> Duration;

    /// Whether the viewer gets no more batches, as it is ending.
    fn is_ending(&self) -> bool;

    /// Reads once and acts on what was read; answers go to the feed. `scratch` is 2 KiB of memory that all viewers
    /// share.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        feed: &mut Feed,
        now: Instant,
    ) -> Poll<Fate<Self::Outcome>>;

    /// Queues what is to be said before the next batch, if there is room for it.
    fn handle_room(&mut self, _feed: &mut Feed) {}

    /// Queues a batch, or ends the viewer when it cannot take it.
    fn handle_batch(&mut self, batch: &Batch, feed: &mut Feed, now: Instant) -> Fate<Self::Outcome>;

    /// The stream is over for this viewer. From now on [`is_ending`](Self::is_ending) is true, or the viewer leaves.
    fn handle_end(&mut self, reason: Reason, feed: &mut Feed, now: Instant) -> Fate<Self::Outcome>;

    /// The server goes away. From now on [`is_ending`](Self::is_ending) is true, or the viewer leaves.
    fn handle_shutdown(&mut self, feed: &mut Feed, now: Instant) -> Fate<Self::Outcome>;

    /// Acts on deadlines. Called about once a second.
    fn handle_time(&mut self, _feed: &mut Feed, _now: Instant) -> Fate<Self::Outcome> {
        Fate::Continue(())
    }

    /// All is written and flushed.
    fn handle_settled(&mut self, _cx: &mut Context<'_>) -> Fate<Self::Outcome> {
        Fate::Continue(())
    }

    /// The socket is given up.
    fn lost(&mut self, lost: Lost) -> Self::Outcome;

    /// The viewer leaves its writer.
    fn leave(self, feed: Feed, outcome: Self::Outcome);
}

/// A viewer of one stream, driven by a writer.
pub struct Viewer<P> {
    feed: Feed,
    protocol: P,
    /// The socket takes nothing at the moment, since then; its waker tells.
    blocked: Option<Instant>,
}

impl<P> fmt::Debug for Viewer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewer").field("stream", self.feed.name()).finish_non_exhaustive()
    }
}

impl<P: Protocol> Viewer<P> {
    /// A viewer to be given to [`Writers`](crate::Writers). What its feed holds already is written first.
    pub fn new(feed: Feed, protocol: P) -> Self {
        Self { feed, protocol, blocked: None }
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Whether it waits for batches.
    pub(crate) fn awaits(&self) -> bool {
        !self.protocol.is_ending()
    }

    /// Whether a new batch can be written: neither blocked nor ending.
    pub(crate) fn is_open(&self) -> bool {
        self.blocked.is_none() && self.awaits()
    }

    pub(crate) fn leave(self, outcome: P::Outcome) {
        self.protocol.leave(self.feed, outcome);
    }

    /// The server goes away.
    pub(crate) fn handle_shutdown(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate<P::Outcome> {
        self.protocol.handle_shutdown(&mut self.feed, now)?;
        self.write(cx, now)
    }

    /// The socket may be readable or writable.
    pub(crate) fn handle_ready(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], now: Instant) -> Fate<P::Outcome> {
        for _ in 0..MAX_READS {
            match self.protocol.poll_read(cx, scratch, &mut self.feed, now) {
                Poll::Pending => return self.write(cx, now),
                Poll::Ready(fate) => fate?,
            }
        }
        cx.waker().wake_by_ref();
        self.write(cx, now)
    }

    /// Writes until there is nothing to write or the socket takes no more.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate<P::Outcome> {
        loop {
            let more = self.gather(now)?;
            if self.feed.backlog.is_empty() {
                return self.settle(cx, now);
            }
            match self.feed.backlog.poll_write(Pin::new(self.protocol.socket()), cx) {
                Poll::Ready(Ok(0)) => return self.lose(Lost::Closed),
                Poll::Ready(Err(error)) => return self.lose(Lost::Failed(error)),
                Poll::Ready(Ok(written)) => {
                    self.blocked = None;
                    self.feed.sent(written);
                    if self.feed.backlog.is_empty() && !more {
                        return self.settle(cx, now);
                    }
                }
                Poll::Pending => {
                    self.blocked.get_or_insert(now);
                    return Fate::Continue(());
                }
            }
        }
    }

    /// Takes batches from the cursor. Returns whether there may be more.
    fn gather(&mut self, now: Instant) -> ControlFlow<P::Outcome, bool> {
        let Self { feed, protocol, .. } = self;
        protocol.handle_room(feed);
        while feed.has_room() {
            if protocol.is_ending() {
                return ControlFlow::Continue(false);
            }
            match feed.try_next() {
                Next::Batch(batch) => protocol.handle_batch(&batch, feed, now)?,
                Next::Empty => return ControlFlow::Continue(false),
                Next::Ended(reason) => protocol.handle_end(reason, feed, now)?,
            }
        }
        ControlFlow::Continue(true)
    }

    /// Everything is written: flushes what TLS holds.
    fn settle(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate<P::Outcome> {
        match Pin::new(self.protocol.socket()).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Ready(Err(error)) => return self.lose(Lost::Failed(error)),
            Poll::Pending => {
                self.blocked.get_or_insert(now);
                return Fate::Continue(());
            }
        }
        self.protocol.handle_settled(cx)
    }

    /// Acts on deadlines. Called about once a second.
    pub(crate) fn handle_time(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate<P::Outcome> {
        self.protocol.handle_time(&mut self.feed, now)?;
        if self.blocked.is_none() && !self.feed.backlog.is_empty() {
            self.write(cx, now)?;
        }
        match self.blocked {
            Some(since) if now.duration_since(since) >= self.protocol.stall() => {
                self.lose(Lost::Stalled(self.protocol.stall()))
            }
            _ => Fate::Continue(()),
        }
    }

    fn lose(&mut self, lost: Lost) -> Fate<P::Outcome> {
        Fate::Break(self.protocol.lost(lost))
    }
}
