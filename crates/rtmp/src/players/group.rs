//! The writer of some players of one stream: a task that wakes once per batch and writes to all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use sluicegate_net::shutdown::Shutdown;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::player::{Outcome, Player};
use super::wake::{Bell, Ready};

/// Players written to before other tasks of the thread have their turn: about 0.3 ms.
const PLAYERS_PER_TURN: usize = 64;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Where new players are left for a writer.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<Arrivals>,
    notify: Notify,
}

#[derive(Default)]
struct Arrivals {
    players: Vec<Player>,
    /// Players that the writer has, with those that have not been taken out yet.
    population: usize,
    closed: bool,
}

impl Inbox {
    /// How many players the writer has; `None` once it has gone.
    pub(super) fn population(&self) -> Option<usize> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (!state.closed).then_some(state.population)
    }

    /// Leaves a player; gives it back when the writer has gone.
    pub(super) fn put(&self, player: Box<Player>) -> Result<(), Box<Player>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(player);
        }
        state.population += 1;
        state.players.push(*player);
        drop(state);
        self.notify.notify_one();
        Ok(())
    }

    fn take(&self) -> Vec<Player> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).players)
    }

    fn left(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.population = state.population.saturating_sub(1);
    }

    /// Closes the inbox unless somebody is in it.
    fn close_if_empty(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = state.players.is_empty();
        state.closed
    }
}

/// A player with its waker.
struct Seat {
    player: Player,
    bell: Arc<Bell>,
    waker: Waker,
}

/// The players of one writer.
pub(super) struct Group {
    inbox: Arc<Inbox>,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    news: Option<watch::Receiver<u64>>,
    shutdown: Shutdown,
}

impl Group {
    pub(super) fn new(inbox: Arc<Inbox>, shutdown: Shutdown) -> Self {
        Self { inbox, seats: Vec::new(), free: Vec::new(), ready: Arc::default(), news: None, shutdown }
    }

    /// Drives the players until the last has left.
    pub(super) async fn run(mut self) {
        let (inbox, ready, shutdown) = (Arc::clone(&self.inbox), Arc::clone(&self.ready), self.shutdown.clone());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keys = Vec::new();
        loop {
            let going = shutdown.is_begun();
            tokio::select! {
                () = changed(&mut self.news) => self.write_all().await,
                () = ready.take(&mut keys) => self.look_at(&mut keys).await,
                () = inbox.notify.notified() => self.admit().await,
                _ = tick.tick() => self.for_each(|player, now| player.handle_time(now)),
                () = shutdown.begun(), if !going || self.free.len() < self.seats.len() => {
                    self.for_each(|_, _| Some(Outcome::Over("the server is going away".to_owned())));
                }
            }
            if self.free.len() == self.seats.len() && inbox.close_if_empty() {
                return;
            }
            // A stream that is always ahead of this writer must not keep the thread from other tasks.
            tokio::task::yield_now().await;
        }
    }

    async fn admit(&mut self) {
        let now = Instant::now();
        let mut other_stream = false;
        for player in self.inbox.take() {
            let key = self.free.pop().unwrap_or(self.seats.len());
            let bell = Bell::new(&self.ready, key);
            let mut news = player.news();
            news.mark_unchanged();
            // A stream that ended and came again is another one with the same name.
            if !self.news.as_ref().is_some_and(|have| have.same_channel(&news)) {
                other_stream |= self.news.is_some();
                self.news = Some(news);
            }
            if key == self.seats.len() {
                self.seats.push(None);
            }
            if let Some(place) = self.seats.get_mut(key) {
                *place = Some(Seat { player, waker: bell.waker(), bell });
            }
            self.act(key, |player, cx| player.handle_ready(cx, now));
        }
        if other_stream {
            self.write_all().await;
        }
    }

    /// A batch has come: writes to all players that are not blocked, in turns.
    async fn write_all(&mut self) {
        let mut from = 0;
        while from < self.seats.len() {
            let to = from.saturating_add(PLAYERS_PER_TURN);
            let now = Instant::now();
            for key in from..to.min(self.seats.len()) {
                self.act(key, |player, cx| if player.is_open() { player.write(cx, now) } else { None });
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
            self.act(key, |player, cx| player.handle_ready(cx, now));
            if count % PLAYERS_PER_TURN == PLAYERS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn for_each(&mut self, act: impl Fn(&mut Player, Instant) -> Option<Outcome>) {
        let now = Instant::now();
        for key in 0..self.seats.len() {
            self.act(key, |player, _| act(player, now));
        }
    }

    /// Acts on one player, and frees its place when it leaves.
    fn act(&mut self, key: usize, act: impl FnOnce(&mut Player, &mut Context<'_>) -> Option<Outcome>) {
        let Some(Some(seat)) = self.seats.get_mut(key) else { return };
        let Some(outcome) = act(&mut seat.player, &mut Context::from_waker(&seat.waker)) else { return };
        if let Some(seat) = self.seats.get_mut(key).and_then(Option::take) {
            seat.player.leave(outcome);
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
