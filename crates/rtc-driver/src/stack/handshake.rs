//! Hands the stack each message of the peer's handshake once and whole.
//!
//! On any handshake record that does not complete the flight it waits for, the stack stops its own retransmission timer
//! for good. The usual case: our flight is lost, the peer repeats its own a moment before we would repeat ours, and both
//! ends wait forever. A repeat holds nothing new, so that without it our timer runs on and the handshake completes.
//!
//! And it puts a message together only of fragments that lie end to end. OpenSSL cuts its messages anew when it repeats
//! them (RFC 6347 section 4.2.3 permits that), so that where one fragment was lost the others never fit again.

use std::collections::{BTreeMap, BTreeSet};

/// Handshake messages remembered. A handshake has about a dozen.
const MAX_SEEN: usize = 128;
/// Fragments of one message that wait for the others.
const MAX_FRAGMENTS: usize = 64;
/// A longer message does not fit a record (RFC 6347 section 4.1), and is left to the stack.
const MAX_MESSAGE: usize = (1 << 14) - MESSAGE_HEADER;
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What the stack is to get of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It as it came.
    All,
    /// Nothing.
    Nothing,
    /// This instead.
    Instead(Vec<u8>),
}

/// A message of which not all is there.
#[derive(Debug)]
struct Partial {
    kind: u8,
    length: usize,
    fragments: BTreeMap<usize, Vec<u8>>,
}

impl Partial {
    /// The message's bytes if nothing is missing.
    fn whole(&self) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(self.length);
        for (offset, bytes) in &self.fragments {
            let known = body.len().checked_sub(*offset)?;
            body.extend_from_slice(bytes.get(known..).unwrap_or_default());
        }
        (body.len() == self.length).then_some(body)
    }
}

/// A message, or a part of one (RFC 6347 section 4.2.2): type, length (3), sequence (2), offset (3), fragment length (3).
struct Fragment<'a> {
    kind: u8,
    length: usize,
    sequence: u16,
    offset: usize,
    body: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The first of a record, and what follows it.
    fn split(record: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[kind, a, b, c, high, low, d, e, f, g, h, i], rest) = record.split_first_chunk::<MESSAGE_HEADER>()?;
        let number = |bytes: [u8; 3]| bytes.into_iter().fold(0, |number, byte| number << 8 | usize::from(byte));
        let (length, offset) = (number([a, b, c]), number([d, e, f]));
        let (body, rest) = rest.split_at_checked(number([g, h, i]))?;
        let sequence = u16::from_be_bytes([high, low]);
        (offset + body.len() <= length).then_some((Self { kind, length, sequence, offset, body }, rest))
    }
}

/// What of the peer's handshake has been seen.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    /// Messages that the stack has got.
    seen: BTreeSet<u16>,
    partial: BTreeMap<u16, Partial>,
}

impl Handshake {
    /// Takes note of a datagram, and tells what the stack is to get of it.
    pub(super) fn handle_datagram(&mut self, datagram: &[u8]) -> Verdict {
        let (mut records, mut rest) = (Vec::with_capacity(datagram.len()), datagram);
        // RFC 6347 section 4.1: type, version (2), epoch (2), sequence number (6), length (2).
        while let Some((header, body)) = rest.split_first_chunk::<RECORD_HEADER>() {
            let &[kind, _, _, epoch_high, epoch_low, .., high, low] = header;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let Some((record, next)) = body.split_at_checked(length) else { return Verdict::All };
            rest = next;
            if kind != HANDSHAKE || [epoch_high, epoch_low] != [0, 0] {
                // An encrypted one may be the Finished that the stack waits for.
                records.extend_from_slice(header);
                records.extend_from_slice(record);
                continue;
            }
            let Some(messages) = self.messages(record) else { return Verdict::All };
            if let Ok(length @ 1..) = u16::try_from(messages.len()) {
                records.extend_from_slice(header.get(..RECORD_HEADER - 2).unwrap_or_default());
                records.extend_from_slice(&length.to_be_bytes());
                records.extend_from_slice(&messages);
            }
        }
        match records {
            _ if !rest.is_empty() => Verdict::All,
            records if records == datagram => Verdict::All,
            records if records.is_empty() => Verdict::Nothing,
            records => Verdict::Instead(records),
        }
    }

