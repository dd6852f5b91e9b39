//! Bytes from frames, and back.

use super::*;
use crate::{Limits, Reader};
use bytes::Bytes;
use proptest::prelude::*;
use sluicegate_media::Track;

fn written(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    write_frame(frame, &mut out);
    out.freeze()
}

fn read(bytes: Bytes) -> Vec<Frame> {
    let mut reader = Reader::new(Limits::default());
    reader.handle_bytes(bytes);
    std::iter::from_fn(|| reader.poll_frame().unwrap()).collect()
}

#[test]
fn a_head_has_header_metadata_and_configurations() {
    let track = Track::new(TrackId::AUDIO, Codec::Aac, Bytes::from_static(b"\x12\x10")).unwrap();
    let tracks = Tracks::from_iter([track]);
    let mut out = BytesMut::new();
    write_head(&tracks, true, Timestamp::from_millis(7), &mut out);
    assert_eq!(&out[..13], b"FLV\x01\x04\x00\x00\x00\x09\x00\x00\x00\x00");
    let needles: [&[u8]; 3] = [b"onMetaData", b"audiosamplerate\x00\x40\xe5\x88\x80", b"stereo\x01\x01"];
    for needle in needles {
        assert!(out.windows(needle.len()).any(|window| window == needle));
    }
    assert!(out.ends_with(b"\x08\x00\x00\x04\x00\x00\x07\x00\x00\x00\x00\xaf\x00\x12\x10\x00\x00\x00\x0f"));
    let mut again = BytesMut::new();
    write_head(&tracks, false, Timestamp::ZERO, &mut again);
    assert_eq!(again[0], 18, "a player that goes on gets no file header");
}

#[test]
fn codecs_with_a_legacy_form_keep_it() {
    let picture = Frame::media(TrackId::VIDEO, Codec::H264, Timestamp::ZERO, vec![9].into()).with_key(true);
    assert_eq!(&written(&picture)[11..17], b"\x17\x01\x00\x00\x00\x09");
    let sound = Frame::media(TrackId::AUDIO, Codec::G711A, Timestamp::ZERO, vec![9].into());
    assert_eq!(&written(&sound)[11..13], b"\x72\x09");
}

#[test]
fn other_codecs_are_enhanced() {
    let picture = Frame::media(TrackId::VIDEO, Codec::H265, Timestamp::ZERO, vec![9].into());
    assert_eq!(&written(&picture)[11..17], b"\xa3hvc1\x09");
    let later = picture.with_composition_offset(Timestamp::from_millis(-40));
    assert_eq!(&written(&later)[11..20], b"\xa1hvc1\xff\xff\xd8\x09");
    let sound = Frame::media(TrackId::AUDIO, Codec::Opus, Timestamp::ZERO, vec![9].into());
    assert_eq!(&written(&sound)[11..17], b"\x91Opus\x09");
}

fn frames() -> impl Strategy<Value = Frame> {
    let codecs = [
        Codec::H264,
        Codec::H265,
        Codec::Av1,
        Codec::Vp8,
        Codec::Vp9,
        Codec::Aac,
        Codec::Opus,
        Codec::Mp3,
        Codec::G711A,
        Codec::G711U,
        Codec::Ac3,
        Codec::Eac3,
        Codec::Flac,
    ];
    let numbers = (0..codecs.len(), 0u8..20, 0i64..1 << 31, -1000i64..1000);
    (numbers, any::<bool>(), prop::collection::vec(any::<u8>(), 1..50), 0u8..4).prop_map(
        move |((codec, number, millis, offset), key, payload, content)| {
            let codec = codecs[codec];
            let kind = if codec.kind() == Kind::Video { TagKind::Video } else { TagKind::Audio };
            let legacy_only = FourCc::of(codec).is_none();
            let track = reader::track_id(if legacy_only { 0 } else { number }, kind).unwrap();
            let at = Timestamp::from_millis(millis);
            if content == 0 && !legacy_only && codec != Codec::Mp3 {
                return Frame::configuration(track, codec, at, payload.into());
            }
            let has_offset = matches!(codec, Codec::H264 | Codec::H265);
            let offset = Timestamp::from_millis(if has_offset { offset } else { 0 });
            let frame = Frame::media(track, codec, at, payload.into()).with_composition_offset(offset);
            if codec.kind() == Kind::Video { frame.with_key(key) } else { frame }
        },
    )
}

proptest! {
    #[test]
    fn frames_survive_the_round_trip(frame in frames()) {
        prop_assert_eq!(read(written(&frame)), vec![frame]);
    }
}
