//! Tracks: their negotiation, packets in, requests for key frames.

use std::any::Any;
use std::collections::BTreeMap;

use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::event::RTCTrackEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::transport::RTCDtlsTransportState;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::rtp::Header;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters,
    RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpReceiverId, RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::RtcSession;
use super::build::refused;
use super::sending::{REPEATS, Sending};
use crate::media::{Codec, Direction, Kind, RtpPacket, Track, TrackId};
use crate::{Error, Event};

const A_TRACK: &str = "a track";
/// Payload types that have no meaning of their own (RFC 3551 section 3).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// The media side of a session.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// Asked for and not yet part of the negotiation.
    wanted: Vec<Track>,
    /// The stack's names of tracks.
    names: BTreeMap<String, TrackId>,
    /// The source that feedback about a received track goes to.
    receiving: BTreeMap<TrackId, u32>,
    /// The newest sender report of each of the stack's tracks that came before its first packet.
    early: BTreeMap<String, (u64, u32)>,
}

fn kind(kind: Kind) -> RtpCodecKind {
    match kind {
        Kind::Audio => RtpCodecKind::Audio,
        Kind::Video => RtpCodecKind::Video,
    }
}

fn to_stack(codec: &Codec) -> RTCRtpCodec {
    let media = if codec.kind == Kind::Audio { "audio" } else { "video" };
    RTCRtpCodec {
        mime_type: format!("{media}/{}", codec.name),
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        sdp_fmtp_line: codec.parameters.clone(),
        rtcp_feedback: Vec::new(),
    }
}

fn from_stack(codec: &RTCRtpCodec, payload_type: u8) -> Codec {
    let (media, name) = codec.mime_type.split_once('/').unwrap_or(("video", &codec.mime_type));
    Codec {
        kind: if media.eq_ignore_ascii_case("audio") { Kind::Audio } else { Kind::Video },
        name: name.to_owned(),
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        parameters: codec.sdp_fmtp_line.clone(),
        payload_type,
    }
}

/// The form in which packets of a codec are sent again (RFC 4588 section 8.1). The peer's own number for it counts, where
/// it has one.
fn repeats(codec: &Codec, taken: &[u8]) -> Option<Codec> {
    let free = DYNAMIC.rev().find(|payload_type| !taken.contains(payload_type));
    let payload_type = free.filter(|_| codec.kind == Kind::Video)?;
    let (name, parameters) = (REPEATS.to_owned(), format!("apt={}", codec.payload_type));
    Some(Codec { name, parameters, payload_type, ..codec.clone() })
}

/// The codecs of all tracks, for the stack to negotiate.
pub(super) fn engine(tracks: &[Track]) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let mut codecs = Vec::new();
    for track in tracks {
        match track {
            Track::Send(codec) => codecs.push(codec.clone()),
            Track::Receive(taken) => codecs.extend_from_slice(taken),
        }
    }
    let mut types: Vec<u8> = codecs.iter().map(|codec| codec.payload_type).collect();
    for track in tracks {
        let Track::Send(codec) = track else { continue };
        let repeats = repeats(codec, &types);
        types.extend(repeats.iter().map(|codec| codec.payload_type));
        codecs.extend(repeats);
    }
    for codec in codecs {
        let parameters = RTCRtpCodecParameters { rtp_codec: to_stack(&codec), payload_type: codec.payload_type };
        engine.register_codec(parameters, kind(codec.kind)).map_err(refused(A_TRACK))?;
    }
    Ok(engine)
}

impl Media {
    pub(super) fn new(tracks: &[Track]) -> Self {
        Self { wanted: tracks.to_vec(), ..Self::default() }
    }
}

impl RtcSession {
    /// Adds the tracks that were asked for: before our offer, or after the peer's offer is known.
    pub(super) fn add_tracks(&mut self, offering: bool) -> Result<(), Error> {
        for track in std::mem::take(&mut self.media.wanted) {
            match track {
                Track::Send(codec) => self.add_sender(codec, offering)?,
                Track::Receive(codecs) if offering => {
                    let Some(first) = codecs.first() else { continue };
                    let direction = RTCRtpTransceiverDirection::Recvonly;
                    let init = RTCRtpTransceiverInit { direction, streams: Vec::new(), send_encodings: Vec::new() };
                    let added = self.stack.add_transceiver_from_kind(kind(first.kind), Some(init));
                    added.map_err(refused(A_TRACK))?;
                }
                // The offer's own sections stand for what we receive.
                Track::Receive(_) => {}
            }
        }
        Ok(())
    }

