//! The writer of some viewers of one stream: a task that wakes once per batch and writes to all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::wake::{Bell, Ready};
use crate::{Fate, Protocol, Viewer};

/// Viewers written to before other tasks of the thread have their turn: about 0.3 ms.
const VIEWERS_PER_TURN: usize = 64;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Bytes read from a viewer at once. Viewers send control frames and little else.
const SCRATCH_BYTES: usize = 2 << 10;

/// Where new viewers are left for a writer.
pub(crate) struct Inbox<P> {
    state: Mutex<Arrivals<P>>,
    notify: Notify,
}

struct Arrivals<P> {
    viewers: Vec<Viewer<P>>,
    /// Viewers that the writer has, with those that have not been taken out yet.
    population: usize,
    closed: bool,
}

impl<P> Default for Inbox<P> {
    fn default() -> Self {
        let state = Arrivals { viewers: Vec::new(), population: 0, closed: false };
        Self { state: Mutex::new(state), notify: Notify::new() }
    }
}

impl<P> Inbox<P> {
    /// How many viewers the writer has; `None` once it has gone.
    pub(crate) fn population(&self) -> Option<usize> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (!state.closed).then_some(state.population)
    }

    /// Leaves a viewer; gives it back when the writer has gone.
    pub(crate) fn put(&self, viewer: Box<Viewer<P>>) -> Result<(), Box<Viewer<P>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(viewer);
        }
        state.population += 1;
        state.viewers.push(*viewer);
        drop(state);
        self.notify.notify_one();
        Ok(())
    }

    fn take(&self) -> Vec<Viewer<P>> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).viewers)
    }

    fn left(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.population = state.population.saturating_sub(1);
    }

    /// Closes the inbox unless somebody is in it.
    fn close_if_empty(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = state.viewers.is_empty();
        state.closed
    }
}

/// A viewer with its waker.
struct Seat<P> {
    viewer: Viewer<P>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// The viewers of one writer.
pub(crate) struct Group<P> {
    inbox: Arc<Inbox<P>>,
    seats: Vec<Option<Seat<P>>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    news: Option<watch::Receiver<u64>>,
    /// The server goes away.
    going: bool,
    scratch: Box<[u8]>,
}

impl<P: Protocol> Group<P> {
    pub(crate) fn new(inbox: Arc<Inbox<P>>) -> Self {
        Self {
            inbox,
            seats: Vec::new(),
            free: Vec::new(),
            ready: Arc::default(),
            news: None,
            going: false,
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }

    /// Drives the viewers until the last has left.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let (inbox, ready) = (Arc::clone(&self.inbox), Arc::clone(&self.ready));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        let mut keys = Vec::new();
        loop {
            tokio::select! {
                () = changed(&mut self.news) => self.write_all().await,
                () = ready.take(&mut keys) => self.look_at(&mut keys).await,
                () = inbox.notify.notified() => self.admit(),
                _ = tick.tick() => self.for_each(|viewer, cx, now| viewer.handle_time(cx, now)),
                () = &mut shutdown, if !self.going => {
                    self.going = true;
                    self.for_each(|viewer, cx, now| viewer.handle_shutdown(cx, now));
                }
            }
            if self.free.len() == self.seats.len() && inbox.close_if_empty() {
                return;
            }
            // A stream that is always ahead of this writer must not keep the thread from other tasks.
            tokio::task::yield_now().await;
        }
    }

    fn admit(&mut self) {
        let (now, going) = (Instant::now(), self.going);
        for viewer in self.inbox.take() {
            let key = self.free.pop().unwrap_or(self.seats.len());
            let bell = Bell::new(&self.ready, key);
            let mut news = viewer.feed().news();
            news.mark_unchanged();
            if key == self.seats.len() {
                self.seats.push(None);
            }
            if let Some(place) = self.seats.get_mut(key) {
                *place = Some(Seat { viewer, waker: bell.waker(), bell });
            }
            self.act(key, |viewer, cx, scratch| {
                viewer.handle_ready(cx, scratch, now)?;
                if going { viewer.handle_shutdown(cx, now) } else { Fate::Continue(()) }
            });
            // A viewer that was refused has a stream of its own, which never has news. A stream that came again after all
            // its viewers had left is another one with the same name.
            let awaits = matches!(self.seats.get(key), Some(Some(seat)) if seat.viewer.awaits());
            if awaits && !self.news.as_ref().is_some_and(|have| have.same_channel(&news)) {
                self.news = Some(news);
            }
        }
    }

    /// A batch has come: writes to all viewers that are not blocked, in turns.
    async fn write_all(&mut self) {
        let mut from = 0;
        while from < self.seats.len() {
            let to = from.saturating_add(VIEWERS_PER_TURN);
            let now = Instant::now();
            for key in from..to.min(self.seats.len()) {
                self.act(
                    key,
                    |viewer, cx, _| {
                        if viewer.is_open() { viewer.write(cx, now) } else { Fate::Continue(()) }
                    },
                );
            }
            from = to;
            if from < self.seats.len() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Some sockets have become readable or writable.
    async fn look_at(&mut self, keys: &mut Vec<usize>) {
        let now = Instant::now();
        for (count, key) in keys.drain(..).enumerate() {
            if let Some(Some(seat)) = self.seats.get(key) {
                seat.bell.answer();
            }
            self.act(key, |viewer, cx, scratch| viewer.handle_ready(cx, scratch, now));
            if count % VIEWERS_PER_TURN == VIEWERS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn for_each(&mut self, act: impl Fn(&mut Viewer<P>, &mut Context<'_>, Instant) -> Fate<P::Outcome>) {
        let now = Instant::now();
        for key in 0..self.seats.len() {
            self.act(key, |viewer, cx, _| act(viewer, cx, now));
        }
    }

    /// Acts on one viewer, and frees its place when it leaves.
    fn act(&mut self, key: usize, act: impl FnOnce(&mut Viewer<P>, &mut Context<'_>, &mut [u8]) -> Fate<P::Outcome>) {
        let Some(place) = self.seats.get_mut(key) else { return };
        let Some(seat) = place else { return };
        let fate = act(&mut seat.viewer, &mut Context::from_waker(&seat.waker), &mut self.scratch);
        let Fate::Break(outcome) = fate else { return };
        if let Some(seat) = place.take() {
            seat.viewer.leave(outcome);
            self.free.push(key);
            self.inbox.left();
        }
    }
}

/// Waits for news of the stream; for ever while there is no stream.
async fn changed(news: &mut Option<watch::Receiver<u64>>) {
    if let Some(news) = news
        && news.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
