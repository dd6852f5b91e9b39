//! Frames from bytes.

use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

fn tag(kind: TagKind, timestamp: u32, data: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    Tag { kind, timestamp, data: Bytes::copy_from_slice(data), offset: 0 }.encode(&mut out);
    out.freeze()
}

fn frames(tags: impl IntoIterator<Item = Bytes>) -> Result<Vec<Frame>, Error> {
    let mut reader = Reader::new(Limits::default());
    tags.into_iter().for_each(|tag| reader.handle_bytes(tag));
    std::iter::from_fn(|| reader.poll_frame().transpose()).collect()
}

#[test]
fn rounded_sound_gets_its_exact_times_back() {
    let rounded = [0, 23, 46, 70, 93, 116];
    let sounds = rounded.map(|millis| tag(TagKind::Audio, millis, b"\xaf\x01\x21"));
    let configuration = tag(TagKind::Audio, 0, b"\xaf\x00\x12\x10");
    let frames = frames(std::iter::once(configuration).chain(sounds)).unwrap();
    let exact: Vec<_> = frames[1..].iter().map(|frame| frame.dts.nanos()).collect();
    assert_eq!(exact, [0, 23_219_955, 46_439_910, 69_659_865, 92_879_820, 116_099_775]);
}

#[test]
fn an_empty_configuration_is_left_out() {
    let tags = [&b"\x90av01"[..], b"\x90av01\x81\0\x0c\0"].map(|data| tag(TagKind::Video, 0, data));
    let frames = frames(tags).unwrap();
    assert_eq!(frames.iter().map(|frame| &frame.payload[..]).collect::<Vec<_>>(), [&b"\x81\0\x0c\0"[..]]);
    assert!(self::frames([tag(TagKind::Audio, 0, b"\xaf\0")]).unwrap().is_empty());
}

#[test]
fn a_gap_in_the_sound_stays_a_gap() {
    let configuration = tag(TagKind::Audio, 0, b"\xaf\x00\x12\x10");
    let sounds = [0, 23, 500].map(|millis| tag(TagKind::Audio, millis, b"\xaf\x01\x21"));
    let frames = frames(std::iter::once(configuration).chain(sounds)).unwrap();
    assert_eq!(frames[3].dts.millis(), 500);
}

#[test]
fn timestamps_go_on_after_they_wrap() {
    let pictures = [u32::MAX - 19, 20].map(|millis| tag(TagKind::Video, millis, b"\x27\x01\0\0\0\x01"));
    let frames = frames(pictures).unwrap();
    assert_eq!(frames[1].dts.saturating_sub(frames[0].dts).millis(), 40);
}

#[test]
fn metadata_is_no_frame_but_other_script_data_is() {
    let metadata = tag(TagKind::Script, 0, b"\x02\x00\x0aonMetaData\x05");
    let cue = tag(TagKind::Script, 10, b"\x02\x00\x0aonCuePoint\x05");
    let damaged = tag(TagKind::Script, 10, b"\xee");
    let frames = frames([metadata, cue, damaged]).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].track, frames[0].codec, frames[0].dts.millis()), (TrackId::DATA, Codec::Amf0, 10));
}

#[test]
fn unsupported_codecs_are_counted_and_the_rest_goes_on() {
    let mut reader = Reader::new(Limits::default());
    reader.handle_bytes(tag(TagKind::Audio, 0, b"\xb2speex"));
    reader.handle_bytes(tag(TagKind::Video, 0, b"\x17\x01\0\0\0\x01"));
    assert!(reader.poll_frame().unwrap().is_some());
    assert_eq!(reader.unsupported(), Some((1, &Fault::Codec { kind: "audio", got: 11 })));
}

#[test]
fn a_damaged_tag_is_named_by_its_place() {
    let bytes = [tag(TagKind::Video, 0, b"\x17\x01\0\0\0\x01"), tag(TagKind::Video, 0, b"\x17\x01")];
    assert!(matches!(frames(bytes), Err(Error::Tag { offset: 21, source: Fault::Truncated { .. } })));
}

#[test]
fn a_payload_in_one_piece_is_shared() {
    let bytes = tag(TagKind::Video, 0, b"\x17\x01\0\0\0\x01\x02\x03");
    let frames = frames([bytes.clone()]).unwrap();
    assert_eq!(frames[0].payload.as_ptr(), bytes[16..].as_ptr());
}

proptest! {
    #[test]
    fn track_numbers_survive_the_round_trip(number in 0..=MAX_TRACK) {
        for kind in [TagKind::Video, TagKind::Audio] {
            prop_assert_eq!(track_number(track_id(number, kind).unwrap()), number);
        }
    }
}
