//! Keeps repeated handshake messages from the stack while it waits.
//!
//! On any handshake record that does not complete the flight it waits for, the stack stops its own retransmission timer
//! for good. The usual case: our flight is lost, the peer repeats its own a moment before we would repeat ours, and both
//! ends wait forever. A repeat holds nothing new, so that without it our timer runs on and the handshake completes.

use std::collections::BTreeSet;

/// Handshake fragments remembered. A handshake has about a dozen messages.
const MAX_SEEN: usize = 128;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What of the peer's handshake has been seen: message sequence and fragment offset.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: BTreeSet<(u16, u32)>,
}

impl Repeats {
    /// Whether a datagram holds only handshake messages that were there before. Takes note of those that were not.
    pub(super) fn is_repeat(&mut self, datagram: &[u8]) -> bool {
        let (mut known, mut new) = (0, false);
        let mut rest = datagram;
        // RFC 6347 section 4.1: type, version (2), epoch (2), sequence number (6), length (2).
        while let Some((&[kind, _, _, epoch_high, epoch_low, _, _, _, _, _, _, high, low], body)) =
            rest.split_first_chunk::<13>()
        {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let (Some(record), Some(next)) = (body.get(..length), body.get(length..)) else { return false };
            rest = next;
            if [epoch_high, epoch_low] != [0, 0] {
                // Encrypted: a Finished, which may be what the stack waits for.
                new = true;
            } else if kind == HANDSHAKE {
                if self.was_seen(record) {
                    known += 1;
                } else {
                    new = true;
                }
            }
        }
        known > 0 && !new
    }

    /// RFC 6347 section 4.2.2: type, length (3), message sequence (2), fragment offset (3), fragment length (3).
    fn was_seen(&mut self, record: &[u8]) -> bool {
        let Some(&[kind, _, _, _, high, low, offset_high, offset_middle, offset_low, ..]) = record.first_chunk::<12>()
        else {
            return false;
        };
        let sequence = u16::from_be_bytes([high, low]);
        let offset = u32::from_be_bytes([0, offset_high, offset_middle, offset_low]);
        // A server answers each repeat of the first ClientHello, without a timer, until the one with the cookie comes.
        let first_hello = kind == CLIENT_HELLO && sequence == 0 && self.seen.iter().all(|(seen, _)| *seen == 0);
        let fresh = self.seen.len() < MAX_SEEN && self.seen.insert((sequence, offset));
        !fresh && !first_hello && self.seen.contains(&(sequence, offset))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, sequence: u8) -> Vec<u8> {
        let mut record = vec![HANDSHAKE, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14];
        record.extend([kind, 0, 0, 2, 0, sequence, 0, 0, 0, 0, 0, 2, 9, 9]);
        record
    }

    #[test]
    fn only_what_is_wholly_known_is_a_repeat() {
        let mut repeats = Repeats::default();
        assert!(!repeats.is_repeat(&message(2, 1)));
        assert!(repeats.is_repeat(&message(2, 1)));
        assert!(!repeats.is_repeat(&[message(2, 1), message(11, 2)].concat()));
        assert!(repeats.is_repeat(&[message(2, 1), message(11, 2)].concat()));
        let mut encrypted = message(20, 3);
        encrypted[4] = 1;
        assert!(!repeats.is_repeat(&[message(2, 1), encrypted].concat()));
        assert!(!repeats.is_repeat(&[23, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn the_first_hello_may_repeat_until_the_second_comes() {
        let mut repeats = Repeats::default();
        for _ in 0..3 {
            assert!(!repeats.is_repeat(&message(CLIENT_HELLO, 0)));
        }
        assert!(!repeats.is_repeat(&message(CLIENT_HELLO, 1)));
        assert!(repeats.is_repeat(&message(CLIENT_HELLO, 0)) && repeats.is_repeat(&message(CLIENT_HELLO, 1)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, cut in 0..54_usize) {
            let mut repeats = Repeats::default();
            let both = [message(1, 0), message(1, 1)].concat();
            for bytes in [&bytes[..], &both[..cut], &bytes, &both[..cut]] {
                let _ = repeats.is_repeat(bytes);
            }
        }
    }
}
