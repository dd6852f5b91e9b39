//! Frames to bytes.

use bytes::{BufMut, BytesMut};
use sluicegate_media::{Codec, Content, Frame, Kind, Timestamp, TrackId, Tracks};

use crate::tag::put;
use crate::{FourCc, Header, TagKind, audio, metadata, reader, video};

/// `FrameType` of a picture that needs others.
const INTER_FRAME: u8 = 2;
/// The largest composition time that 24 bits hold, milliseconds.
const MAX_COMPOSITION: i64 = 0x7f_ffff;

/// Whether FLV can carry this codec: all that we know of.
#[must_use]
pub fn supports(codec: Codec) -> bool {
    FourCc::of(codec).is_some() || legacy_sound(codec).is_some() || codec == Codec::Amf0
}

/// Appends what must precede frames of these tracks: for a player that begins the file header and `onMetaData`, then
/// the decoder configurations, at the time `at`.
pub fn write_head(tracks: &Tracks, first: bool, at: Timestamp, out: &mut BytesMut) {
    let millis = wire_millis(at);
    if first {
        let header = Header { audio: tracks.has(Kind::Audio), video: tracks.has(Kind::Video) };
        out.put_slice(&header.encode());
    }
    put(out, TagKind::Script, millis, |out| metadata::put(tracks, out));
    for track in tracks.iter().filter(|track| !track.configuration.is_empty()) {
        write_frame(&Frame::configuration(track.id, track.codec, at, track.configuration.clone()), out);
    }
}

/// Appends a frame as a tag: in the legacy form where its codec has one, else in the enhanced form. The tracks beyond
/// the first of a kind become multitrack tags. Nothing is written for a codec that FLV cannot carry.
pub fn write_frame(frame: &Frame, out: &mut BytesMut) {
    let millis = wire_millis(frame.dts);
    match frame.kind() {
        Kind::Video => put(out, TagKind::Video, millis, |out| picture(frame, out)),
        Kind::Audio if supports(frame.codec) => put(out, TagKind::Audio, millis, |out| sound(frame, out)),
        Kind::Data if frame.content == Content::Media => {
            put(out, TagKind::Script, millis, |out| out.extend_from_slice(&frame.payload));
        }
        Kind::Audio | Kind::Data => {}
    }
}

/// Milliseconds as the wire has them: 32 bits that wrap.
fn wire_millis(at: Timestamp) -> u32 {
    let [.., a, b, c, d] = at.millis().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn picture(frame: &Frame, out: &mut BytesMut) {
    let key = frame.key || frame.content != Content::Media;
    let frame_type = if key { video::KEY_FRAME } else { INTER_FRAME };
    let millis = frame.composition_offset.millis().clamp(-MAX_COMPOSITION, MAX_COMPOSITION);
    let [.., a, b, c] = millis.to_be_bytes();
    if frame.codec == Codec::H264 && is_primary(frame.track) {
        let packet_type = match frame.content {
            Content::Configuration => 0,
            Content::Media => 1,
            Content::End => 2,
        };
        out.put_slice(&[frame_type << 4 | video::AVC, packet_type, a, b, c]);
    } else {
        let has_offset = matches!(frame.codec, Codec::H264 | Codec::H265) && millis != 0;
        let packet_type = match frame.content {
            Content::Configuration => 0,
            Content::Media if has_offset || !matches!(frame.codec, Codec::H264 | Codec::H265) => 1,
            Content::Media => 3,
            Content::End => 2,
        };
        enhanced(0x80 | frame_type << 4, 6, packet_type, frame, out);
        if has_offset && packet_type == 1 {
            out.put_slice(&[a, b, c]);
        }
    }
    out.extend_from_slice(&frame.payload);
}

fn sound(frame: &Frame, out: &mut BytesMut) {
    match legacy_sound(frame.codec).filter(|_| is_primary(frame.track)) {
        Some(first) => {
            out.put_u8(first);
            if frame.codec == Codec::Aac {
                out.put_u8(u8::from(frame.content == Content::Media));
            }
        }
        None => {
            let packet_type = match frame.content {
                Content::Configuration => 0,
                Content::Media => 1,
                Content::End => 2,
            };
            enhanced(audio::EX_HEADER << 4, 5, packet_type, frame, out);
        }
    }
    out.extend_from_slice(&frame.payload);
}

/// The first byte of a legacy audio tag: format, rate, size and channels, of which the last three are fixed by
/// convention where the codec has its own.
fn legacy_sound(codec: Codec) -> Option<u8> {
    match codec {
        Codec::Aac => Some(audio::AAC << 4 | 0x0f),
        Codec::Mp3 => Some(audio::MP3 << 4 | 0x0f),
        Codec::G711A => Some(audio::G711_A << 4 | 0x02),
        Codec::G711U => Some(audio::G711_U << 4 | 0x02),
        _ => None,
    }
}

fn is_primary(track: TrackId) -> bool {
    matches!(track, TrackId::VIDEO | TrackId::AUDIO)
}

/// The enhanced header up to the body; for a further track that of a multitrack tag with one track.
fn enhanced(flags: u8, multitrack: u8, packet_type: u8, frame: &Frame, out: &mut BytesMut) {
    let name = FourCc::of(frame.codec).unwrap_or(FourCc(*b"    ")).0;
    if is_primary(frame.track) {
        out.put_u8(flags | packet_type);
        out.put_slice(&name);
    } else {
        out.put_slice(&[flags | multitrack, packet_type]);
        out.put_slice(&name);
        out.put_u8(reader::track_number(frame.track));
    }
}

#[cfg(test)]
mod tests;
