//! A request's body on its way to the next hop, and who keeps it waiting.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{BoxError, poll_clean};

/// Whom an upload waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The sender: nothing has come.
    Sender,
    /// The receiver: it has not asked for more.
    Receiver,
    /// The answer: all has been handed over.
    Answer,
}

/// The state of one upload, read by whoever waits for the answer.
#[derive(Debug)]
pub(crate) struct Meter {
    state: Mutex<(Waiting, Instant)>,
    done: Notify,
}

impl Meter {
    fn enter(&self, waiting: Waiting) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Waiting for the sender goes on through many polls; taking a frame starts the receiver's time anew.
        if state.0 != Waiting::Answer && (state.0 != waiting || waiting == Waiting::Receiver) {
            *state = (waiting, Instant::now());
        }
        drop(state);
        if waiting == Waiting::Answer {
            self.done.notify_one();
        }
    }

    fn state(&self) -> (Waiting, Instant) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the next hop has owed an answer, or room for more, for `answer`; or when the sender has been silent
    /// for `silence` in the middle of the body. A body that flows never runs into either.
    pub(crate) async fn overdue(&self, answer: Duration, silence: Duration) -> Overdue {
        loop {
            let (waiting, since) = self.state();
            let due = since + if waiting == Waiting::Sender { silence } else { answer };
            if due <= Instant::now() {
                return if waiting == Waiting::Sender { Overdue::Sender } else { Overdue::Answer };
            }
            // Changes between sender and receiver are not announced, so look again in time for them.
            let wake = due.min(Instant::now() + answer.min(silence));
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                () = self.done.notified() => {}
            }
        }
    }
}

/// Who is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    Sender,
    Answer,
}

/// A request's body that keeps its [`Meter`] up to date.
#[derive(Debug)]
pub(crate) struct Upload<B> {
    inner: B,
    meter: Arc<Meter>,
    count: fn(usize),
}

impl<B: Body> Upload<B> {
    /// Wraps the body; `count` is told of each piece that passes.
    pub(crate) fn new(inner: B, count: fn(usize)) -> (Self, Arc<Meter>) {
        let first = if inner.is_end_stream() { Waiting::Answer } else { Waiting::Receiver };
        let meter = Arc::new(Meter { state: Mutex::new((first, Instant::now())), done: Notify::new() });
        (Self { inner, meter: Arc::clone(&meter), count }, meter)
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = poll_clean(Pin::new(&mut this.inner), context);
        if polled.is_pending() {
            this.meter.enter(Waiting::Sender);
        }
        let next = ready!(polled);
        match &next {
            Some(Ok(frame)) => {
                (this.count)(frame.data_ref().map_or(0, Bytes::len));
                let end = frame.is_trailers() || this.inner.is_end_stream();
                this.meter.enter(if end { Waiting::Answer } else { Waiting::Receiver });
            }
            Some(Err(_)) | None => this.meter.enter(Waiting::Answer),
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Upload<B> {
    /// A receiver that drops the body early wants no more of it: what is owed is the answer.
    fn drop(&mut self) {
        self.meter.enter(Waiting::Answer);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    const ANSWER: Duration = Duration::from_secs(30);
    const SILENCE: Duration = Duration::from_secs(120);

    fn channel() -> (tokio::sync::mpsc::Sender<&'static [u8]>, impl Body<Data = Bytes, Error = BoxError> + Unpin) {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let stream = futures_util::stream::poll_fn(move |context| {
            receiver.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(Bytes::from_static(data)))))
        });
        (sender, StreamBody::new(stream))
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_body_the_answer_is_owed_from_the_start() {
        let (_upload, meter) = Upload::new(Full::<Bytes>::default(), |_| {});
        let start = Instant::now();
        assert_eq!(meter.overdue(ANSWER, SILENCE).await, Overdue::Answer);
        assert_eq!(start.elapsed(), ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flowing_upload_is_never_overdue() {
        let (sender, body) = channel();
        let (mut upload, meter) = Upload::new(body, |_| {});
        let start = Instant::now();
        let flow = async {
            let feed = async move {
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    sender.send(b"x").await.unwrap();
                }
            };
            let take = async { while upload.frame().await.is_some() {} };
            tokio::join!(feed, take);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = flow => {}
            late = meter.overdue(ANSWER, SILENCE) => assert_eq!(late, Overdue::Answer),
        }
        assert_eq!(start.elapsed(), Duration::from_secs(400) + ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_and_a_stuck_receiver_are_told_apart() {
        let (sender, body) = channel();
        let (mut upload, meter) = Upload::new(body, |_| {});
        let start = Instant::now();
        let silent = async {
            upload.frame().await;
        };
        tokio::select! {
            () = silent => {}
            late = meter.overdue(ANSWER, SILENCE) => assert_eq!(late, Overdue::Sender),
        }
        assert_eq!(start.elapsed(), SILENCE);
        sender.send(b"x").await.unwrap();
        upload.frame().await.unwrap().unwrap();
        // Nobody asks for the next frame.
        let start = Instant::now();
        assert_eq!(meter.overdue(ANSWER, SILENCE).await, Overdue::Answer);
        assert_eq!(start.elapsed(), ANSWER);
    }
}
