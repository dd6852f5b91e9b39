//! Tracks that we send: what the peer agreed to, packets out, and again on request; reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use rtc::rtp_transceiver::rtp_sender::RTCRtpCodecParameters;
use rtc::sansio::Protocol;

use super::repeats::{Budget, Kept, Repeat};
use super::reports::{Counted, Losses, Reports};
use super::srtp::{Head, Sealer};
use super::way::Way;
use super::{Phase, RtcSession};
use crate::media::{Codec, RtpPacket, TrackId, first_sequence};
use crate::session::{Carrier, Outlet};
use crate::{Error, Event};

/// Packets of one call. With more, two of them would have the same number.
const MAX_RUN: usize = 0x8000;
/// Bytes of the number that stands before what is sent again on a source of its own (RFC 4588 section 4).
const OSN: usize = 2;
/// The name of the form in which packets are sent again on a source of their own (RFC 4588 section 8.6).
pub(super) const REPEATS: &str = "rtx";

fn refused(why: &str) -> Error {
    Error::Refused { what: "the packets", said: why.to_owned() }
}

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
            sequence: first_sequence(),
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
        if self.agreed.is_some_and(|agreed| agreed.payload_type != payload_type) {
            // Sent again as they were, they would be other packets under the same index, which gives GCM's key away.
            self.kept = Kept::default();
        }
        self.agreed = Some(Agreed { payload_type, asks, repeats });
    }

    fn head(&self, agreed: Agreed, packet: &RtpPacket) -> Head {
        let RtpPacket { marker, timestamp, .. } = *packet;
        Head { source: self.source, payload_type: agreed.payload_type, marker, timestamp }
    }

    /// Appends a packet once more: on the source of repeats, behind the number that it had (RFC 4588 section 4), or as it
    /// was. What does not fit is lost, as on any network.
    fn again(&mut self, sealer: &mut Sealer, repeat: &Repeat, into: &mut BytesMut) -> Option<()> {
        let agreed = self.agreed?;
        let Repeat { packet, index, sequence } = repeat;
        let head = self.head(agreed, packet);
        let Some(payload_type) = agreed.repeats else {
            return sealer.seal(*index, head, [&[], &packet.payload], into).ok();
        };
        self.sequence = self.sequence.wrapping_add(1);
        let head = Head { payload_type, source: self.repeats, ..head };
        let index = sealer.claim(self.repeats, self.sequence, 1)?;
        sealer.seal(index, head, [&sequence.to_be_bytes(), &packet.payload], into).ok()
    }
}

/// What a session sends, of all tracks.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) tracks: BTreeMap<TrackId, Sending>,
    budget: Budget,
    reports: Reports,
    /// What encrypts packets, once keys are agreed.
    sealer: Option<Sealer>,
    /// Where packets go, until something happens that may change it.
    pub(super) way: Option<Way>,
}

impl Outgoing {
    pub(super) fn new(now: Instant) -> Self {
        let (tracks, budget, reports) = (BTreeMap::new(), Budget::default(), Reports::new(now));
        Self { tracks, budget, reports, sealer: None, way: None }
    }

    /// When a report is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.reports.due()
    }
}

impl RtcSession {
    /// Takes what encrypts packets, which is there once keys are agreed.
    pub(super) fn take_sealer(&mut self) {
        if self.outgoing.sealer.is_none() {
            self.outgoing.sealer = self.keys.take();
        }
    }

    pub(super) fn write_rtp(
        &mut self,
        track: TrackId,
        packets: &Arc<[RtpPacket]>,
        add: u16,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        if self.phase != Phase::Up {
            return Err(Error::Closed);
        }
        let (now, way) = (self.now, self.way());
        let Outgoing { tracks, budget, reports, sealer, .. } = &mut self.outgoing;
        let sending = tracks.get_mut(&track).ok_or(Error::NoTrack)?;
        let agreed = sending.agreed.ok_or(Error::NoTrack)?;
        let sealer = sealer.as_mut().ok_or_else(|| refused("there are no keys"))?;
        let Some(first) = packets.first() else { return Ok(()) };
        let follow = |pair: &[RtpPacket]| matches!(pair, [a, b] if b.sequence == a.sequence.wrapping_add(1));
        if packets.len() > MAX_RUN || !packets.windows(2).all(follow) {
            return Err(refused("they do not follow one another"));
        }
        let claimed = sealer.claim(sending.source, first.sequence.wrapping_add(add), packets.len());
        let index = claimed.ok_or_else(|| refused("they do not follow those before"))?;
        if agreed.asks {
            sending.kept.keep(now, packets, index);
        }
        // What ICE has no path for is lost, and may be asked for again.
        let Some(way) = way else { return Ok(()) };
        budget.earn(packets.len());
        reports.sent(now);
        let bytes: usize = packets.iter().map(|packet| packet.payload.len() + sealer.overhead()).sum();
        let (room, transmits) = out.room(bytes);
        // By TCP packets may wait for long.
        let mut own = BytesMut::new();
        let room = if way.carrier == Carrier::Tcp { &mut own } else { room };
        for (index, packet) in (index..).zip(packets.iter()) {
            sending.counted.add(now, packet.timestamp, packet.payload.len());
            let head = sending.head(agreed, packet);
            sealer.seal(index, head, [&[], &packet.payload], room).map_err(|error| refused(&error.to_string()))?;
            transmits.push(way.carry(room.split()));
        }
        Ok(())
    }

