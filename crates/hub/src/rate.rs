//! How much a stream is, told from its own timeline.

use std::collections::VecDeque;

use sluicegate_media::Timestamp;

/// Whole seconds that the rate is taken over: as long as the key-frame intervals of most cameras, since a key frame is
/// many times the size of another.
const SECONDS: usize = 10;
/// Whole seconds before there is a rate: the first holds a key frame and little else.
const LEAST: usize = 2;

/// The payload of a stream in bits per second.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// Bytes by the second that they belong to; the last is not complete.
    seconds: VecDeque<(i64, u64)>,
    known: Option<u64>,
}

impl Rate {
    /// Counts some bytes at a place of the timeline.
    pub(crate) fn add(&mut self, at: Timestamp, bytes: usize) {
        let second = at.millis() / 1_000;
        match self.seconds.back_mut() {
            // Sound may stand a little before the pictures that it comes after.
            Some((last, sum)) if *last >= second => *sum += bytes as u64,
            _ => {
                self.seconds.push_back((second, bytes as u64));
                self.measure();
            }
        }
    }

    /// Another publisher begins; until it is measured, what was known of the one before stands.
    pub(crate) fn restart(&mut self) {
        self.seconds.clear();
    }

    /// Bits per second as last measured.
    pub(crate) fn bits_per_second(&self) -> Option<u64> {
        self.known
    }

    fn measure(&mut self) {
        while self.seconds.len() > SECONDS + 1 {
            self.seconds.pop_front();
        }
        if self.seconds.len() <= LEAST {
            return;
        }
        let Some(((first, _), (last, unfinished))) = self.seconds.front().zip(self.seconds.back()) else { return };
        let bytes = self.seconds.iter().map(|(_, bytes)| bytes).sum::<u64>() - unfinished;
        let span = u64::try_from(last - first).unwrap_or_default();
        self.known = bytes.saturating_mul(8).checked_div(span).or(self.known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of some bytes, 25 a second, from one second to another.
    fn play(rate: &mut Rate, seconds: std::ops::Range<i64>, bytes: usize) {
        for picture in seconds.start * 25..seconds.end * 25 {
            rate.add(Timestamp::from_millis(picture * 40), bytes);
        }
    }

    #[test]
    fn a_rate_is_known_after_two_seconds_and_follows_the_stream() {
        let mut rate = Rate::default();
        play(&mut rate, 0..2, 1_000);
        assert_eq!(rate.bits_per_second(), None);
        play(&mut rate, 2..3, 1_000);
        assert_eq!(rate.bits_per_second(), Some(200_000));
        play(&mut rate, 3..14, 2_000);
        assert_eq!(rate.bits_per_second(), Some(400_000));
    }

    #[test]
    fn silence_counts_and_the_last_rate_stands_for_the_next_publisher() {
        let mut rate = Rate::default();
        play(&mut rate, 0..3, 1_000);
        rate.add(Timestamp::from_millis(6_000), 1);
        assert_eq!(rate.bits_per_second(), Some(100_000));
        rate.restart();
        play(&mut rate, 6..8, 9_000);
        assert_eq!(rate.bits_per_second(), Some(100_000));
    }
}
