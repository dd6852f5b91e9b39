//! How many further connections a peer gets: on a link that loses packets each one carries only so much.
//!
//! SCTP takes every loss for congestion: at 1 % and 50 ms an association sends 2 Mbit/s, on whatever link (about packet /
//! round trip / √loss). Several side by side send several times as much. And a browser's socket, which each connection
//! has one of, loses what a burst has beyond some 64 KiB, so that only several carry a fast link's round trip without
//! loss. Loss itself is not to be seen from here, so that [`Growth`] tries: where a peer far away is busy and gets
//! little, it opens some more, and keeps them if that helped. Instants in, a number out.

use std::time::{Duration, Instant};

/// How much time in which there was something to send makes a sample, and how many round trips at least.
const SAMPLE: Duration = Duration::from_millis(500);
const LONGEST_SAMPLE: Duration = Duration::from_secs(2);
const ROUND_TRIPS: u32 = 10;
/// A step that has not helped is believed after a sample of so many times the length: losses come in swarms, too, and make
/// a short one swing.
const DOUBT: u32 = 3;
/// How long new connections may take to open; then what there is counts.
const SETTLE: Duration = Duration::from_secs(3);
/// What counts as more, as a part of what was: shares of a link swing by less.
const GAIN: f64 = 1.25;
/// How long nothing is tried after it has not helped, doubled each time up to the second.
const HOLD: Duration = Duration::from_secs(15);
const LONGEST_HOLD: Duration = Duration::from_secs(960);
/// How many may fail to open, as handshakes do that lose packets, before a peer is taken not to be reached by more.
const FAILURES: u32 = 4;
/// A peer with as much under way in each round trip is not held up by loss: at 50 ms these are 157 Mbit/s.
const ENOUGH: f64 = 983_040.0;
/// The first step makes room for so much more than was seen, where each connection carries a bounded part: with less it
/// would look useless on a link that has the room.
const ROOM: f64 = 1.5;
/// A single connection that carries such a part of its bound in a round trip is held up by that: nothing else is to be
/// seen before the first step.
const FILLED: f64 = 0.6;

/// Bounds of further connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// To one peer, beside the first; as many of its own are taken from it. Default 31: with a message under way on each
    /// of 32 a browser gets up to 250 Mbit/s at 50 ms, and 2 Mbit/s become 60. 0 turns them off.
    pub each: usize,
    /// To and from all peers. Default 96; a busy one takes 0.2 to 0.4 MB.
    pub all: usize,
    /// One that has sent nothing for so long is closed. Default 10 s; who needs it again opens it again.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { each: 31, all: 96, idle: Duration::from_secs(10) }
    }
}

/// What is to be seen of a peer at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether there is something to send that has to wait.
    pub busy: bool,
    /// Bytes that it has acknowledged so far.
    pub acknowledged: u64,
    /// Its round trip; none for a peer nearby.
    pub round_trip: Option<Duration>,
    /// Further connections that are open.
    pub open: usize,
    /// Bytes that each of several connections carries in a round trip at most; none where only the link bounds them.
    pub bound: Option<usize>,
}

/// Measures a peer, and tells how many further connections it is to have.
#[derive(Debug)]
pub struct Growth {
    most: usize,
    wanted: usize,
    last: Option<(Instant, Look)>,
    /// What the sample under way has so far.
    time: Duration,
    bytes: u64,
    /// It has shown no gain so far, and goes on.
    doubted: bool,
    /// The rate of the sample before, with as many connections.
    rate: Option<f64>,
    /// The rate before the last step, and how many were wanted then.
    before: Option<(f64, usize)>,
    settled_by: Option<Instant>,
    held_until: Option<Instant>,
    hold: Duration,
    /// Those that did not open since the last one that did.
    failures: u32,
}

