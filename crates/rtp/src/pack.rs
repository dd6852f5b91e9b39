//! All packets of a frame in one buffer.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sluicegate_media::{ClockRate, Codec, Content, Frame, Kind, Timestamp, Track, avc, hevc};
use smallvec::SmallVec;

use crate::nal::{Units, split};
use crate::{aac, av1, h264, h265, vp8, vp9};

/// Bytes before each payload: kind, marker, length and timestamp.
const HEAD: usize = 8;

/// One packet of a frame, without what belongs to a session: source, payload type and sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Sound or pictures.
    pub kind: Kind,
    /// Ends a picture.
    pub marker: bool,
    /// In ticks of the codec's clock, from the stream's own zero.
    pub timestamp: u32,
    /// The payload, a slice of the frame's buffer.
    pub payload: Bytes,
}

/// The encoding's name in session descriptions, for codecs that WebRTC can negotiate. AAC, which it cannot, is packed too.
#[must_use]
pub fn encoding_name(codec: Codec) -> Option<&'static str> {
    Some(match codec {
        Codec::H264 => "H264",
        Codec::H265 => "H265",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::Av1 => "AV1",
        Codec::Opus => "opus",
        Codec::G711A => "PCMA",
        Codec::G711U => "PCMU",
        _ => return None,
    })
}

/// Whether frames of this codec can go by WebRTC.
#[must_use]
pub fn supports(codec: Codec) -> bool {
    encoding_name(codec).is_some()
}

/// The codec's RTP clock (RFC 3551 section 4.5.14, RFC 7587 section 4.1, and 90 kHz for pictures).
#[must_use]
pub fn clock_rate(codec: Codec) -> ClockRate {
    let hz = match codec {
        Codec::Opus => 48_000,
        Codec::G711A | Codec::G711U => 8_000,
        _ => 90_000,
    };
    ClockRate::new(hz).unwrap_or(ClockRate::VIDEO)
}

/// The RTP clock of a track: that of its codec, and for AAC the rate of its samples (RFC 3640 section 4.1).
#[must_use]
pub fn track_clock_rate(track: &Track) -> ClockRate {
    let aac = ClockRate::new(track.audio.sample_rate).filter(|_| track.codec == Codec::Aac);
    aac.unwrap_or_else(|| clock_rate(track.codec))
}

/// Takes packets as they are made.
pub(crate) trait Emit {
    /// A payload in parts; `last` ends the picture.
    fn packet(&mut self, parts: &[&[u8]], last: bool);
}

struct Packer<'a> {
    out: &'a mut BytesMut,
    video: bool,
    timestamp: u32,
}

impl Emit for Packer<'_> {
    fn packet(&mut self, parts: &[&[u8]], last: bool) {
        let length = parts.iter().fold(0_usize, |length, part| length.saturating_add(part.len()));
        let Ok(length) = u16::try_from(length) else { return };
        self.out.put_u8(u8::from(self.video));
        self.out.put_u8(u8::from(last));
        self.out.put_u16(length);
        self.out.put_u32(self.timestamp);
        parts.iter().for_each(|part| self.out.put_slice(part));
    }
}

/// Appends the packets of `frame` to `out`, each with a payload of at most `limit` bytes; parameter sets of `track` go
/// before key frames. Frames of other codecs add nothing.
pub fn pack(frame: &Frame, track: &Track, limit: usize, out: &mut BytesMut) {
    if frame.content != Content::Media {
        return;
    }
    let packets = frame.payload.len().checked_div(limit).unwrap_or_default().saturating_add(4);
    out.reserve(frame.payload.len().saturating_add(packets.saturating_mul(HEAD)));
    let video = frame.kind() == Kind::Video;
    let mut emit = Packer { out, video, timestamp: ticks(track_clock_rate(track), frame.pts()) };
    let payload = &frame.payload;
    match frame.codec {
        Codec::H264 => {
            let record = avc::DecoderConfigurationRecord::parse(&track.configuration).ok();
            let prefix = record.as_ref().map_or(4, |record| record.nal_length_size);
            let sets = record.iter().filter(|_| frame.key).flat_map(|record| record.sps.iter().chain(&record.pps));
            let sets: Units<'_> = sets.map(Vec::as_slice).collect();
            h264::packetize(&sets, &split(payload, prefix), limit, &mut emit);
        }
        Codec::H265 => {
            let record = hevc::DecoderConfigurationRecord::parse(&track.configuration).ok();
            let prefix = record.as_ref().map_or(4, |record| record.nal_length_size);
            let sets = record.iter().filter(|_| frame.key).flat_map(|record| &record.parameter_sets);
            let sets: Units<'_> = sets.map(|(_, set)| set.as_slice()).collect();
            h265::packetize(&sets, &split(payload, prefix), limit, &mut emit);
        }
        Codec::Av1 => {
            let wanted = frame.key && !av1::has_sequence_header(payload);
            let configuration = track.configuration.get(4..).filter(|_| wanted).unwrap_or_default();
            av1::packetize(configuration, payload, frame.key, limit, &mut emit);
        }
        Codec::Vp8 => vp8::packetize(payload, limit, &mut emit),
        Codec::Vp9 => vp9::packetize(payload, frame.key, limit, &mut emit),
        Codec::Opus | Codec::G711A | Codec::G711U if payload.len() <= limit => emit.packet(&[payload], false),
        Codec::Aac => aac::packetize(payload, limit, &mut emit),
        _ => {}
    }
}

/// The RTP timestamp of a place on the stream's timeline, modulo 2^32 (RFC 3550 section 5.1).
#[must_use]
pub fn timestamp(codec: Codec, at: Timestamp) -> u32 {
    ticks(clock_rate(codec), at)
}

fn ticks(rate: ClockRate, at: Timestamp) -> u32 {
    let [_, _, _, _, a, b, c, d] = at.ticks(rate).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The packets in a buffer that [`pack`] has filled, cut from it without copying.
#[must_use]
pub fn unpack(mut packed: Bytes) -> SmallVec<[Packed; 8]> {
    let mut all = SmallVec::new();
    while packed.len() >= HEAD {
        let kind = if packed.get_u8() == 1 { Kind::Video } else { Kind::Audio };
        let (marker, length, timestamp) = (packed.get_u8() == 1, packed.get_u16(), packed.get_u32());
        let length = usize::from(length).min(packed.len());
        all.push(Packed { kind, marker, timestamp, payload: packed.split_to(length) });
    }
    all
}
