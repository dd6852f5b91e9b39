//! What stands between RTP on the wire and the session: retransmission, reports, and our own two.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rtc::interceptor::{Attribute, Interceptor, Packet, Registry, Slot, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// Round trip until the peer's reports tell better.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(80);
/// Added to the round trip, for the peer's own pause before it answers.
const SLACK: Duration = Duration::from_millis(10);
/// A longer round trip is not believed: the peer's reports are its own words.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// Sender reports whose echo may be under way; they go out about once a second.
const MAX_REPORTS: usize = 16;
/// Packets whose last resend is remembered per source; the stack keeps fewer to resend.
const MAX_REMEMBERED: usize = 2048;

/// The stack's own interceptors and ours, in their places.
pub(super) fn registry(engine: &mut MediaEngine) -> Result<Registry, Error> {
    let registry = register_default_interceptors(Registry::new(), engine)?;
    // Nearer to the wire than the responder (4,000), and behind everything that reads reports.
    Ok(registry.with(Slot::from(3_900), NackLimit::default()).with(Slot::from(14_000), Feedback::default()))
}

/// Packets on their way through.
#[derive(Default)]
struct Queues {
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

/// Implements the parts that all interceptors of ours share; `$read` and `$write` see the packets of each direction.
macro_rules! interceptor {
    ($name:ident, $read:ident, $write:ident) => {
        impl Protocol<TaggedPacket, TaggedPacket, ()> for $name {
            type Rout = TaggedPacket;
            type Wout = TaggedPacket;
            type Eout = ();
            type Error = Error;
            type Time = Instant;

            fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
                if self.$read(&mut packet) {
                    self.queues.read.push_back(packet);
                }
                Ok(())
            }

            fn poll_read(&mut self) -> Option<TaggedPacket> {
                self.queues.read.pop_front()
            }

            fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
                self.$write(&packet);
                self.queues.write.push_back(packet);
                Ok(())
            }

            fn poll_write(&mut self) -> Option<TaggedPacket> {
                self.queues.write.pop_front()
            }
        }

        impl Interceptor for $name {
            fn bind_local_stream(&mut self, _: &StreamInfo) {}
            fn unbind_local_stream(&mut self, _: &StreamInfo) {}
            fn bind_remote_stream(&mut self, _: &StreamInfo) {}
            fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
        }
    };
}

/// Lets requests for key frames and sender reports through to the session; the stack ends all incoming RTCP otherwise.
#[derive(Default)]
struct Feedback {
    queues: Queues,
}

interceptor!(Feedback, mark, pass);

impl Feedback {
    #[expect(clippy::unused_self, reason = "the macro calls it on all interceptors")]
    fn pass(&self, _: &TaggedPacket) {}

    fn mark(&mut self, packet: &mut TaggedPacket) -> bool {
        if let Packet::Rtcp(reports) = &mut packet.message.packet {
            let asks = |report: &dyn Any| report.is::<PictureLossIndication>() || report.is::<FullIntraRequest>();
            let tells = |report: &dyn Any| report.is::<SenderReport>();
            // The stack finds the track by the first report, so that only those of one kind go on together. A sender
            // report that is left out comes again in a second.
            let wanted: fn(&dyn Any) -> bool =
                if reports.iter().any(|report| asks(report.as_any())) { asks } else { tells };
            if reports.iter().any(|report| wanted(report.as_any())) {
                reports.retain(|report| wanted(report.as_any()));
                packet.message.add(Attribute::DeliverToApplication);
            }
        }
        true
    }
}

/// Takes those packets out of retransmission requests that were sent again within the last round trip: the requests
/// have crossed with the answer. The bare stack sends up to 17 times what was lost.
struct NackLimit {
    queues: Queues,
    resent: HashMap<u32, VecDeque<(u16, Instant)>>,
    round_trip: Duration,
    /// Sender reports by the middle of their timestamp, which receivers echo (RFC 3550 section 6.4.1).
    reports: VecDeque<(u32, Instant)>,
}

impl Default for NackLimit {
    fn default() -> Self {
        let (queues, resent, reports) = (Queues::default(), HashMap::new(), VecDeque::new());
        Self { queues, resent, round_trip: FIRST_ROUND_TRIP, reports }
    }
}

interceptor!(NackLimit, limit, note_reports);

impl NackLimit {
    fn limit(&mut self, packet: &mut TaggedPacket) -> bool {
        let now = packet.now;
        let Packet::Rtcp(reports) = &mut packet.message.packet else { return true };
        for report in reports.iter_mut() {
            if let Some(receiver) = report.as_any().downcast_ref::<ReceiverReport>() {
                self.measure(now, receiver);
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

    fn note_reports(&mut self, packet: &TaggedPacket) {
        let Packet::Rtcp(reports) = &packet.message.packet else { return };
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

    /// RFC 3550 section 6.4.1, figure 2: what passed since our report, less what the peer kept it.
    fn measure(&mut self, now: Instant, receiver: &ReceiverReport) {
        for block in &receiver.reports {
            let sent = self.reports.iter().find(|(middle, _)| *middle == block.last_sender_report);
            if let Some((_, sent)) = sent {
                let kept = Duration::from_secs(u64::from(block.delay)) / 65_536;
                let measured = now.saturating_duration_since(*sent).saturating_sub(kept);
                self.round_trip = measured.min(LONGEST_ROUND_TRIP);
            }
        }
    }

    fn grant(&mut self, now: Instant, source: u32, sequence: u16) -> bool {
        let pause = self.round_trip + SLACK;
        let resent = self.resent.entry(source).or_default();
        while resent.front().is_some_and(|(_, at)| now >= *at + pause) || resent.len() > MAX_REMEMBERED {
            resent.pop_front();
        }
        let fresh = !resent.iter().any(|(known, _)| *known == sequence);
        if fresh {
            resent.push_back((sequence, now));
        }
        fresh
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_granted_once_in_a_while() {
        let (mut limit, now) = (NackLimit::default(), Instant::now());
        assert!(limit.grant(now, 1, 7) && limit.grant(now, 1, 8) && limit.grant(now, 2, 7));
        assert!(!limit.grant(now + FIRST_ROUND_TRIP, 1, 7));
        assert!(limit.grant(now + FIRST_ROUND_TRIP + SLACK, 1, 7));
    }

    #[test]
    fn lists_come_back_as_they_were() {
        for list in [vec![], vec![5], vec![5, 6, 21], vec![5, 22, 23], vec![65_530, 65_535, 3]] {
            let back: Vec<u16> = pairs(&list).iter().flat_map(NackPair::packet_list).collect();
            assert_eq!(back, list);
        }
    }
}
