//! What stands between RTP on the wire and the session: the stack's own interceptors, and ours in their places.

mod clocks;
mod feedback;
mod missing;
mod resend;

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{
    Interceptor, NackResponderBuilder, ReceiverReportBuilder, Registry, SenderReportBuilder, Slot, StreamInfo,
    TaggedPacket,
};
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_simulcast_extension_headers, configure_twcc_receiver_only,
};
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RtpCodecKind};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

pub(super) use resend::round_trip;

/// The stack's own interceptors and ours. A lower slot is nearer to the wire. Each costs time for every packet, so that
/// a session that only sends has none of those that look at what `receives`.
pub(super) fn registry(engine: &mut MediaEngine, receives: bool) -> Result<Registry, Error> {
    // RFC 4585 sections 6.2.1 and 6.3.1, for pictures.
    for parameter in ["", "pli"] {
        let feedback = RTCPFeedback { typ: "nack".to_owned(), parameter: parameter.to_owned() };
        engine.register_feedback(feedback, RtpCodecKind::Video);
    }
    configure_simulcast_extension_headers(engine)?;
    let mut registry = Registry::new();
    if receives {
        registry = configure_twcc_receiver_only(registry, engine)?
            .with(Slot::NackGenerator, Placed::new(missing::Missing::default()))
            .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build());
    }
    Ok(registry
        // Nearer to the wire than the responder, and behind everything that reads reports.
        .with(Slot::from(3_900), Placed::new(resend::Resend::default()))
        .with(Slot::NackResponder, NackResponderBuilder::new().build())
        .with(Slot::from(10_900), Placed::new(clocks::Clocks::default()))
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
        .with(Slot::from(14_000), Placed::new(feedback::Feedback)))
}

/// What an interceptor of ours does; what it leaves out passes.
trait Part: Send + Sync {
    /// Sees a packet from the wire; one that is not to go on is `false`.
    fn read(&mut self, _: &mut TaggedPacket) -> bool {
        true
    }

    /// Sees a packet to the wire.
    fn write(&mut self, _: &mut TaggedPacket) {}

    /// Does what is due, and may send packets.
    fn tick(&mut self, _: Instant, _: &mut VecDeque<TaggedPacket>) {}

    /// When [`tick`](Self::tick) is due.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// A stream that we send begins, or ends.
    fn sending(&mut self, _: &StreamInfo, _begins: bool) {}

    /// A stream that we receive begins, or ends.
    fn receiving(&mut self, _: &StreamInfo, _begins: bool) {}
}

/// A part with the packets that are on their way through it.
struct Placed<P> {
    part: P,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl<P> Placed<P> {
    fn new(part: P) -> Self {
        Self { part, read: VecDeque::new(), write: VecDeque::new() }
    }
}

impl<P: Part> Protocol<TaggedPacket, TaggedPacket, ()> for Placed<P> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if self.part.read(&mut packet) {
            self.read.push_back(packet);
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        self.part.write(&mut packet);
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.part.tick(now, &mut self.write);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.part.due()
    }
}

impl<P: Part> Interceptor for Placed<P> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.part.sending(info, true);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.part.sending(info, false);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.part.receiving(info, true);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.part.receiving(info, false);
    }
}
