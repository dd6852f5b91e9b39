//! What stands between RTP on the wire and the session: the stack's own interceptors, and ours in their places.

mod feedback;
mod missing;

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{Interceptor, ReceiverReportBuilder, Registry, Slot, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_simulcast_extension_headers, configure_twcc_receiver_only,
};
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RtpCodecKind};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// The stack's own interceptors and ours. A lower slot is nearer to the wire. Each costs time for every packet, so that
/// a session that only sends has none of those that look at what `receives`; what it sends is counted and kept by the
/// session itself.
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
    // Behind everything that reads reports.
    Ok(registry.with(Slot::from(14_000), Placed::new(feedback::Feedback::default())))
}

/// What an interceptor of ours does; what it leaves out passes.
trait Part: Send + Sync {
    /// Takes a packet from the wire, and passes `on` what goes on to the session.
    fn read(&mut self, packet: TaggedPacket, on: &mut VecDeque<TaggedPacket>);

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

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.part.read(packet, &mut self.read);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
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
