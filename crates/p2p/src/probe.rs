//! Pings behind a message that may be lost.
//!
//! SCTP sends a lost message again when three later ones were reported (RFC 9260, section 7.2.4), and after 1 to 3 s where
//! nothing follows it (section 6.3). A question or the end of a segment is followed by nothing. So some pings go behind
//! what stays unacknowledged: a peer that has all of it acknowledges at the first, because it answers every second packet
//! at once (section 6.2), and one that lacks something reports that with each. Its pongs do the same for its answers.
//! Instants in, verdicts out.

use std::time::{Duration, Instant};

/// Three reports make SCTP send again, and some may be lost.
const PINGS: u32 = 5;
/// The least time for an acknowledgement; else two round trips.
const LEAST: Duration = Duration::from_millis(50);
const ROUND_TRIPS: u32 = 2;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Idle,
    /// Look again at that instant.
    At(Instant),
    /// Send a ping.
    Ping,
}

/// The pings to one peer.
#[derive(Debug, Default)]
pub struct Probe {
    /// When the last message went out, pings among them.
    last: Option<Instant>,
    pings: u32,
}

impl Probe {
    /// Tells that a message went out that was no verdict's.
    pub fn handle_sent(&mut self, now: Instant) {
        (self.last, self.pings) = (Some(now), 0);
    }

    /// Tells what is to be done where so many bytes are unacknowledged; after [`Verdict::Ping`] that was done.
    pub fn verdict(&mut self, now: Instant, buffered: usize, round_trip: Option<Duration>) -> Verdict {
        let Some(last) = self.last.filter(|_| buffered > 0 && self.pings < PINGS) else { return Verdict::Idle };
        let at = last + LEAST.max(round_trip.unwrap_or_default() * ROUND_TRIPS);
        if now < at {
            return Verdict::At(at);
        }
        self.last = Some(now);
        self.pings += 1;
        Verdict::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When pings go out behind a message that is acknowledged once so many have gone, in milliseconds.
    fn pings(acknowledged_after: usize, round_trip: u64) -> Vec<u128> {
        let (start, mut probe) = (Instant::now(), Probe::default());
        let (mut now, mut sent) = (start, Vec::new());
        probe.handle_sent(start);
        loop {
            let buffered = if sent.len() < acknowledged_after { 100 } else { 0 };
            match probe.verdict(now, buffered, Some(Duration::from_millis(round_trip))) {
                Verdict::Idle => return sent,
                Verdict::At(at) => now = at,
                Verdict::Ping => sent.push((now - start).as_millis()),
            }
        }
    }

    #[test]
    fn five_go_behind_what_stays_unacknowledged() {
        assert_eq!(pings(usize::MAX, 0), [50, 100, 150, 200, 250]);
        assert_eq!(pings(usize::MAX, 100), [200, 400, 600, 800, 1_000]);
    }

    #[test]
    fn none_goes_behind_what_is_acknowledged() {
        assert!(pings(0, 0).is_empty());
        assert_eq!(pings(1, 0), [50]);
        assert_eq!(Probe::default().verdict(Instant::now(), 100, None), Verdict::Idle);
    }

    #[test]
    fn the_next_message_has_its_own() {
        let (now, mut probe) = (Instant::now(), Probe::default());
        probe.handle_sent(now);
        let late = now + Duration::from_secs(1);
        while probe.verdict(late, 100, None) != Verdict::Idle {
            probe.last = Some(now);
        }
        probe.handle_sent(late);
        assert_eq!(probe.verdict(late, 100, None), Verdict::At(late + LEAST));
    }
}