    /// Sends again what the peer asks for.
    pub(super) fn repeat(&mut self, request: &TransportLayerNack) {
        let (now, way) = (self.now, self.way());
        let Outgoing { tracks, budget, sealer, .. } = &mut self.outgoing;
        let of = |sending: &&mut Sending| sending.source == request.media_ssrc;
        let (Some(way), Some(sealer), Some(sending)) = (way, sealer, tracks.values_mut().find(of)) else { return };
        for sequence in request.nacks.iter().flat_map(NackPair::packet_list) {
            let Some((repeat, times)) = sending.kept.again(now, budget, sequence) else { continue };
            for _ in 0..times {
                let mut buffer = BytesMut::with_capacity(repeat.packet.payload.len() + sealer.overhead() + OSN);
                if sending.again(sealer, &repeat, &mut buffer).is_some() {
                    self.transmits.push_back(way.carry(buffer));
                }
            }
        }
    }

    /// How the peer receives one of our tracks, and perhaps its repeats.
    pub(super) fn on_reception(&mut self, blocks: &[ReceptionReport]) {
        let Outgoing { tracks, budget, reports, .. } = &mut self.outgoing;
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
        if self.phase == Phase::Up && self.outgoing.reports.take_due(self.now) {
            let tracks: Vec<TrackId> = self.outgoing.tracks.keys().copied().collect();
            tracks.into_iter().for_each(|track| self.report_of(track));
        }
    }

    /// Sends reports of which timestamps stand for a moment.
    pub(super) fn tell(&mut self, at: Instant, timestamps: &[(TrackId, u32)]) -> Result<(), Error> {
        if self.phase != Phase::Up {
            return Err(Error::Closed);
        }
        self.outgoing.reports.sent(self.now);
        for (track, timestamp) in timestamps {
            self.outgoing.tracks.get_mut(track).ok_or(Error::NoTrack)?.counted.tell(at, *timestamp);
            self.report_of(*track);
        }
        Ok(())
    }

    fn report_of(&mut self, track: TrackId) {
        let now = self.now;
        let Outgoing { tracks, reports, .. } = &mut self.outgoing;
        let Some(sending) = tracks.get(&track) else { return };
        if let Some(report) = reports.of(now, sending.source, sending.codec.clock_rate, &sending.counted) {
            let message = RTCMessage::RtcpPacket(String::new(), vec![Box::new(report)]);
            // A report that the stack does not take is made anew in a second.
            let _ = self.stack.handle_write(TaggedRTCMessage { now, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::Kind;

    #[test]
    fn a_new_payload_type_leaves_nothing_to_repeat() {
        let (name, parameters) = ("H264".to_owned(), String::new());
        let codec = Codec { kind: Kind::Video, name, clock_rate: 90_000, channels: 0, parameters, payload_type: 96 };
        let agreed = |payload_type| RTCRtpCodecParameters { payload_type, ..RTCRtpCodecParameters::default() };
        let (mut sending, now) = (Sending::new(codec), Instant::now());
        let again = |sending: &mut Sending| sending.kept.again(now, &mut Budget::default(), 5).is_some();
        for (payload_type, kept) in [(96, true), (97, false)] {
            sending.agree(&agreed(96), &[]);
            let packet = RtpPacket { sequence: 5, timestamp: 7, marker: false, payload: Bytes::new() };
            sending.kept.keep(now, &Arc::from([packet]), 5);
            sending.agree(&agreed(payload_type), &[]);
            assert_eq!(again(&mut sending), kept);
        }
    }
}
