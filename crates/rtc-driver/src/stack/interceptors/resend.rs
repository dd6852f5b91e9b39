//! Packets sent again: each at most once in a round trip, and all together a part of what is sent.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rtc::interceptor::{Attribute, Packet, TaggedPacket};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};

use super::Part;

/// Round trip until the peer's reports tell better.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(80);
/// Added to the round trip, for the peer's own pause before it answers.
const SLACK: Duration = Duration::from_millis(10);
/// A longer round trip is not believed: the peer's reports are its own words.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// Parts of a second in which reports tell delays.
const UNITS: u32 = 65_536;
/// Sender reports whose echo may be under way; they go out about once a second.
const MAX_REPORTS: usize = 16;
/// Packets whose last resend is remembered per source; the stack keeps fewer to resend.
const MAX_REMEMBERED: usize = 2048;

/// What a packet that is sent adds to the resends that may be granted, in hundredths: a path that loses more than a
/// third of all packets is not helped by more of them.
const CREDIT: u32 = 33;
/// The most that is saved up, in hundredths: a burst of 512 packets, half of what the stack keeps to resend.
const MAX_CREDIT: u32 = 51_200;

/// Takes those packets out of retransmission requests that were sent again within the last round trip: the requests
/// have crossed with the answer. The bare stack sends up to 17 times what was lost.
pub(super) struct Resend {
    resent: HashMap<u32, VecDeque<(u16, Instant)>>,
    round_trip: Duration,
    /// Sender reports by the middle of their timestamp, which receivers echo (RFC 3550 section 6.4.1).
    reports: VecDeque<(u32, Instant)>,
    /// Resends that may be granted, in hundredths.
    credit: u32,
}

impl Default for Resend {
    fn default() -> Self {
        Self { resent: HashMap::new(), round_trip: FIRST_ROUND_TRIP, reports: VecDeque::new(), credit: MAX_CREDIT }
    }
}

impl Part for Resend {
    fn read(&mut self, packet: &mut TaggedPacket) -> bool {
        let now = packet.now;
        let Packet::Rtcp(reports) = &mut packet.message.packet else { return true };
        for report in reports.iter_mut() {
            if let Some(receiver) = report.as_any().downcast_ref::<ReceiverReport>() {
                let told = self.measured(now, receiver);
                *report = Box::new(told);
                continue;
            }
            let Some(nack) = report.as_any().downcast_ref::<TransportLayerNack>() else { continue };
            let asked = nack.nacks.iter().flat_map(NackPair::packet_list);
            let granted: Vec<u16> = asked.filter(|sequence| self.grant(now, nack.media_ssrc, *sequence)).collect();
            *report = Box::new(TransportLayerNack { nacks: pairs(&granted), ..nack.clone() });
        }
        let empty =
            |report: &dyn Any| report.downcast_ref::<TransportLayerNack>().is_some_and(|nack| nack.nacks.is_empty());
        reports.retain(|report| !empty(report.as_any()));
        // An empty compound is the stack's own sign for something else.
        !reports.is_empty()
    }

    fn write(&mut self, packet: &mut TaggedPacket) {
        let Packet::Rtcp(reports) = &packet.message.packet else {
            if !packet.message.has(&Attribute::Retransmission) {
                self.credit = (self.credit + CREDIT).min(MAX_CREDIT);
            }
            return;
        };
        for report in reports {
            if let Some(sender) = report.as_any().downcast_ref::<SenderReport>() {
                let [_, _, b, c, d, e, _, _] = sender.ntp_time.to_be_bytes();
                self.reports.push_back((u32::from_be_bytes([b, c, d, e]), packet.now));
                if self.reports.len() > MAX_REPORTS {
                    self.reports.pop_front();
                }
            }
        }
    }
}

impl Resend {
    /// RFC 3550 section 6.4.1, figure 2: what passed since our report, less what the peer kept it. The report goes on
    /// with the round trip in place of the delay, zero for none.
    fn measured(&mut self, now: Instant, receiver: &ReceiverReport) -> ReceiverReport {
        let mut told = receiver.clone();
        for block in &mut told.reports {
            let sent = self.reports.iter().find(|(middle, _)| *middle == block.last_sender_report);
            let delay = std::mem::take(&mut block.delay);
            if let Some((_, sent)) = sent {
                let kept = Duration::from_secs(u64::from(delay)) / UNITS;
                let measured = now.saturating_duration_since(*sent).saturating_sub(kept);
                self.round_trip = measured.min(LONGEST_ROUND_TRIP);
                let units = self.round_trip.as_micros() * u128::from(UNITS) / 1_000_000;
                block.delay = u32::try_from(units).unwrap_or(u32::MAX).max(1);
            }
        }
        told
    }

    fn grant(&mut self, now: Instant, source: u32, sequence: u16) -> bool {
        let pause = self.round_trip + SLACK;
        let resent = self.resent.entry(source).or_default();
        while resent.front().is_some_and(|(_, at)| now >= *at + pause) || resent.len() > MAX_REMEMBERED {
            resent.pop_front();
        }
        let granted = self.credit >= 100 && !resent.iter().any(|(known, _)| *known == sequence);
        if granted {
            resent.push_back((sequence, now));
            self.credit -= 100;
        }
        granted
    }
}

/// The round trip that a report of the peer has told, once it has passed [`Resend`].
pub(in crate::stack) fn round_trip(block: &ReceptionReport) -> Option<Duration> {
    (block.delay > 0).then(|| Duration::from_secs(u64::from(block.delay)) / UNITS)
}

/// The shortest form of a list of sequence numbers in ascending order (RFC 4585 section 6.2.1).
pub(super) fn pairs(sequences: &[u16]) -> Vec<NackPair> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_granted_once_in_a_while() {
        let (mut limit, now) = (Resend::default(), Instant::now());
        assert!(limit.grant(now, 1, 7) && limit.grant(now, 1, 8) && limit.grant(now, 2, 7));
        assert!(!limit.grant(now + FIRST_ROUND_TRIP, 1, 7));
        assert!(limit.grant(now + FIRST_ROUND_TRIP + SLACK, 1, 7));
    }

    #[test]
    fn resends_are_a_part_of_what_is_sent() {
        let (mut resend, now) = (Resend::default(), Instant::now());
        let granted = (0..10_000).filter(|sequence| resend.grant(now, 1, *sequence)).count();
        assert_eq!(granted, 512);
    }

    #[test]
    fn lists_come_back_as_they_were() {
        for list in [vec![], vec![5], vec![5, 6, 21], vec![5, 22, 23], vec![65_530, 65_535, 3]] {
            let back: Vec<u16> = pairs(&list).iter().flat_map(NackPair::packet_list).collect();
            assert_eq!(back, list);
        }
    }
}
