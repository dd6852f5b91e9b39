//! What a peer says about our tracks and its own, let through to the session.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

use rtc::interceptor::{Attribute, AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use super::Part;

/// Lets requests for key frames and for lost packets, sender reports and receiver reports through to the session; the
/// stack ends all incoming RTCP otherwise.
#[derive(Default)]
pub(super) struct Feedback {
    /// The sources that we send by, each with that of its repeats.
    sources: BTreeMap<u32, Option<u32>>,
}

type Report = Box<dyn rtc::rtcp::Packet>;

fn is_wanted(report: &dyn Any) -> bool {
    report.is::<PictureLossIndication>()
        || report.is::<FullIntraRequest>()
        || report.is::<TransportLayerNack>()
        || report.is::<SenderReport>()
        || report.is::<ReceiverReport>()
}

impl Feedback {
    /// A report as several, each about one track: receiver reports have the block about repeats behind the other.
    fn single(&self, report: Report) -> Vec<Report> {
        let (blocks, sender) = if let Some(receiver) = report.as_any().downcast_ref::<ReceiverReport>() {
            (&receiver.reports, None)
        } else if let Some(sender) = report.as_any().downcast_ref::<SenderReport>() {
            (&sender.reports, Some(SenderReport { reports: Vec::new(), ..sender.clone() }))
        } else {
            return vec![report];
        };
        let received = |block: &ReceptionReport| -> Option<Report> {
            let repeats = *self.sources.get(&block.ssrc)?;
            let repeats = blocks.iter().find(|block| Some(block.ssrc) == repeats);
            let reports = [block].into_iter().chain(repeats).cloned().collect();
            Some(Box::new(ReceiverReport { reports, ..ReceiverReport::default() }))
        };
        let sender = sender.map(|sender| -> Report { Box::new(sender) });
        sender.into_iter().chain(blocks.iter().filter_map(received)).collect()
    }
}

impl Part for Feedback {
    fn read(&mut self, packet: TaggedPacket, on: &mut VecDeque<TaggedPacket>) {
        let TaggedPacket { now, transport, message } = packet;
        let Packet::Rtcp(reports) = message.packet else {
            on.push_back(TaggedPacket { now, transport, message });
            return;
        };
        // The stack finds the track by the first source of the first report, and drops all that came with a source that
        // it does not know, such as that of our repeats: each goes by itself.
        let wanted = reports.into_iter().filter(|report| is_wanted(report.as_any()));
        let wanted = wanted.flat_map(|report| self.single(report));
        on.extend(wanted.map(|report| {
            let message = AttributedPacket::new(Packet::Rtcp(vec![report])).with(Attribute::DeliverToApplication);
            TaggedPacket { now, transport, message }
        }));
    }
    fn sending(&mut self, info: &StreamInfo, begins: bool) {
        if begins {
            self.sources.insert(info.ssrc, info.ssrc_rtx);
        } else {
            self.sources.remove(&info.ssrc);
        }
    }
}
