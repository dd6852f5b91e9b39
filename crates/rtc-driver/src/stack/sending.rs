//! Tracks that we send: what the peer agreed to, packets out, and again on request; reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use rtc::rtp::{Header, Packet};
use rtc::rtp_transceiver::rtp_sender::RTCRtpCodecParameters;
use rtc::sansio::Protocol;

use super::build::refused;
use super::repeats::{Budget, Kept};
use super::reports::{Counted, Losses, Reports};
use super::{Phase, RtcSession, transmit};
use crate::media::{Codec, RtpPacket, TrackId};
use crate::session::Transmit;
use crate::{Error, Event};

/// Packets that go through the stack together. Each of its queues keeps the room that it once needed, so that a burst of
/// a viewer that begins would cost its session 1 MB for good, and cold memory with every picture.
const WRITE_AT_ONCE: usize = 4;
/// The name of the form in which packets are sent again on a source of their own (RFC 4588 section 8.6).
pub(super) const REPEATS: &str = "rtx";

/// What the peer agreed to.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    payload_type: u8,
    /// Whether it asks for what it has lost.
    asks: bool,
    /// That of repeats, where they go on a source of their own.
    repeats: Option<u8>,
}

/// A track that we send.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) source: u32,
    /// The source of repeats, where the peer takes them.
    pub(super) repeats: u32,
    pub(super) codec: Codec,
    agreed: Option<Agreed>,
    /// Counts repeats on their source.
    sequence: u16,
    kept: Kept,
    counted: Counted,
    losses: Losses,
}

impl Sending {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            source: rand::random(),
            repeats: rand::random(),
            codec,
            agreed: None,
            sequence: rand::random(),
            kept: Kept::default(),
            counted: Counted::default(),
            losses: Losses::default(),
        }
    }

    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// Takes over what was agreed for the track's codec.
    pub(super) fn agree(&mut self, codec: &RTCRtpCodecParameters, all: &[RTCRtpCodecParameters]) {
        let payload_type = codec.payload_type;
        let repeats = |codec: &&RTCRtpCodecParameters| {
            let name = codec.rtp_codec.mime_type.rsplit('/').next().unwrap_or_default();
            let mut parameters = codec.rtp_codec.sdp_fmtp_line.split(';');
            let of = parameters.find_map(|parameter| parameter.trim().strip_prefix("apt=")?.parse().ok());
            name.eq_ignore_ascii_case(REPEATS) && of == Some(payload_type)
        };
        let repeats = all.iter().find(repeats).map(|codec| codec.payload_type);
        let mut feedback = codec.rtp_codec.rtcp_feedback.iter();
        let asks = feedback.any(|feedback| feedback.typ == "nack" && feedback.parameter.is_empty());
        self.agreed = Some(Agreed { payload_type, asks, repeats });
    }

    fn packet(&self, agreed: Agreed, packet: &RtpPacket, add: u16) -> Packet {
        let header = Header {
            version: 2,
            marker: packet.marker,
            payload_type: agreed.payload_type,
            sequence_number: packet.sequence.wrapping_add(add),
            timestamp: packet.timestamp,
            ssrc: self.source,
            ..Header::default()
        };
        Packet { header, payload: packet.payload.clone() }
    }

    /// A packet once more, or twice: on the source of repeats, behind the number that it had (RFC 4588 section 4), or as
    /// it was.
    fn again(&mut self, now: Instant, budget: &mut Budget, sequence: u16) -> Vec<Packet> {
        let Some(agreed) = self.agreed else { return Vec::new() };
        let Some((packet, times)) = self.kept.again(now, budget, sequence) else { return Vec::new() };
        let mut again = vec![self.packet(agreed, &packet, 0); times];
        if let Some(payload_type) = agreed.repeats {
            let payload = Bytes::from([&sequence.to_be_bytes()[..], &packet.payload].concat());
            for packet in &mut again {
                self.sequence = self.sequence.wrapping_add(1);
                let (ssrc, sequence_number) = (self.repeats, self.sequence);
                packet.header = Header { payload_type, ssrc, sequence_number, ..packet.header.clone() };
                packet.payload = payload.clone();
            }
        }
        again
    }
}