    /// What a record completes, or `None` where it cannot be read.
    fn messages(&mut self, mut record: &[u8]) -> Option<Vec<u8>> {
        let mut messages = Vec::new();
        while !record.is_empty() {
            let (fragment, rest) = Fragment::split(record)?;
            let (kind, sequence, length) = (fragment.kind, fragment.sequence, fragment.length);
            if length > MAX_MESSAGE {
                return None;
            }
            if let Some(body) = self.message(&fragment) {
                let [.., a, b, c] = length.to_be_bytes();
                let [high, low] = sequence.to_be_bytes();
                messages.extend_from_slice(&[kind, a, b, c, high, low, 0, 0, 0, a, b, c]);
                messages.extend_from_slice(&body);
            }
            record = rest;
        }
        Some(messages)
    }

    /// The message that a fragment completes, unless the stack has it.
    fn message(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let &Fragment { kind, length, sequence, offset, body } = fragment;
        // A server answers each repeat of the first ClientHello, without a timer, until the one with the cookie comes.
        let first_hello = kind == CLIENT_HELLO && sequence == 0 && self.seen.iter().all(|seen| *seen == 0);
        if (self.seen.contains(&sequence) && !first_hello) || self.seen.len() + self.partial.len() > MAX_SEEN {
            return None;
        }
        let whole = if body.len() == length {
            body.to_vec()
        } else {
            let new = || Partial { kind, length, fragments: BTreeMap::new() };
            let partial = self.partial.entry(sequence).or_insert_with(new);
            if (partial.kind, partial.length) != (kind, length) || partial.fragments.len() >= MAX_FRAGMENTS {
                return None;
            }
            let known = partial.fragments.entry(offset).or_default();
            if known.len() < body.len() {
                *known = body.to_vec();
            }
            partial.whole()?
        };
        self.partial.remove(&sequence);
        self.seen.insert(sequence);
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(number: u8, messages: &[u8]) -> Vec<u8> {
        let mut record = vec![HANDSHAKE, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, number];
        record.extend(u16::try_from(messages.len()).unwrap().to_be_bytes());
        record.extend(messages);
        record
    }

    fn part(kind: u8, sequence: u8, body: &[u8], from: usize, to: usize) -> Vec<u8> {
        let [length, from_byte, part] = [body.len(), from, to - from].map(|number| u8::try_from(number).unwrap());
        let mut message = vec![kind, 0, 0, length, 0, sequence, 0, 0, from_byte, 0, 0, part];
        message.extend(&body[from..to]);
        message
    }

    fn message(kind: u8, sequence: u8) -> Vec<u8> {
        record(sequence, &part(kind, sequence, &[9, 9], 0, 2))
    }

    #[test]
    fn each_message_is_given_once() {
        let mut handshake = Handshake::default();
        assert_eq!(handshake.handle_datagram(&message(2, 1)), Verdict::All);
        assert_eq!(handshake.handle_datagram(&message(2, 1)), Verdict::Nothing);
        let both = [message(2, 1), message(11, 2)].concat();
        assert_eq!(handshake.handle_datagram(&both), Verdict::Instead(message(11, 2)));
        assert_eq!(handshake.handle_datagram(&both), Verdict::Nothing);
        let mut encrypted = message(20, 3);
        encrypted[4] = 1;
        let datagram = [message(2, 1), encrypted.clone()].concat();
        assert_eq!(handshake.handle_datagram(&datagram), Verdict::Instead(encrypted));
        let data = [23, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(handshake.handle_datagram(&data), Verdict::All);
    }

    #[test]
    fn the_first_hello_may_repeat_until_the_second_comes() {
        let mut handshake = Handshake::default();
        for _ in 0..3 {
            assert_eq!(handshake.handle_datagram(&message(CLIENT_HELLO, 0)), Verdict::All);
        }
        assert_eq!(handshake.handle_datagram(&message(CLIENT_HELLO, 1)), Verdict::All);
        for sequence in [0, 1] {
            assert_eq!(handshake.handle_datagram(&message(CLIENT_HELLO, sequence)), Verdict::Nothing);
        }
    }

    #[test]
    fn a_message_is_put_together_however_it_is_cut() {
        let body: Vec<u8> = (0..100).collect();
        let cut = |from, to| part(11, 1, &body, from, to);
        let whole = record(5, &cut(0, 100));
        // Cut at 30; the second part is lost, and the repeat is not cut at all.
        let mut handshake = Handshake::default();
        let hello = part(2, 0, &[9, 9], 0, 2);
        let first = record(1, &[hello.clone(), cut(0, 30)].concat());
        assert_eq!(handshake.handle_datagram(&first), Verdict::Instead(record(1, &hello)));
        assert_eq!(handshake.handle_datagram(&whole), Verdict::All);
        assert_eq!(handshake.handle_datagram(&record(6, &cut(30, 100))), Verdict::Nothing);
        // The repeat is cut elsewhere, and its first part is lost.
        let mut handshake = Handshake::default();
        for (number, from, to) in [(1, 0, 30), (2, 40, 90), (3, 0, 20)] {
            assert_eq!(handshake.handle_datagram(&record(number, &cut(from, to))), Verdict::Nothing);
        }
        assert_eq!(handshake.handle_datagram(&record(4, &cut(20, 50))), Verdict::Nothing);
        assert_eq!(handshake.handle_datagram(&record(5, &cut(60, 100))), Verdict::Instead(whole));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut handshake = Handshake::default();
        for sequence in 0..=u8::MAX {
            handshake.handle_datagram(&record(0, &part(11, sequence, &[0; 200], 0, 10)));
        }
        assert!(handshake.partial.len() <= MAX_SEEN + 1);
        for from in 0..199 {
            handshake.handle_datagram(&record(0, &part(11, 0, &[0; 200], from, from + 1)));
        }
        assert!(handshake.partial.values().all(|partial| partial.fragments.len() <= MAX_FRAGMENTS));
        let long = [11, 0, 0x40, 0, 0, 1, 0, 0, 0, 0, 0, 1, 7];
        assert_eq!(Handshake::default().handle_datagram(&record(0, &long)), Verdict::All);
    }

    proptest! {
        #[test]
        fn any_cut_in_any_order_gives_the_message(cuts: [u8; 6], order in Just((0..7_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let body: Vec<u8> = (0..=254).collect();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut)).chain([0, 255]).collect();
            ends.sort_unstable();
            ends.dedup();
            let parts: Vec<_> = ends.windows(2).map(|pair| part(11, 0, &body, pair[0], pair[1])).collect();
            let mut handshake = Handshake::default();
            let verdicts = order.iter().filter_map(|place| parts.get(*place)).map(|part| handshake.handle_datagram(&record(1, part)));
            let last = verdicts.last().unwrap();
            let whole = record(1, &part(11, 0, &body, 0, 255));
            prop_assert!(last == Verdict::Instead(whole) || (last == Verdict::All && parts.len() == 1));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, cut in 0..54_usize) {
            let mut handshake = Handshake::default();
            let both = [message(1, 0), message(1, 1)].concat();
            for bytes in [&bytes[..], &both[..cut], &bytes, &both[..cut]] {
                let _ = handshake.handle_datagram(bytes);
                let _ = handshake.handle_datagram(&record(0, bytes));
            }
        }
    }
}
