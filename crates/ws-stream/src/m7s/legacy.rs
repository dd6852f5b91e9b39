//! FLV as an original reads it: legacy headers only, one track of pictures and one of sound.
//!
//! An original knows no enhanced FLV. H.265 goes out with `CodecID` 12, which Chinese encoders and the original use for
//! it; the rest of its header is H.264's.

use bytes::{Bytes, BytesMut};
use sluicegate_flv::amf0::{self, Value};
use sluicegate_hub::Format;
use sluicegate_media::{Codec, Content, Frame, Kind, Timestamp, Track, TrackId, Tracks};

use crate::Error;
use crate::formats::{Container, Flv};

/// `CodecID` of H.265 without enhanced headers.
const HEVC: u8 = 12;
/// File header and `PreviousTagSize0`.
const FILE_HEADER_BYTES: usize = 13;
const TAG_HEADER_BYTES: usize = 11;
/// `PreviousTagSize`.
const TRAILER_BYTES: usize = 4;
/// Headers of a tag and of its codec, and the trailer.
const AROUND_PAYLOAD_BYTES: usize = 32;

/// Whether an original can read the frames of this track. Further tracks of a kind have enhanced forms only.
fn is_carried(track: TrackId, codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 => track == TrackId::VIDEO,
        Codec::Aac | Codec::G711A | Codec::G711U => track == TrackId::AUDIO,
        _ => false,
    }
}

/// The tracks that an original gets. Sound that it cannot read is left out beside pictures that it can.
///
/// # Errors
/// [`Error::Codec`] when what the stream is about, its pictures if it has any, cannot be read there.
pub(super) fn carried(tracks: &Tracks) -> Result<Tracks, Error> {
    let is_carried = |track: &&Track| is_carried(track.id, track.codec);
    let kind = if tracks.has(Kind::Video) { Kind::Video } else { Kind::Audio };
    match tracks.first(kind) {
        Some(first) if !tracks.iter().filter(|track| track.kind() == kind).any(|track| is_carried(&track)) => {
            Err(Error::Codec { container: Container::Flv, codec: first.codec })
        }
        _ => Ok(tracks.iter().filter(is_carried).cloned().collect()),
    }
}

/// The first two messages: the file header, and the metadata of `tracks`.
pub(super) fn beginning(tracks: &Tracks, at: Timestamp) -> [Bytes; 2] {
    let mut head = Flv.head(tracks, true, at);
    let file_header = head.split_to(FILE_HEADER_BYTES.min(head.len()));
    let size = match head.as_ref() {
        [_, a, b, c, ..] => usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or_default(),
        _ => 0,
    };
    let metadata = head.split_to(size.saturating_add(TAG_HEADER_BYTES + TRAILER_BYTES).min(head.len()));
    let is_h265 = tracks.first(Kind::Video).is_some_and(|track| track.codec == Codec::H265);
    let metadata = if is_h265 { with_legacy_number(&metadata, at).unwrap_or(metadata) } else { metadata };
    [file_header, metadata]
}

/// The metadata with `videocodecid` as the tags have it; the writer of enhanced FLV gives the `FourCC`.
fn with_legacy_number(metadata: &Bytes, at: Timestamp) -> Option<Bytes> {
    let end = metadata.len().checked_sub(TRAILER_BYTES)?;
    let mut values = amf0::decode(metadata.get(TAG_HEADER_BYTES..end).map(Bytes::copy_from_slice)?).ok()?;
    let members = values.iter_mut().find_map(|value| match value {
        Value::EcmaArray(members) => Some(members),
        _ => None,
    })?;
    let (_, number) = members.iter_mut().find(|(name, _)| name == "videocodecid")?;
    *number = Value::Number(f64::from(HEVC));
    let (mut body, mut out) = (BytesMut::new(), BytesMut::new());
    values.iter().for_each(|value| amf0::encode(value, &mut body));
    sluicegate_flv::write_frame(&Frame::media(TrackId::DATA, Codec::Amf0, at, body.freeze()), &mut out);
    Some(out.freeze())
}

/// The decoder configuration of a track as a tag; `None` for a codec that has none.
pub(super) fn configuration(track: &Track, at: Timestamp) -> Option<Bytes> {
    let configured = !track.configuration.is_empty();
    configured.then(|| tag(&Frame::configuration(track.id, track.codec, at, track.configuration.clone())))?
}

/// A frame as one whole tag with its `PreviousTagSize`; `None` for what an original cannot read, and for what it takes
/// in no place but the beginning.
pub(super) fn tag(frame: &Frame) -> Option<Bytes> {
    // The end of a sound track would read as an empty decoder configuration.
    let silent_end = frame.kind() == Kind::Audio && frame.content == Content::End;
    if silent_end || !is_carried(frame.track, frame.codec) {
        return None;
    }
    let mut out = BytesMut::with_capacity(frame.payload.len().saturating_add(AROUND_PAYLOAD_BYTES));
    if frame.codec == Codec::H265 {
        sluicegate_flv::write_frame(&Frame { codec: Codec::H264, ..frame.clone() }, &mut out);
        let first = out.get_mut(TAG_HEADER_BYTES)?;
        *first = *first & 0xf0 | HEVC;
    } else {
        sluicegate_flv::write_frame(frame, &mut out);
    }
    Some(out.freeze())
}

#[cfg(test)]
mod tests;
