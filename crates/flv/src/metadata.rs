//! `onMetaData` made from what the tracks' configurations say (FLV E.5).

use bytes::BytesMut;
use sluicegate_media::{Codec, Kind, Track, Tracks};

use crate::FourCc;
use crate::amf0::{Value, encode};

/// Appends the script data of an `onMetaData` tag.
pub(crate) fn put(tracks: &Tracks, out: &mut BytesMut) {
    let mut members = Vec::new();
    if let Some(track) = tracks.first(Kind::Video) {
        picture(track, &mut members);
    }
    if let Some(track) = tracks.first(Kind::Audio) {
        sound(track, &mut members);
    }
    encode(&Value::String("onMetaData".into()), out);
    encode(&Value::EcmaArray(members), out);
}

fn picture(track: &Track, members: &mut Vec<(String, Value)>) {
    number(members, "width", track.video.width);
    number(members, "height", track.video.height);
    number(members, "videocodecid", if track.codec == Codec::H264 { 7 } else { fourcc_number(track.codec) });
}

fn sound(track: &Track, members: &mut Vec<(String, Value)>) {
    number(members, "audiosamplerate", track.audio.sample_rate);
    if track.audio.channels > 0 {
        members.push(("stereo".into(), Value::Boolean(track.audio.channels > 1)));
    }
    let codec = match track.codec {
        Codec::Aac => 10,
        Codec::Mp3 => 2,
        Codec::G711A => 7,
        Codec::G711U => 8,
        codec => fourcc_number(codec),
    };
    number(members, "audiocodecid", codec);
}

/// E-RTMP, "Metadata": the `FourCC` as a number.
fn fourcc_number(codec: Codec) -> u32 {
    FourCc::of(codec).map_or(0, |name| u32::from_be_bytes(name.0))
}

/// A number that is known: 0 means that the configuration does not tell.
fn number(members: &mut Vec<(String, Value)>, name: &str, value: u32) {
    if value != 0 {
        members.push((name.into(), Value::Number(f64::from(value))));
    }
}
