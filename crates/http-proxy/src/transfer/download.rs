//! An answer's body on its way to the client, ended when its reader no longer reads.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{BoxError, poll_clean};
use crate::metrics::{self, Ending};

/// The reader has taken nothing for too long, so the body was given up.
#[derive(Debug, thiserror::Error)]
#[error("the reader took nothing for {} s", .0.as_secs())]
pub(crate) struct Stalled(Duration);

/// What the watch over a body must reach while nobody polls the body.
#[derive(Debug)]
struct Slot<B, G> {
    /// The body and what is held while it lasts. Taken out when the reader stalls, so that the site is told at once and
    /// the windows of its link are free again.
    live: Option<(B, G)>,
    /// When the reader was given data without having asked for more since. `None`: it waits for the source.
    given: Option<Instant>,
    stalled: bool,
}

/// An answer's body. A reader whose window is shut for the whole of the limit loses it; a silent source never does.
#[derive(Debug)]
pub(crate) struct Download<B, G> {
    slot: Arc<Mutex<Slot<B, G>>>,
    limit: Duration,
    watch: Option<AbortHandle>,
    bodiless: bool,
    /// Bytes still to come, where the answer announced its length. The server above does not ask beyond them.
    left: Option<u64>,
    ended: bool,
}

impl<B, G> Download<B, G>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    G: Send + 'static,
{
    /// Wraps the body; `held` is dropped with it. `bodiless` as in [`super::is_bodiless`].
    pub(crate) fn new(body: B, held: G, limit: Duration, bodiless: bool) -> Self {
        let left = body.size_hint().exact();
        let empty = body.is_end_stream();
        let slot = Slot { live: Some((body, held)), given: None, stalled: false };
        let mut this = Self { slot: Arc::new(Mutex::new(slot)), limit, watch: None, bodiless, left, ended: false };
        if empty {
            this.end(Ending::Complete);
        }
        this
    }

    fn end(&mut self, ending: Ending) {
        if !self.ended {
            self.ended = true;
            metrics::ended(ending);
        }
        lock(&self.slot).live = None;
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }

    fn note_data(&mut self, bytes: usize) {
        metrics::downloaded(bytes);
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        if self.left == Some(0) && !self.ended {
            // The body stays, because trailers may follow; only the count is closed.
            self.ended = true;
            metrics::ended(Ending::Complete);
        }
        lock(&self.slot).given = Some(Instant::now());
        if self.watch.is_none() {
            self.watch = Some(tokio::spawn(watch(Arc::clone(&self.slot), self.limit)).abort_handle());
        }
    }
}

impl<B, G> Body for Download<B, G>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
    G: Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = {
            let slot = &mut *lock(&self.slot);
            slot.given = None;
            match &mut slot.live {
                Some((body, _)) => poll_clean(Pin::new(body), context),
                None if slot.stalled => Poll::Ready(Some(Err(Stalled(self.limit).into()))),
                None => Poll::Ready(None),
            }
        };
        let next = ready!(polled);
        match &next {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) if !self.is_end_stream() => self.note_data(data.len()),
                Some(data) => {
                    metrics::downloaded(data.len());
                    self.end(Ending::Complete);
                }
                None => self.end(Ending::Complete),
            },
            Some(Err(error)) => {
                let ending = if error.is::<Stalled>() { Ending::Stalled } else { Ending::Truncated };
                self.end(ending);
            }
            None => self.end(Ending::Complete),
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        let slot = lock(&self.slot);
        slot.live.as_ref().map_or(!slot.stalled, |(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.bodiless {
            return SizeHint::default();
        }
        lock(&self.slot).live.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl<B, G> Drop for Download<B, G> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
        if !self.ended {
            let slot = lock(&self.slot);
            metrics::ended(if slot.stalled { Ending::Stalled } else { Ending::Dropped });
        }
    }
}

/// Takes the body away once its reader has been given data and not come back for the whole of the limit.
async fn watch<B, G>(slot: Arc<Mutex<Slot<B, G>>>, limit: Duration) {
    loop {
        let due = lock(&slot).given.unwrap_or_else(Instant::now) + limit;
        tokio::time::sleep_until(due).await;
        let gone = {
            let mut slot = lock(&slot);
            if slot.given.is_none_or(|given| given + limit > Instant::now()) {
                continue;
            }
            slot.stalled = true;
            slot.live.take()
        };
        drop(gone);
        tracing::debug!(seconds = limit.as_secs(), "the reader of an answer stalled, the answer is given up");
        return;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
