//! Init segments field by field.

use super::*;
use sluicegate_media::TrackId;

const AVC: &[u8] = b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0";

fn track(id: TrackId, codec: Codec, configuration: &'static [u8]) -> Track {
    Track::new(id, codec, Bytes::from_static(configuration)).unwrap()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn pictures_and_sound() {
    let tracks =
        Tracks::from_iter([track(TrackId::VIDEO, Codec::H264, AVC), track(TrackId::AUDIO, Codec::Aac, b"\x12\x10")]);
    assert_eq!(mime(&tracks).unwrap(), "video/mp4; codecs=\"avc1.64001F,mp4a.40.2\"");
    let init = init_segment(&tracks).unwrap();
    assert!(init.starts_with(b"\x00\x00\x00\x1cftypiso6"));
    assert!(contains(&init, b"avc1\0\0\0\0\0\0\0\x01"));
    assert!(contains(&init, &[b"avcC", AVC].concat()));
    assert!(contains(
        &init,
        b"esds\0\0\0\0\x03\x19\0\0\0\x04\x11\x40\x15\0\0\0\0\0\0\0\0\0\0\0\x05\x02\x12\x10\x06\x01\x02"
    ));
    assert!(contains(&init, b"mdhd\0\0\0\0\0\0\0\0\0\0\0\0\x00\x00\xac\x44"), "sound has the clock of its rate");
    assert!(contains(&init, b"mdhd\0\0\0\0\0\0\0\0\0\0\0\0\x00\x01\x5f\x90"), "pictures have 90 kHz");
}

#[test]
fn opus_with_and_without_its_head() {
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
    for configuration in [&head[..], b""] {
        let tracks = Tracks::from_iter([track(TrackId::AUDIO, Codec::Opus, configuration)]);
        let init = init_segment(&tracks).unwrap();
        assert!(contains(&init, b"\x00\x00\x00\x13dOps\x00\x02\x01\x38\x00\x00\xbb\x80\x00\x00\x00"));
    }
}

#[test]
fn tracks_that_mp4_cannot_carry_are_left_out() {
    let sound = track(TrackId::AUDIO, Codec::G711A, b"");
    assert_eq!(init_segment(&Tracks::from_iter([sound.clone()])), Err(Error::NoTrack));
    let tracks = Tracks::from_iter([track(TrackId::VIDEO, Codec::H264, AVC), sound]);
    assert_eq!(mime(&tracks).unwrap(), "video/mp4; codecs=\"avc1.64001F\"");
    assert!(!contains(&init_segment(&tracks).unwrap(), b"soun"));
}
