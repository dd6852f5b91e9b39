//! Video tags: the legacy header (FLV E.4.3.1) and the enhanced one (E-RTMP, "Enhanced Video").

use bytes::Bytes;
use sluicegate_media::Codec;

use crate::cursor::Cursor;
use crate::{Fault, FourCc};

/// `CodecID` of H.264.
pub(crate) const AVC: u8 = 7;
/// `CodecID` that Chinese encoders and CDNs use for H.265 without enhanced headers.
const HEVC_BY_CUSTOM: u8 = 12;
/// `FrameType` of a key frame.
pub(crate) const KEY_FRAME: u8 = 1;
/// `FrameType` of a command instead of a picture.
const COMMAND_FRAME: u8 = 5;
const TAG: &str = "VideoTagHeader";

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// The decoder configuration: `avcC`, `hvcC`, `av1C`, `vpcC`.
    SequenceStart,
    /// A coded picture.
    CodedFrames,
    /// The end of the sequence.
    SequenceEnd,
    /// AMF data about the pictures, such as their colours (`VideoPacketType.Metadata`).
    Metadata,
    /// An MPEG-2 TS descriptor of AV1 (`MPEG2TSSequenceStart`).
    Mpeg2TsSequenceStart,
}

/// One packet of one track. A tag holds one, or several when it is a multitrack tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// `videoTrackId`; 0 where the tag is no multitrack tag.
    pub track: u8,
    /// The codec.
    pub codec: Codec,
    /// What the body is.
    pub content: Content,
    /// Whether it is a key frame.
    pub key: bool,
    /// Presentation time minus decoding time, milliseconds.
    pub composition_time: i32,
    /// Nanoseconds to add to the tag's timestamp (`ModEx`, `TimestampOffsetNano`).
    pub nanoseconds: u32,
    /// The payload, shared with the tag.
    pub body: Bytes,
}

/// Reads the body of a video tag. A tag that carries a command instead of pictures gives no packet.
///
/// # Errors
/// The tag is damaged, or its codec is not supported.
pub fn parse(data: Bytes) -> Result<Vec<Packet>, Fault> {
    let mut cursor = Cursor::new(TAG, data);
    let first = cursor.u8()?;
    if first & 0x80 == 0 {
        return legacy(first, cursor).map(|packet| packet.into_iter().collect());
    }
    enhanced(first, cursor)
}

fn legacy(first: u8, mut cursor: Cursor) -> Result<Option<Packet>, Fault> {
    let (frame_type, codec_id) = (first >> 4, first & 15);
    if frame_type == COMMAND_FRAME {
        return Ok(None);
    }
    let codec = match codec_id {
        AVC => Codec::H264,
        HEVC_BY_CUSTOM => Codec::H265,
        got => return Err(Fault::Codec { kind: "video", got }),
    };
    let content = match cursor.u8()? {
        0 => Content::SequenceStart,
        1 => Content::CodedFrames,
        2 => Content::SequenceEnd,
        got => return Err(Fault::Undefined { field: "AVCPacketType", got: u32::from(got) }),
    };
    let composition_time = cursor.i24()?;
    let key = frame_type == KEY_FRAME && content == Content::CodedFrames;
    Ok(Some(Packet { track: 0, codec, content, key, composition_time, nanoseconds: 0, body: cursor.rest() }))
}

/// What the enhanced header says before any track.
#[derive(Debug, Clone, Copy)]
struct Outer {
    frame_type: u8,
    nanoseconds: u32,
}

fn enhanced(first: u8, mut cursor: Cursor) -> Result<Vec<Packet>, Fault> {
    let mut packet_type = first & 15;
    let mut outer = Outer { frame_type: first >> 4 & 7, nanoseconds: 0 };
    while packet_type == 7 {
        (packet_type, outer.nanoseconds) = mod_ex(&mut cursor, outer.nanoseconds)?;
    }
    if packet_type != 4 && outer.frame_type == COMMAND_FRAME {
        return Ok(Vec::new());
    }
    if packet_type == 6 {
        return multitrack(outer, cursor);
    }
    let codec = cursor.fourcc()?;
    Ok(vec![packet(outer, packet_type, codec, 0, cursor)?])
}

/// `ModEx`: an extension and the packet type that follows it. Only `TimestampOffsetNano` is defined.
pub(crate) fn mod_ex(cursor: &mut Cursor, nanoseconds: u32) -> Result<(u8, u32), Fault> {
    let mut size = usize::from(cursor.u8()?).saturating_add(1);
    if size == 256 {
        size = usize::from(cursor.u16()?).saturating_add(1);
    }
    let mut data = Cursor::new("ModEx", cursor.take(size)?);
    let next = cursor.u8()?;
    let nanoseconds = if next >> 4 == 0 { data.u24()? } else { nanoseconds };
    Ok((next & 15, nanoseconds))
}

/// One track of a multitrack tag: its number, codec and body.
pub(crate) type TrackBody = (u8, FourCc, Cursor);

/// The packet type and every track of a multitrack tag; shared with audio.
pub(crate) fn tracks(cursor: &mut Cursor) -> Result<(u8, Vec<TrackBody>), Fault> {
    let types = cursor.u8()?;
    let (multitrack_type, packet_type) = (types >> 4, types & 15);
    let shared = if multitrack_type == 2 { None } else { Some(cursor.fourcc()?) };
    let mut all = Vec::new();
    while !cursor.is_empty() {
        let codec = match shared {
            Some(codec) => codec,
            None => cursor.fourcc()?,
        };
        let track = cursor.u8()?;
        let body = match multitrack_type {
            0 => std::mem::replace(cursor, Cursor::new(TAG, Bytes::new())).rest(),
            1 | 2 => {
                let size = usize::try_from(cursor.u24()?).unwrap_or(usize::MAX);
                cursor.take(size)?
            }
            got => return Err(Fault::Undefined { field: "AvMultitrackType", got: u32::from(got) }),
        };
        all.push((track, codec, Cursor::new(TAG, body)));
    }
    Ok((packet_type, all))
}

fn multitrack(outer: Outer, mut cursor: Cursor) -> Result<Vec<Packet>, Fault> {
    let (packet_type, tracks) = tracks(&mut cursor)?;
    let mut packets = Vec::new();
    for (track, codec, body) in tracks {
        match packet(outer, packet_type, codec, track, body) {
            Ok(packet) => packets.push(packet),
            // The other tracks of the tag are of use without the one that we do not know.
            Err(fault) if fault.is_unsupported() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(packets)
}

fn packet(outer: Outer, packet_type: u8, codec: FourCc, track: u8, mut cursor: Cursor) -> Result<Packet, Fault> {
    let codec = codec.codec().ok_or(Fault::FourCc(codec))?;
    let mut composition_time = 0;
    let content = match packet_type {
        0 => Content::SequenceStart,
        1 => {
            if matches!(codec, Codec::H264 | Codec::H265) {
                composition_time = cursor.i24()?;
            }
            Content::CodedFrames
        }
        2 => Content::SequenceEnd,
        3 => Content::CodedFrames,
        4 => Content::Metadata,
        5 => Content::Mpeg2TsSequenceStart,
        got => return Err(Fault::Undefined { field: "VideoPacketType", got: u32::from(got) }),
    };
    let key = outer.frame_type == KEY_FRAME && content == Content::CodedFrames;
    let Outer { nanoseconds, .. } = outer;
    Ok(Packet { track, codec, content, key, composition_time, nanoseconds, body: cursor.rest() })
}

#[cfg(test)]
#[path = "video/tests.rs"]
mod tests;