impl Growth {
    /// A peer that takes `most` of them.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            wanted: 0,
            last: None,
            time: Duration::ZERO,
            bytes: 0,
            doubted: false,
            rate: None,
            before: None,
            settled_by: None,
            held_until: None,
            hold: HOLD,
            failures: 0,
        }
    }

    /// Further connections that the peer is to have while it is busy.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Whether others are tried or open. Else the peer has one connection, which then has to do alone.
    #[must_use]
    pub fn is_growing(&self, now: Instant) -> bool {
        self.most > 0 && (self.wanted > 0 || !self.is_held(now))
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// One has opened.
    pub fn handle_opened(&mut self) {
        self.failures = 0;
    }

    /// One that was agreed on did not open. Another is tried in its place.
    pub fn handle_failed(&mut self, now: Instant, open: usize) {
        self.failures += 1;
        if self.failures >= FAILURES {
            self.failures = 0;
            self.handle_refused(now, open);
        }
    }

    /// There is no place for one, here or there: it stays at those that there are, for a while.
    pub fn handle_refused(&mut self, now: Instant, open: usize) {
        self.wanted = self.wanted.min(open);
        self.before = None;
        self.wait(now);
    }

    fn wait(&mut self, now: Instant) {
        self.held_until = Some(now + self.hold);
        self.hold = (self.hold * 2).min(LONGEST_HOLD);
    }

    fn restart(&mut self) {
        (self.time, self.bytes, self.doubted) = (Duration::ZERO, 0, false);
    }

    /// Takes what is to be seen now.
    pub fn handle_look(&mut self, now: Instant, look: Look) {
        if let Some((then, before)) = self.last.replace((now, look))
            && before.busy
        {
            self.time += now.saturating_duration_since(then);
            self.bytes += look.acknowledged.saturating_sub(before.acknowledged);
        }
        let Some(round_trip) = look.round_trip.filter(|_| look.busy && self.most > 0) else { return };
        if look.open < self.wanted && self.settled_by.is_some_and(|by| now < by) {
            self.restart();
            return;
        }
        let sample = (round_trip * ROUND_TRIPS).clamp(SAMPLE, LONGEST_SAMPLE);
        if self.time < if self.doubted { sample * DOUBT } else { sample } {
            return;
        }
        let rate = self.bytes as f64 / self.time.as_secs_f64();
        if !self.doubted && self.before.is_some_and(|(before, _)| rate < before * GAIN) {
            self.doubted = true;
            return;
        }
        self.restart();
        let (held, under_way) = (self.is_held(now), rate * round_trip.as_secs_f64());
        let filled = self.wanted == 0 && look.bound.is_some_and(|bound| under_way > bound as f64 * FILLED);
        match (self.before, self.rate) {
            (Some((before, _)), _) if rate >= before * GAIN => {
                self.hold = HOLD;
                self.step(now, rate, 0);
            }
            (Some((_, wanted)), _) => {
                (self.wanted, self.before, self.rate) = (wanted, None, None);
                self.wait(now);
            }
            (None, _) if held || under_way >= ENOUGH => self.rate = Some(rate),
            // It still grows by itself, as all do at first.
            (None, None) if !filled => self.rate = Some(rate),
            (None, Some(earlier)) if !filled && rate > earlier * GAIN => self.rate = Some(rate),
            (None, _) => self.step(now, rate, look.bound.map_or(0, |bound| carrying(under_way * ROOM, bound))),
        }
    }

    /// Makes four times the connections, the first included; `least` beside it at least.
    fn step(&mut self, now: Instant, rate: f64, least: usize) {
        let wanted = (self.wanted * 4 + 3).max(least).min(self.most);
        if wanted == self.wanted {
            (self.before, self.rate) = (None, None);
            self.wait(now);
            return;
        }
        (self.before, self.rate) = (Some((rate, self.wanted)), None);
        self.wanted = wanted;
        self.settled_by = Some(now + SETTLE);
    }
}

