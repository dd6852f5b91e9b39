//! When a viewer that can change its variant does.

use std::time::{Duration, Instant};

use super::{Bounds, Variant, pick};
use crate::StreamName;

/// A bound below the rate of what is watched is believed after this long: one that recovers is left alone.
const BELOW: Duration = Duration::from_secs(3);
/// A bound that has room for more is believed after this long.
const ABOVE: Duration = Duration::from_secs(5);
/// The room that it must have, in percent of the rate: what just fits would be left again soon.
const ROOM: u64 = 125;
/// A climb that is regretted within this time was a mistake.
const REGRET: Duration = Duration::from_secs(30);
/// After a descent no climb for this long; each mistake doubles it.
const FIRST_REST: Duration = Duration::from_secs(10);
/// A rest is never longer.
const LAST_REST: Duration = Duration::from_secs(300);

/// A change of the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// To a leaner one.
    Down(StreamName),
    /// To a richer one.
    Up(StreamName),
}

impl Move {
    /// Where it leads.
    #[must_use]
    pub fn to(&self) -> &StreamName {
        let (Self::Down(name) | Self::Up(name)) = self;
        name
    }

    /// The name of its direction in metrics.
    #[must_use]
    pub fn direction(&self) -> &'static str {
        if matches!(self, Self::Down(_)) { "down" } else { "up" }
    }
}

/// Says when one viewer changes its variant, and to which.
///
/// It goes down when the rate of what it watches has been beyond its bound for 3 s, at once after a climb that was
/// a mistake. It goes up when the bound has had room for a richer variant for 5 s, and the viewer has rested since
/// its last descent: 10 s, twice as long after each mistake, 5 min at most. What is left of an uplink keeps it from
/// climbing and never makes it descend.
#[derive(Debug, Default)]
pub struct Mover {
    below: Option<Instant>,
    above: Option<Instant>,
    climbed: Option<Instant>,
    descended: Option<Instant>,
    rest: Duration,
}

impl Mover {
    /// Looks at the bounds of a viewer that watches `current`; `ordered` are the variants that it could get, the richest
    /// first. A move that is returned is tried at once; the caller tells with [`moved`](Self::moved) when it is done.
    pub fn handle_bounds(
        &mut self,
        now: Instant,
        current: &StreamName,
        ordered: &[Variant],
        bounds: Bounds,
    ) -> Option<Move> {
        let at = ordered.iter().position(|variant| variant.name == *current)?;
        let (richer, rest) = ordered.split_at(at);
        let (here, leaner) = rest.split_first()?;
        let too_much = here.bits_per_second.zip(bounds.viewer).is_some_and(|(rate, most)| rate > most);
        let roomy = Bounds { viewer: bounds.viewer.map(|most| most.saturating_mul(100) / ROOM), ..bounds };
        let higher = richer.iter().find(|variant| variant.fits(roomy)).filter(|_| !too_much);
        let since = |mark: &mut Option<Instant>, holds: bool| {
            *mark = mark.filter(|_| holds).or(holds.then_some(now));
            mark.map(|since| now.saturating_duration_since(since))
        };
        let (below, above) = (since(&mut self.below, too_much), since(&mut self.above, higher.is_some()));
        let patience = if self.regrets(now) { Duration::ZERO } else { BELOW };
        if below.is_some_and(|below| below >= patience) {
            return pick(leaner, bounds).map(|variant| Move::Down(variant.name.clone()));
        }
        let rested = self.descended.is_none_or(|at| now.saturating_duration_since(at) >= self.rest);
        let climbs = rested && above.is_some_and(|above| above >= ABOVE);
        higher.filter(|_| climbs).map(|variant| Move::Up(variant.name.clone()))
    }

    /// The viewer watches another variant from now on.
    pub fn moved(&mut self, now: Instant, done: &Move) {
        (self.below, self.above) = (None, None);
        match done {
            Move::Up(_) => self.climbed = Some(now),
            Move::Down(_) => {
                self.rest = if self.regrets(now) { (self.rest * 2).clamp(FIRST_REST, LAST_REST) } else { FIRST_REST };
                self.descended = Some(now);
                self.climbed = None;
            }
        }
    }

    /// A move could not be made; it is thought of again after a rest.
    pub fn failed(&mut self, now: Instant) {
        (self.below, self.above) = (None, None);
        self.rest = (self.rest * 2).clamp(FIRST_REST, LAST_REST);
        self.descended = Some(now);
    }