    fn add_sender(&mut self, codec: Codec, offering: bool) -> Result<(), Error> {
        let sending = Sending::new(codec);
        let codec = &sending.codec;
        let name = format!("track-{:08x}", sending.source);
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(sending.source),
                rtx: (codec.kind == Kind::Video).then_some(RTCRtpRtxParameters { ssrc: sending.repeats }),
                ..RTCRtpCodingParameters::default()
            },
            codec: to_stack(codec),
            ..RTCRtpEncodingParameters::default()
        };
        let stream = "sluicegate".to_owned();
        let track = MediaStreamTrack::new(stream, name.clone(), name.clone(), kind(codec.kind), vec![encoding.clone()]);
        let id = if offering {
            let direction = RTCRtpTransceiverDirection::Sendonly;
            let init = RTCRtpTransceiverInit { direction, streams: Vec::new(), send_encodings: vec![encoding] };
            self.stack.add_transceiver_from_track(track, Some(init)).map_err(refused(A_TRACK))?
        } else {
            self.stack.add_track(track).map_err(refused(A_TRACK))?.into()
        };
        self.media.names.insert(name, TrackId(id));
        self.outgoing.tracks.insert(TrackId(id), sending);
        Ok(())
    }

    /// Learns the payload types that the peer agreed to, and tells which tracks go out.
    pub(super) fn agree_tracks(&mut self) {
        for (id, sending) in &mut self.outgoing.tracks {
            if sending.is_agreed() {
                continue;
            }
            let direction = self.stack.rtp_transceiver(id.0).map(|found| found.current_direction());
            if !direction.is_some_and(|direction| direction.has_send()) {
                continue;
            }
            let Some(mut sender) = self.stack.rtp_sender(RTCRtpSenderId::from(id.0)) else { continue };
            let codecs = &sender.get_parameters().rtp_parameters.codecs;
            let wanted = to_stack(&sending.codec).mime_type;
            let Some(agreed) = codecs.iter().find(|codec| codec.rtp_codec.mime_type.eq_ignore_ascii_case(&wanted))
            else {
                continue;
            };
            sending.agree(agreed, codecs);
            let codec = from_stack(&agreed.rtp_codec, agreed.payload_type);
            let mid = self.stack.rtp_transceiver(id.0).and_then(|found| found.mid().clone()).unwrap_or_default();
            self.events.push_back(Event::TrackOpen { track: *id, mid, direction: Direction::Send, codec });
        }
    }

    pub(super) fn on_track(&mut self, event: &RTCTrackEvent) {
        let RTCTrackEvent::OnOpen(opened) = event else { return };
        let id: usize = opened.receiver_id.into();
        let Some(receiver) = self.stack.rtp_receiver(RTCRtpReceiverId::from(id)) else { return };
        let codec = receiver.track().codec(opened.ssrc).map(|codec| from_stack(codec, 0));
        let mid = self.stack.rtp_transceiver(id).and_then(|found| found.mid().clone()).unwrap_or_default();
        let Some(codec) = codec else { return };
        let track = TrackId(id);
        let known = self.media.receiving.insert(track, opened.ssrc).is_some();
        self.media.names.insert(opened.track_id.clone(), track);
        if !known {
            self.events.push_back(Event::TrackOpen { track, mid, direction: Direction::Receive, codec });
            let early = self.media.early.remove(&opened.track_id);
            self.events.extend(early.map(|(ntp, timestamp)| Event::SenderReport { track, ntp, timestamp }));
        }
    }

    /// Turns what the stack read into events.
    pub(super) fn on_media(&mut self, message: RTCMessage) {
        match message {
            RTCMessage::RtpPacket(name, packet) => {
                let Some(track) = self.media.names.get(&name).copied() else { return };
                let Header { sequence_number: sequence, timestamp, marker, .. } = packet.header;
                let packet = RtpPacket { sequence, timestamp, marker, payload: packet.payload };
                self.events.push_back(Event::Rtp { track, packet });
            }
            RTCMessage::RtcpPacket(name, reports) => {
                for report in &reports {
                    self.on_report(&name, report.as_any());
                }
            }
            _ => {}
        }
    }

    /// Requests for key frames or lost packets, sender reports, or receiver reports: nothing else is let through.
    fn on_report(&mut self, name: &str, report: &dyn Any) {
        let track = self.media.names.get(name).copied();
        if let Some(receiver) = report.downcast_ref::<ReceiverReport>() {
            self.on_reception(&receiver.reports);
        } else if let Some(request) = report.downcast_ref::<TransportLayerNack>() {
            self.repeat(request);
        } else if let Some(sender) = report.downcast_ref::<SenderReport>() {
            let (ntp, timestamp) = (sender.ntp_time, sender.rtp_time);
            match track {
                Some(track) => self.events.push_back(Event::SenderReport { track, ntp, timestamp }),
                // The stack names no other tracks than those that were agreed on.
                None => drop(self.media.early.insert(name.to_owned(), (ntp, timestamp))),
            }
        } else {
            self.events.extend(track.map(Event::KeyFrameWanted));
        }
    }

    pub(super) fn ask_key_frame(&mut self, track: TrackId) -> Result<(), Error> {
        let media_ssrc = *self.media.receiving.get(&track).ok_or(Error::NoTrack)?;
        let mut receiver = self.stack.rtp_receiver(RTCRtpReceiverId::from(track.0)).ok_or(Error::NoTrack)?;
        let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
        receiver.write_rtcp(self.now, vec![Box::new(request)]).map_err(refused("the request for a key frame"))
    }

    /// Whether the peer has ended DTLS. The stack raises no event for it on sessions without data channels.
    pub(super) fn dtls_closed(&mut self) -> bool {
        if let Some(sctp) = self.stack.sctp() {
            return sctp.transport().state() == RTCDtlsTransportState::Closed;
        }
        let closed = |state: Option<RTCDtlsTransportState>| state == Some(RTCDtlsTransportState::Closed);
        (0..self.stack.get_transceivers().count()).any(|id| {
            let sender = self.stack.rtp_sender(RTCRtpSenderId::from(id));
            let state = sender.and_then(|sender| sender.transport().map(|dtls| dtls.state()));
            if state.is_some() {
                return closed(state);
            }
            let receiver = self.stack.rtp_receiver(RTCRtpReceiverId::from(id));
            closed(receiver.and_then(|receiver| receiver.transport().map(|dtls| dtls.state())))
        })
    }
}
