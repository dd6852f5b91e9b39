//! Requests for key frames and sender reports, let through to the session.

use std::any::Any;

use rtc::interceptor::{Attribute, Packet, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::sender_report::SenderReport;

use super::Part;

/// Lets requests for key frames and sender reports through to the session; the stack ends all incoming RTCP otherwise.
pub(super) struct Feedback;

impl Part for Feedback {
    fn read(&mut self, packet: &mut TaggedPacket) -> bool {
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