    fn regrets(&self, now: Instant) -> bool {
        self.climbed.is_some_and(|climbed| now.saturating_duration_since(climbed) < REGRET)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::variant;
    use super::*;
    use crate::State;

    /// A viewer of a stream of 2 Mbit/s with a variant of 300 kbit/s, asked once a second.
    struct Watching {
        mover: Mover,
        start: Instant,
        second: u64,
        current: &'static str,
        main: State,
    }

    impl Watching {
        fn new(current: &'static str) -> Self {
            Self { mover: Mover::default(), start: Instant::now(), second: 0, current, main: State::Live }
        }

        /// The second at which it moves, if it does within some seconds of these bounds.
        fn bounded(&mut self, seconds: u64, viewer: Option<u64>, uplink: Option<u64>) -> Option<u64> {
            let ordered = [variant("a", self.main, Some(2_000_000)), variant("a:sub", State::Live, Some(300_000))];
            let end = self.second + seconds;
            while self.second < end {
                self.second += 1;
                let now = self.start + Duration::from_secs(self.second);
                let current = StreamName::parse(self.current).unwrap();
                let Some(done) = self.mover.handle_bounds(now, &current, &ordered, Bounds { viewer, uplink }) else {
                    continue;
                };
                self.current = if matches!(done, Move::Up(_)) { "a" } else { "a:sub" };
                assert_eq!(done.to().as_str(), self.current);
                self.mover.moved(now, &done);
                return Some(self.second);
            }
            None
        }
    }

    #[test]
    fn a_bound_that_stays_below_moves_it_down() {
        let mut watching = Watching::new("a");
        assert_eq!(watching.bounded(100, None, None), None);
        assert_eq!(watching.bounded(3, Some(1_000_000), None), None);
        assert_eq!(watching.bounded(1, Some(2_000_000), None), None);
        assert_eq!(watching.bounded(10, Some(1_000_000), None), Some(108));
        // There is nothing leaner.
        assert_eq!(watching.bounded(10, Some(100_000), None), None);
    }

    #[test]
    fn it_comes_back_when_there_has_been_room_for_a_while() {
        let mut watching = Watching::new("a");
        assert_eq!(watching.bounded(10, Some(1_000_000), None), Some(4));
        assert_eq!(watching.bounded(60, Some(2_400_000), None), None);
        assert_eq!(watching.bounded(60, Some(2_500_000), None), Some(70));
        assert_eq!(watching.bounded(60, Some(2_500_000), None), None);
    }

    #[test]
    fn a_mistake_is_undone_at_once_and_each_lets_it_rest_for_longer() {
        let mut watching = Watching::new("a");
        watching.bounded(10, Some(1_000_000), None);
        let mut rests = Vec::new();
        for _ in 0..7 {
            let down = watching.second;
            rests.push(watching.bounded(1_000, None, None).unwrap() - down);
            watching.bounded(2, Some(2_500_000), None);
            assert_eq!(watching.bounded(1, Some(1_000_000), None), Some(watching.second));
        }
        assert_eq!(rests, [10, 20, 40, 80, 160, 300, 300]);
        // One that went well is no mistake.
        watching.bounded(1_000, None, None).unwrap();
        watching.bounded(60, None, None);
        let down = watching.bounded(60, Some(1_000_000), None).unwrap();
        assert_eq!(watching.bounded(60, None, None), Some(down + 10));
    }

    #[test]
    fn an_uplink_without_room_keeps_it_down_and_never_moves_it_there() {
        let mut watching = Watching::new("a");
        watching.main = State::Offered;
        assert_eq!(watching.bounded(60, None, Some(0)), None);
        watching.current = "a:sub";
        assert_eq!(watching.bounded(60, None, Some(1_000_000)), None);
        assert_eq!(watching.bounded(60, None, Some(2_000_000)), Some(126));
    }

    #[test]
    fn a_move_that_cannot_be_made_is_not_tried_again_soon() {
        let mut watching = Watching::new("a:sub");
        assert_eq!(watching.bounded(60, None, None), Some(6));
        watching.current = "a:sub";
        watching.mover.failed(watching.start + Duration::from_secs(6));
        assert_eq!(watching.bounded(60, None, None), Some(16));
    }

    #[test]
    fn what_is_not_among_the_variants_stays() {
        let mut watching = Watching::new("a:other");
        assert_eq!(watching.bounded(60, Some(1), None), None);
    }
}
