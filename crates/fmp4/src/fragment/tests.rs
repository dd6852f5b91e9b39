//! Fragments field by field, and the sizes of their boxes for any frames.

use super::*;
use proptest::prelude::*;
use sluicegate_media::{Codec, TrackId};

fn tracks() -> Tracks {
    let opus = Track::new(TrackId::AUDIO, Codec::Opus, Bytes::new()).unwrap();
    let configuration = b"\x81\x01\x0c\x00\x0a\x0b\x00\x00\x00\x0c\xc5\x03\x69\x36\xbe\x40\x10";
    let av1 = Track::new(TrackId::VIDEO, Codec::Av1, Bytes::from_static(configuration)).unwrap();
    Tracks::from_iter([opus, av1])
}

fn picture(millis: i64, payload: &'static [u8]) -> Frame {
    Frame::media(TrackId::VIDEO, Codec::Av1, Timestamp::from_millis(millis), Bytes::from_static(payload))
}

fn sound(millis: i64, payload: &'static [u8]) -> Frame {
    Frame::media(TrackId::AUDIO, Codec::Opus, Timestamp::from_millis(millis), Bytes::from_static(payload))
}

#[test]
fn a_picture_with_the_sound_that_rides_along() {
    let frames = [sound(0, b"ss"), sound(20, b"sss"), picture(40, b"ppppp").with_key(true)];
    let made = fragment(7, &tracks(), &frames).unwrap();
    let golden = [
        &b"\x00\x00\x00\xc8moof"[..],
        b"\x00\x00\x00\x10mfhd\x00\x00\x00\x00\x00\x00\x00\x07",
        b"\x00\x00\x00\x50traf\x00\x00\x00\x10tfhd\x00\x02\x00\x00\x00\x00\x00\x01",
        b"\x00\x00\x00\x14tfdt\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0e\x10", // 40 ms at 90 kHz
        b"\x00\x00\x00\x24trun\x01\x00\x0f\x01\x00\x00\x00\x01\x00\x00\x00\xd0", // one sample, behind the headers
        b"\x00\x00\x0e\x10\x00\x00\x00\x05\x02\x00\x00\x00\x00\x00\x00\x00",     // 40 ms assumed, 5 bytes, a key frame
        b"\x00\x00\x00\x60traf\x00\x00\x00\x10tfhd\x00\x02\x00\x00\x00\x00\x00\x02",
        b"\x00\x00\x00\x14tfdt\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x34trun\x01\x00\x0f\x01\x00\x00\x00\x02\x00\x00\x00\xd5", // two samples, behind the picture
        b"\x00\x00\x03\xc0\x00\x00\x00\x02\x02\x00\x00\x00\x00\x00\x00\x00",     // 20 ms up to the next at 48 kHz
        b"\x00\x00\x07\x80\x00\x00\x00\x03\x02\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x12mdatpppppsssss",
    ]
    .concat();
    assert_eq!(made, golden);
}

#[test]
fn composition_offsets_may_be_negative_and_durations_are_told() {
    let mut frame = picture(0, b"p").with_composition_offset(Timestamp::from_millis(-10));
    frame.duration = Some(Timestamp::from_millis(20));
    let made = fragment(1, &tracks(), &[frame]).unwrap();
    let sample = b"\x00\x00\x07\x08\x00\x00\x00\x01\x01\x01\x00\x00\xff\xff\xfc\x7c";
    assert!(made.windows(sample.len()).any(|window| window == sample));
}

#[test]
fn nothing_is_made_of_nothing() {
    let other = Frame::media(TrackId::DATA, Codec::Amf0, Timestamp::ZERO, Bytes::from_static(b"x"));
    let configuration = Frame::configuration(TrackId::AUDIO, Codec::Opus, Timestamp::ZERO, Bytes::from_static(b"x"));
    assert_eq!(fragment(1, &tracks(), &[other, configuration]), None);
}

/// Walks boxes; containers are walked inside.
fn boxes_add_up(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (size, kind) = (u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize, &rest[4..8]);
        if size < 8 || size > rest.len() || (matches!(kind, b"moof" | b"traf") && !boxes_add_up(&rest[8..size])) {
            return false;
        }
        rest = &rest[size..];
    }
    true
}

proptest! {
    #[test]
    fn boxes_add_up_for_any_frames(
        frames in prop::collection::vec((any::<bool>(), any::<i64>(), any::<i64>(), any::<bool>(), 0usize..100), 0..20),
    ) {
        let frames: Vec<Frame> = frames.into_iter().map(|(is_sound, dts, offset, key, size)| {
            let (track, codec) = if is_sound { (TrackId::AUDIO, Codec::Opus) } else { (TrackId::VIDEO, Codec::Av1) };
            let frame = Frame::media(track, codec, Timestamp::from_nanos(dts), vec![0; size].into());
            frame.with_key(key).with_composition_offset(Timestamp::from_nanos(offset))
        }).collect();
        match fragment(1, &tracks(), &frames) {
            Some(made) => prop_assert!(boxes_add_up(&made)),
            None => prop_assert!(frames.is_empty()),
        }
    }
}
