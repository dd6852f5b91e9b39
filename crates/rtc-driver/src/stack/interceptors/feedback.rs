//! Requests for key frames and reports, let through to the session.

use std::any::Any;

use rtc::interceptor::{Attribute, Packet, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;

use super::Part;

/// Lets requests for key frames, sender reports and receiver reports through to the session; the stack ends all incoming
/// RTCP otherwise.
pub(super) struct Feedback;

impl Part for Feedback {
    fn read(&mut self, packet: &mut TaggedPacket) -> bool {
        if let Packet::Rtcp(reports) = &mut packet.message.packet {
            let asks = |report: &dyn Any| report.is::<PictureLossIndication>() || report.is::<FullIntraRequest>();
            let tells = |report: &dyn Any| report.is::<SenderReport>();
            // The stack finds the track by the first report, so that only those of one kind go on together. A report
            // that is left out comes again in a second.
            let hears = |report: &dyn Any| report.is::<ReceiverReport>();
            let kinds: [fn(&dyn Any) -> bool; 3] = [asks, tells, hears];
            let wanted = kinds.into_iter().find(|kind| reports.iter().any(|report| kind(report.as_any())));
            if let Some(wanted) = wanted {
                reports.retain(|report| wanted(report.as_any()));
                packet.message.add(Attribute::DeliverToApplication);
            }
        }
        true
    }
}
