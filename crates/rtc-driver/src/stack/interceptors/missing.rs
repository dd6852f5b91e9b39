//! Packets that did not come are asked for: soon, and once in a round trip until they are of no use any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use rtc::shared::TransportContext;

use super::Part;

/// A packet that is late by less may have been overtaken.
const REORDERING: Duration = Duration::from_millis(10);
/// Round trip until an answer has come.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// What a round trip is taken for at least and at most: answers are also a matter of the peer's timers.
const ROUND_TRIPS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));
/// Added to the round trip, so that the answer is not just on its way.
const SLACK: Duration = Duration::from_millis(10);
/// For how long a packet is asked for. Who puts packets in order waits no longer either.
const PATIENCE: Duration = Duration::from_millis(400);
/// Packets of a stream that are asked for at a time. A longer gap is not to be filled: a key frame comes sooner.
const MAX_MISSING: usize = 512;
/// A step back beyond this is a new beginning of the sequence, not a late packet (RFC 3550 appendix A.1).
const MAX_LATE: u16 = 3_000;

/// A packet that has not come.
#[derive(Debug, Clone, Copy)]
struct Absent {
    since: Instant,
    /// When it is asked for next.
    due: Instant,
    asked: Option<Instant>,
    times: u32,
}

/// A stream whose sender answers requests.
#[derive(Debug, Default)]
struct Stream {
    newest: Option<u16>,
    absent: VecDeque<(u16, Absent)>,
}

impl Stream {
    /// Notes a packet. If it was asked for once, how long the answer took.
    fn take(&mut self, now: Instant, sequence: u16) -> Option<Duration> {
        let newest = self.newest.unwrap_or(sequence.wrapping_sub(1));
        let step = sequence.wrapping_sub(newest);
        if step == 0 {
            return None;
        }
        if step < 1 << 15 {
            self.newest = Some(sequence);
            if usize::from(step) > MAX_MISSING {
                self.absent.clear();
                return None;
            }
            let absent = Absent { since: now, due: now + REORDERING, asked: None, times: 0 };
            self.absent.extend((1..step).map(|more| (newest.wrapping_add(more), absent)));
            let over = self.absent.len().saturating_sub(MAX_MISSING);
            self.absent.drain(..over);
            return None;
        }
        if newest.wrapping_sub(sequence) > MAX_LATE {
            *self = Self { newest: Some(sequence), absent: VecDeque::new() };
            return None;
        }
        let place = self.absent.iter().position(|(absent, _)| *absent == sequence)?;
        let (_, absent) = self.absent.remove(place)?;
        // After several requests nobody knows which one was answered.
        absent.asked.filter(|_| absent.times == 1).map(|asked| now.saturating_duration_since(asked))
    }

    /// What is to be asked for now.
    fn ask(&mut self, now: Instant, pause: Duration) -> Vec<u16> {
        self.absent.retain(|(_, absent)| now.saturating_duration_since(absent.since) < PATIENCE);
        let due = self.absent.iter_mut().filter(|(_, absent)| absent.due <= now);
        due.map(|(sequence, absent)| {
            *absent = Absent { due: now + pause, asked: Some(now), times: absent.times + 1, ..*absent };
            *sequence
        })
        .collect()
    }
}

/// Asks for missing packets (RFC 4585 section 6.2.1). The stack's own generator looks every 100 ms, so that a second
/// request comes too late on most paths, and goes on asking for what can no longer be used.
#[derive(Debug)]
pub(super) struct Missing {
    streams: BTreeMap<u32, Stream>,
    /// The sources on which packets of streams are sent again (RFC 4588).
    repairs: BTreeMap<u32, u32>,
    round_trip: Duration,
    source: u32,
}

impl Default for Missing {
    fn default() -> Self {
        Self {
            streams: BTreeMap::new(),
            repairs: BTreeMap::new(),
            round_trip: FIRST_ROUND_TRIP,
            source: rand::random(),
        }
    }
}

impl Missing {
    /// The stream and the sequence number that a packet has, or had when it was sent first (RFC 4588 section 4).
    fn origin(&self, packet: &rtc::rtp::Packet) -> Option<(u32, u16)> {
        let Some(source) = self.repairs.get(&packet.header.ssrc) else {
            return Some((packet.header.ssrc, packet.header.sequence_number));
        };
        let original = packet.payload.first_chunk()?;
        Some((*source, u16::from_be_bytes(*original)))
    }
}

