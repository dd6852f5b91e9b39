//! Audio tags: the legacy header (FLV E.4.2.1) and the enhanced one (E-RTMP, "Enhanced Audio").

use bytes::Bytes;
use sluicegate_media::Codec;

use crate::cursor::Cursor;
use crate::video::{mod_ex, tracks};
use crate::{Fault, FourCc};

/// `SoundFormat` values that we carry.
pub(crate) const MP3: u8 = 2;
pub(crate) const G711_A: u8 = 7;
pub(crate) const G711_U: u8 = 8;
pub(crate) const EX_HEADER: u8 = 9;
pub(crate) const AAC: u8 = 10;
const MP3_8K: u8 = 14;
const TAG: &str = "AudioTagHeader";

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// The decoder configuration: `AudioSpecificConfig`, `OpusHead`, `STREAMINFO`.
    SequenceStart,
    /// Coded sound.
    CodedFrames,
    /// The end of the sequence.
    SequenceEnd,
    /// How the channels are ordered (`AudioPacketType.MultichannelConfig`).
    MultichannelConfig,
}

/// One packet of one track. A tag holds one, or several when it is a multitrack tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// `audioTrackId`; 0 where the tag is no multitrack tag.
    pub track: u8,
    /// The codec.
    pub codec: Codec,
    /// What the body is.
    pub content: Content,
    /// Nanoseconds to add to the tag's timestamp (`ModEx`, `TimestampOffsetNano`).
    pub nanoseconds: u32,
    /// The payload, shared with the tag.
    pub body: Bytes,
}

/// Reads the body of an audio tag.
///
/// # Errors
/// The tag is damaged, or its codec is not supported.
pub fn parse(data: Bytes) -> Result<Vec<Packet>, Fault> {
    let mut cursor = Cursor::new(TAG, data);
    let first = cursor.u8()?;
    match first >> 4 {
        EX_HEADER => enhanced(first & 15, cursor),
        format => legacy(format, cursor).map(|packet| vec![packet]),
    }
}

fn legacy(format: u8, mut cursor: Cursor) -> Result<Packet, Fault> {
    let codec = match format {
        AAC => Codec::Aac,
        MP3 | MP3_8K => Codec::Mp3,
        G711_A => Codec::G711A,
        G711_U => Codec::G711U,
        got => return Err(Fault::Codec { kind: "audio", got }),
    };
    let content = match codec {
        Codec::Aac => match cursor.u8()? {
            0 => Content::SequenceStart,
            1 => Content::CodedFrames,
            got => return Err(Fault::Undefined { field: "AACPacketType", got: u32::from(got) }),
        },
        _ => Content::CodedFrames,
    };
    Ok(Packet { track: 0, codec, content, nanoseconds: 0, body: cursor.rest() })
}

fn enhanced(first_type: u8, mut cursor: Cursor) -> Result<Vec<Packet>, Fault> {
    let (mut packet_type, mut nanoseconds) = (first_type, 0);
    while packet_type == 7 {
        (packet_type, nanoseconds) = mod_ex(&mut cursor, nanoseconds)?;
    }
    if packet_type != 5 {
        let codec = cursor.fourcc()?;
        return Ok(vec![packet(packet_type, codec, 0, nanoseconds, cursor)?]);
    }
    let (packet_type, tracks) = tracks(&mut cursor)?;
    let mut packets = Vec::new();
    for (track, codec, body) in tracks {
        match packet(packet_type, codec, track, nanoseconds, body) {
            Ok(packet) => packets.push(packet),
            Err(fault) if fault.is_unsupported() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(packets)
}

fn packet(packet_type: u8, codec: FourCc, track: u8, nanoseconds: u32, cursor: Cursor) -> Result<Packet, Fault> {
    let codec = codec.codec().ok_or(Fault::FourCc(codec))?;
    let content = match packet_type {
        0 => Content::SequenceStart,
        1 => Content::CodedFrames,
        2 => Content::SequenceEnd,
        4 => Content::MultichannelConfig,
        got => return Err(Fault::Undefined { field: "AudioPacketType", got: u32::from(got) }),
    };
    Ok(Packet { track, codec, content, nanoseconds, body: cursor.rest() })
}

#[cfg(test)]
#[path = "audio/tests.rs"]
mod tests;
