//! When to ping an original upstream, and when it is gone.

use std::time::{Duration, Instant};

/// Times of a keep-alive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Between two pings.
    pub(super) every: Duration,
    /// How long an answer may take.
    pub(super) answer: Duration,
}

impl Default for Times {
    /// Pings every 5 s, so that three are lost before an upstream that has answered before is given up after 15 s, long
    /// before the 147 s that the original takes to notice a connection that is half open.
    fn default() -> Self {
        Self { every: Duration::from_secs(5), answer: Duration::from_secs(15) }
    }
}

/// Knows no clock: instants are arguments.
#[derive(Debug)]
pub(super) struct KeepAlive {
    times: Times,
    due: Instant,
    /// When the oldest ping without an answer was sent.
    waiting: Option<Instant>,
    /// Whether the peer has ever answered. One that has not may be a receiver that swallows pings, and is left alone.
    answers: bool,
}

impl KeepAlive {
    pub(super) fn new(times: Times, now: Instant) -> Self {
        Self { times, due: now + times.every, waiting: None, answers: false }
    }

    /// Whether a ping is to be sent with the tag that is about to go out.
    pub(super) fn ping(&mut self, now: Instant) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + self.times.every;
            self.waiting = self.waiting.or(Some(now));
        }
        due
    }

    pub(super) fn handle_pong(&mut self) {
        (self.waiting, self.answers) = (None, true);
    }

    /// How long the peer, which has answered before, has been silent, once that is too long.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let silent = self.answers && self.waiting.is_some_and(|since| since + self.times.answer <= now);
        silent.then_some(self.times.answer)
    }
}