/// The shortest form of a list of sequence numbers in ascending order (RFC 4585 section 6.2.1).
fn pairs(sequences: &[u16]) -> Vec<NackPair> {
    let mut pairs: Vec<NackPair> = Vec::new();
    for sequence in sequences {
        match pairs.last_mut() {
            Some(pair) if (1..=16).contains(&sequence.wrapping_sub(pair.packet_id)) => {
                pair.lost_packets |= 1 << (sequence.wrapping_sub(pair.packet_id) - 1);
            }
            _ => pairs.push(NackPair { packet_id: *sequence, lost_packets: 0 }),
        }
    }
    pairs
}

impl Part for Missing {
    fn read(&mut self, packet: TaggedPacket, on: &mut VecDeque<TaggedPacket>) {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && let Some((source, sequence)) = self.origin(rtp)
            && let Some(stream) = self.streams.get_mut(&source)
            && let Some(took) = stream.take(packet.now, sequence)
        {
            let (least, most) = ROUND_TRIPS;
            self.round_trip = ((self.round_trip * 3 + took) / 4).clamp(least, most);
        }
        on.push_back(packet);
    }

    fn tick(&mut self, now: Instant, out: &mut VecDeque<TaggedPacket>) {
        let pause = self.round_trip + SLACK;
        for (media_ssrc, stream) in &mut self.streams {
            let sequences = stream.ask(now, pause);
            if !sequences.is_empty() {
                let (sender_ssrc, nacks) = (self.source, pairs(&sequences));
                let nack = TransportLayerNack { sender_ssrc, media_ssrc: *media_ssrc, nacks };
                let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(nack)]));
                out.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        self.streams.values().flat_map(|stream| &stream.absent).map(|(_, absent)| absent.due).min()
    }

    fn receiving(&mut self, info: &StreamInfo, begins: bool) {
        let answers =
            |feedback: &rtc::interceptor::RTCPFeedback| feedback.typ == "nack" && feedback.parameter.is_empty();
        if !begins {
            self.streams.remove(&info.ssrc);
            self.repairs.retain(|_, repaired| *repaired != info.ssrc);
            return;
        }
        // What is lost of the repeats themselves is not asked for.
        if let Some(repair) = info.ssrc_rtx {
            self.repairs.insert(repair, info.ssrc);
            self.streams.remove(&repair);
        }
        if !self.repairs.contains_key(&info.ssrc) && info.rtcp_feedback.iter().any(answers) {
            self.streams.insert(info.ssrc, Stream::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes_or_is_too_late() {
        let (mut stream, now, pause) = (Stream::default(), Instant::now(), Duration::from_millis(60));
        for sequence in [65_534, 65_535, 2, 3] {
            assert_eq!(stream.take(now, sequence), None);
        }
        assert_eq!(stream.ask(now, pause), [0; 0]);
        let mut now = now + REORDERING;
        let first = now;
        assert_eq!(stream.ask(now, pause), [0, 1]);
        assert_eq!(stream.ask(now + pause - STEP, pause), [0; 0]);
        // One comes, and tells the round trip; the other is asked for again.
        assert_eq!(stream.take(now + pause, 0), Some(pause));
        now += pause;
        assert_eq!(stream.ask(now, pause), [1]);
        assert_eq!(stream.take(now, 0), None, "it comes twice");
        while !stream.absent.is_empty() {
            now += STEP;
            stream.ask(now, pause);
        }
        assert_eq!(now - first, PATIENCE - REORDERING);
    }

    #[test]
    fn lists_come_back_as_they_were() {
        for list in [vec![], vec![5], vec![5, 6, 21], vec![5, 22, 23], vec![65_530, 65_535, 3]] {
            let back: Vec<u16> = pairs(&list).iter().flat_map(NackPair::packet_list).collect();
            assert_eq!(back, list);
        }
    }

    #[test]
    fn neither_a_long_gap_nor_a_new_beginning_is_filled() {
        let (mut stream, now) = (Stream::default(), Instant::now());
        for sequence in [5, 7, 2_000, 2_001, 50_000, 50_001] {
            stream.take(now, sequence);
            assert!(stream.absent.len() <= 1);
        }
        assert!(stream.absent.is_empty() && stream.newest == Some(50_001));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_list_is_bounded(sequences: Vec<u16>) {
            let (mut stream, mut now) = (Stream::default(), Instant::now());
            for sequence in sequences {
                stream.take(now, sequence);
                prop_assert!(stream.absent.len() <= MAX_MISSING);
                prop_assert!(!stream.absent.iter().any(|(absent, _)| *absent == sequence));
                now += STEP;
                stream.ask(now, STEP);
            }
        }
    }
}