/// What a session sends, of all tracks.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) tracks: BTreeMap<TrackId, Sending>,
    budget: Budget,
    reports: Reports,
}

impl Outgoing {
    pub(super) fn new(now: Instant) -> Self {
        Self { tracks: BTreeMap::new(), budget: Budget::default(), reports: Reports::new(now) }
    }

    /// When a report is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.reports.due()
    }
}

impl RtcSession {
    /// Hands a packet to the stack. Its sender would look the source and the payload type up in what was agreed, from
    /// where both come, and make a name that nothing reads on the way out.
    fn hand_out(&mut self, packet: Packet) -> Result<(), rtc::shared::error::Error> {
        let message = RTCMessage::RtpPacket(String::new(), packet);
        self.stack.handle_write(TaggedRTCMessage { now: self.now, message })
    }

    pub(super) fn write_rtp(
        &mut self,
        track: TrackId,
        packets: &Arc<[RtpPacket]>,
        add: u16,
        out: &mut Vec<Transmit>,
    ) -> Result<(), Error> {
        if self.phase != Phase::Up {
            return Err(Error::Closed);
        }
        let now = self.now;
        let sending = self.outgoing.tracks.get_mut(&track).ok_or(Error::NoTrack)?;
        let agreed = sending.agreed.ok_or(Error::NoTrack)?;
        if agreed.asks {
            sending.kept.keep(now, packets, add);
        }
        self.outgoing.budget.earn(packets.len());
        self.outgoing.reports.sent(now);
        for few in packets.chunks(WRITE_AT_ONCE) {
            for packet in few {
                let sending = self.outgoing.tracks.get_mut(&track).ok_or(Error::NoTrack)?;
                sending.counted.add(now, packet.timestamp, packet.payload.len());
                let packet = sending.packet(agreed, packet, add);
                self.hand_out(packet).map_err(refused("the packet"))?;
            }
            for _ in few {
                let Some(written) = self.stack.poll_write() else { break };
                out.push(transmit(written));
            }
        }
        Ok(())
    }

    /// Sends again what the peer asks for.
    pub(super) fn repeat(&mut self, request: &TransportLayerNack) {
        let now = self.now;
        for sequence in request.nacks.iter().flat_map(NackPair::packet_list) {
            let Outgoing { tracks, budget, .. } = &mut self.outgoing;
            let of = |sending: &&mut Sending| sending.source == request.media_ssrc;
            let Some(sending) = tracks.values_mut().find(of) else { return };
            for packet in sending.again(now, budget, sequence) {
                // What the stack does not take is lost, as on any network.
                let _ = self.hand_out(packet);
            }
        }
    }

    /// How the peer receives one of our tracks, and perhaps its repeats.
    pub(super) fn on_reception(&mut self, blocks: &[ReceptionReport]) {
        let Outgoing { tracks, budget, reports } = &mut self.outgoing;
        let Some(block) = blocks.first() else { return };
        let of = |(_, sending): &(&TrackId, &mut Sending)| sending.source == block.ssrc;
        let Some((track, sending)) = tracks.iter_mut().find(of) else { return };
        let round_trip = reports.round_trip(self.now, block);
        round_trip.into_iter().for_each(|round_trip| budget.set_round_trip(round_trip));
        if let Some(lost) = sending.losses.lost(self.now, blocks) {
            self.events.push_back(Event::ReceiverReport { track: *track, lost, round_trip });
        }
    }

    /// Sends the reports that are due.
    pub(super) fn report(&mut self) {
        let now = self.now;
        let Outgoing { tracks, reports, .. } = &mut self.outgoing;
        if self.phase != Phase::Up || !reports.take_due(now) {
            return;
        }
        for sending in tracks.values() {
            if let Some(report) = reports.of(now, sending.source, sending.codec.clock_rate, &sending.counted) {
                let message = RTCMessage::RtcpPacket(String::new(), vec![Box::new(report)]);
                // A report that the stack does not take is made anew in a second.
                let _ = self.stack.handle_write(TaggedRTCMessage { now, message });
            }
        }
    }
}