/// Connections beside the first that carry so many bytes in a round trip, where each carries `bound`.
fn carrying(bytes: f64, bound: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is less than ENOUGH * ROOM")]
    let bytes = bytes as usize;
    bytes.div_ceil(bound.max(1)).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    /// Runs a peer that is always busy; `rate` tells bytes in 10 ms from the connections. Gives how many it ends with.
    fn run(growth: &mut Growth, start: Instant, seconds: u64, rate: impl Fn(u64) -> u64) -> usize {
        run_bound(growth, start, seconds, None, rate)
    }

    fn run_bound(
        growth: &mut Growth,
        start: Instant,
        seconds: u64,
        bound: Option<usize>,
        rate: impl Fn(u64) -> u64,
    ) -> usize {
        let (mut open, mut acknowledged) = (growth.wanted(), 0);
        for tick in 0..seconds * 100 {
            let busy = tick + 1 < seconds * 100;
            let look = Look { busy, acknowledged, round_trip: Some(ROUND_TRIP), open, bound };
            growth.handle_look(start + Duration::from_millis(tick * 10), look);
            acknowledged += rate(open as u64);
            // They take 0.2 s to open.
            if tick % 20 == 0 {
                open = growth.wanted();
            }
        }
        growth.wanted()
    }

    #[test]
    fn a_lossy_link_gets_all_within_seconds() {
        let start = Instant::now();
        let each = |open| 2_500 * (open + 1);
        assert_eq!(run(&mut Growth::new(15), start, 5, each), 15);
        assert_eq!(run(&mut Growth::new(5), start, 5, each), 5);
        assert_eq!(run(&mut Growth::new(0), start, 5, each), 0);
    }

    #[test]
    fn a_moment_of_loss_right_after_a_step_is_no_verdict() {
        let (start, open) = (Instant::now(), std::cell::Cell::new(0));
        let moment = std::cell::Cell::new(0);
        let each = |now| {
            moment.set(if now == open.replace(now) { moment.get() + 1 } else { 0 });
            let held_up = now > 0 && moment.get() < 60;
            if held_up { 2_500 } else { 2_500 * (now + 1) }
        };
        assert_eq!(run(&mut Growth::new(15), start, 10, each), 15);
    }

    #[test]
    fn a_thin_link_is_tried_seldom_and_left_alone() {
        let start = Instant::now();
        let mut growth = Growth::new(15);
        assert!(growth.is_growing(start) && !Growth::new(0).is_growing(start));
        assert_eq!(run(&mut growth, start, 10, |_| 2_500), 0);
        assert!(!growth.is_growing(start + Duration::from_secs(10)));
        // Some time later, and no sooner, it is tried once more.
        assert!(growth.held_until.is_some_and(|until| until > start + HOLD));
        assert_eq!(run(&mut growth, start + Duration::from_secs(70), 10, |_| 2_500), 0);
        assert_eq!(growth.hold, HOLD * 4);
    }

    #[test]
    fn a_link_that_holds_three_gets_what_helps() {
        let total = |open: u64| 2_500 * (open + 1).min(4);
        assert_eq!(run(&mut Growth::new(15), Instant::now(), 10, total), 3);
    }

    #[test]
    fn a_fast_link_and_a_peer_nearby_get_none() {
        let start = Instant::now();
        assert_eq!(run(&mut Growth::new(15), start, 10, |_| 200_000), 0);
        let mut growth = Growth::new(15);
        for tick in 0..1_000 {
            let look = Look { busy: true, acknowledged: tick * 100, round_trip: None, open: 0, bound: None };
            growth.handle_look(start + Duration::from_millis(tick * 10), look);
        }
        assert_eq!(growth.wanted(), 0);
    }

    #[test]
    fn a_browser_on_a_fast_link_gets_what_carries_it() {
        let bound = 51_230;
        // One alone reaches less and less of the link; of several each carries one message in a round trip.
        for alone in [20_000, 60_000, 100_000, 120_000] {
            let rate = |open: u64| if open == 0 { alone } else { (10_246 * (open + 1)).min(250_000) };
            let mut growth = Growth::new(31);
            let open = run_bound(&mut growth, Instant::now(), 8, Some(bound), rate);
            assert!(rate(open as u64) >= 200_000, "{alone}: {open}");
        }
        // What it carries at first is its bound and not the link's: that is seen at once.
        let mut growth = Growth::new(31);
        run_bound(&mut growth, Instant::now(), 1, Some(bound), |_| 9_000);
        assert_eq!(growth.wanted(), 3);
        // One that fills its link alone is left alone in the end.
        assert_eq!(run_bound(&mut Growth::new(31), Instant::now(), 8, Some(bound), |_| 60_000), 0);
    }

    #[test]
    fn what_cannot_be_opened_is_not_asked_for_without_end() {
        let start = Instant::now();
        let mut growth = Growth::new(15);
        let rate = |open| 2_500 * (open + 1);
        run(&mut growth, start, 2, rate);
        assert!(growth.wanted() > 0);
        let wanted = growth.wanted();
        (1..FAILURES).for_each(|_| growth.handle_failed(start + Duration::from_secs(2), 1));
        assert_eq!(growth.wanted(), wanted, "handshakes may lose packets");
        growth.handle_failed(start + Duration::from_secs(2), 1);
        assert_eq!(growth.wanted(), 1);
        assert_eq!(run(&mut growth, start + Duration::from_secs(3), 10, rate), 1);
    }
}
