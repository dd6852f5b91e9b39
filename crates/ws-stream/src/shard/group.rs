//! The writer of some viewers of one stream: a task that wakes once per batch and writes to all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::viewer::{Fate, Viewer};
use super::wake::{Bell, Ready};

/// Viewers written to before other tasks of the thread have their turn: about 0.3 ms.
const VIEWERS_PER_TURN: usize = 64;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Bytes read from a viewer at once. Viewers send control frames and little else.
const SCRATCH_BYTES: usize = 2 << 10;

/// Where new viewers are left for a writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<Arrivals>,
    notify: Notify,
}

/// A viewer and what it has sent already.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) viewer: Viewer,
    pub(super) read_ahead: Bytes,
}

#[derive(Debug, Default)]
struct Arrivals {
    viewers: Vec<Arrival>,
    /// Viewers that the writer has, with those that have not been taken out yet.
    population: usize,
    closed: bool,
}

impl Inbox {
    /// How many viewers the writer has; `None` once it has gone.
    pub(super) fn population(&self) -> Option<usize> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (!state.closed).then_some(state.population)
    }

    /// Leaves a viewer; gives it back when the writer has gone.
    pub(super) fn put(&self, arrival: Box<Arrival>) -> Result<(), Box<Arrival>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(arrival);
        }
        state.population += 1;
        state.viewers.push(*arrival);
        drop(state);
        self.notify.notify_one();
        Ok(())
    }

    fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).viewers)
    }

    fn left(&self, viewers: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.population = state.population.saturating_sub(viewers);
    }

    /// Closes the inbox unless somebody is in it.
    fn close_if_empty(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = state.viewers.is_empty();
        state.closed
    }
}

/// A viewer with its waker.
#[derive(Debug)]
struct Seat {
    viewer: Viewer,
    bell: Arc<Bell>,
    waker: Waker,
}

/// The viewers of one writer.
#[derive(Debug)]
pub(super) struct Group {
    inbox: Arc<Inbox>,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    news: Option<watch::Receiver<u64>>,
    shutdown: CancellationToken,
    scratch: Box<[u8]>,
}

impl Group {
    pub(super) fn new(inbox: Arc<Inbox>, shutdown: CancellationToken) -> Self {
        Self {
            inbox,
            seats: Vec::new(),
            free: Vec::new(),
            ready: Arc::default(),
            news: None,
            shutdown,
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }

    /// Drives the viewers until the last has left.
    pub(super) async fn run(mut self) {
        let (inbox, ready, shutdown) = (Arc::clone(&self.inbox), Arc::clone(&self.ready), self.shutdown.clone());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keys = Vec::new();
        let mut going = false;
        loop {
            tokio::select! {
                () = changed(&mut self.news) => self.write_all().await,
                () = ready.take(&mut keys) => self.look_at(&mut keys).await,
                () = inbox.notify.notified() => self.admit(),
                _ = tick.tick() => self.for_each(|viewer, cx, now| viewer.handle_time(cx, now)),
                () = shutdown.cancelled(), if !going => {
                    going = true;
                    self.for_each(|viewer, cx, now| viewer.leave(cx, now));
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
        let now = Instant::now();
        for arrival in self.inbox.take() {
            let Arrival { viewer, read_ahead } = arrival;
            let key = self.free.pop().unwrap_or(self.seats.len());
            let bell = Bell::new(&self.ready, key);
            let mut seat = Seat { viewer, waker: bell.waker(), bell };
            let mut news = seat.viewer.subscriber.news();
            news.mark_unchanged();
            let mut fate = seat.viewer.handle_read_ahead(&read_ahead, now);
            if fate == Fate::Stays {
                fate = seat.viewer.handle_ready(&mut Context::from_waker(&seat.waker), &mut self.scratch, now);
            }
            // A viewer that was refused has a stream of its own, which never has news.
            let same = self.news.as_ref().is_some_and(|have| have.same_channel(&news));
            if self.news.is_none() || (seat.viewer.is_open() && !same) {
                self.news = Some(news);
            }
            if key == self.seats.len() {
                self.seats.push(None);
            }
            self.place(key, (fate == Fate::Stays).then_some(seat));
        }
    }

    /// Puts a viewer in its place, or frees the place.
    fn place(&mut self, key: usize, seat: Option<Seat>) {
        if seat.is_none() {
            self.free.push(key);
            self.inbox.left(1);
            crate::metrics::viewer_left();
        }
        if let Some(place) = self.seats.get_mut(key) {
            *place = seat;
        }
    }

    /// A batch has come: writes to all viewers that are not blocked, in turns.
    async fn write_all(&mut self) {
        let mut from = 0;
        while from < self.seats.len() {
            let to = from.saturating_add(VIEWERS_PER_TURN);
            let now = Instant::now();
            for key in from..to.min(self.seats.len()) {
                self.act(key, |viewer, cx, _| if viewer.is_open() { viewer.write(cx, now) } else { Fate::Stays });
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

    fn for_each(&mut self, act: impl Fn(&mut Viewer, &mut Context<'_>, Instant) -> Fate) {
        let now = Instant::now();
        for key in 0..self.seats.len() {
            self.act(key, |viewer, cx, _| act(viewer, cx, now));
        }
    }

    /// Acts on one viewer and frees its place when it is gone.
    fn act(&mut self, key: usize, act: impl FnOnce(&mut Viewer, &mut Context<'_>, &mut [u8]) -> Fate) {
        let Some(Some(seat)) = self.seats.get_mut(key) else { return };
        let fate = act(&mut seat.viewer, &mut Context::from_waker(&seat.waker), &mut self.scratch);
        if fate == Fate::Gone {
            self.place(key, None);
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
