//! The bytes of tags for an original, and what a reader of FLV makes of them.

use super::*;
use proptest::prelude::*;

/// x265, 1280x720, Main profile: what MP4 stores.
const HVCC: &[u8] = b"\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x5d\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x03\
\xa0\x00\x01\x00\x18\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5d\x95\x98\x09\
\xa1\x00\x01\x00\x2b\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5d\xa0\x02\x80\x80\x2d\x16\
\x59\x59\xa4\x93\x2b\xc0\x5a\x02\x00\x00\x03\x00\x02\x00\x00\x03\x00\x32\x10\xa2\x00\x01\x00\x07\x44\x01\xc1\x72\xb4\
\x62\x40";
const AVCC: &[u8] = b"\x01\x42\xc0\x0d\xff\xe1\x00\x18\x67\x42\xc0\x0d\xd9\x01\x41\xfb\x01\x10\x00\x00\x03\x00\x10\x00\
\x00\x03\x03\x20\xf1\x42\xa4\x80\x01\x00\x05\x68\xcb\x83\xcb\x20";
const AT: Timestamp = Timestamp::ZERO;

fn track(id: TrackId, codec: Codec, configuration: &'static [u8]) -> Track {
    Track::new(id, codec, Bytes::from_static(configuration)).unwrap()
}

fn h265() -> Track {
    track(TrackId::VIDEO, Codec::H265, HVCC)
}

fn aac() -> Track {
    track(TrackId::AUDIO, Codec::Aac, b"\x12\x10")
}

fn g711(id: u8) -> Track {
    track(TrackId(id), Codec::G711A, b"")
}

fn read(bytes: Bytes) -> Vec<Frame> {
    let mut reader = sluicegate_flv::Reader::new(sluicegate_flv::Limits::default());
    reader.handle_bytes(bytes);
    std::iter::from_fn(|| reader.poll_frame().unwrap()).collect()
}

#[test]
fn h265_has_a_legacy_header() {
    let picture = Frame::media(TrackId::VIDEO, Codec::H265, Timestamp::from_millis(0x0102_0304), vec![9].into());
    let inter = tag(&picture.clone().with_composition_offset(Timestamp::from_millis(-40))).unwrap();
    let expected = [
        &b"\x09\x00\x00\x06"[..], // video, 6 bytes
        b"\x02\x03\x04\x01",      // timestamp and its extension
        b"\x00\x00\x00",          // stream
        b"\x2c\x01",              // inter frame of codec 12, a picture
        b"\xff\xff\xd8",          // composition time
        b"\x09\x00\x00\x00\x11",  // payload and PreviousTagSize
    ];
    assert_eq!(inter, expected.concat());
    assert_eq!(tag(&picture.with_key(true)).unwrap()[11..16], *b"\x1c\x01\x00\x00\x00");
    assert_eq!(configuration(&h265(), AT).unwrap()[11..16], *b"\x1c\x00\x00\x00\x00");
}

#[test]
fn the_others_keep_theirs() {
    let media = |id, codec| tag(&Frame::media(id, codec, AT, vec![9].into())).map(|tag| tag[11..].to_vec());
    assert_eq!(media(TrackId::VIDEO, Codec::H264).unwrap()[..2], *b"\x27\x01");
    assert_eq!(media(TrackId::AUDIO, Codec::Aac).unwrap()[..2], *b"\xaf\x01");
    assert_eq!(media(TrackId::AUDIO, Codec::G711A).unwrap()[..2], *b"\x72\x09");
    assert_eq!(media(TrackId::AUDIO, Codec::G711U).unwrap()[..2], *b"\x82\x09");
    for codec in [Codec::Opus, Codec::Mp3, Codec::Flac, Codec::Ac3] {
        assert_eq!(media(TrackId::AUDIO, codec), None);
    }
    for codec in [Codec::Av1, Codec::Vp9, Codec::Vp8] {
        assert_eq!(media(TrackId::VIDEO, codec), None);
    }
    // Further tracks and script data in the middle have no form that an original reads.
    assert_eq!(media(TrackId(7), Codec::H264), None);
    assert_eq!(media(TrackId::DATA, Codec::Amf0), None);
    assert_eq!(tag(&Frame::end(TrackId::AUDIO, Codec::Aac, AT)), None);
    assert_eq!(configuration(&g711(1), AT), None);
}

#[test]
fn a_stream_is_carried_for_its_pictures() {
    let opus = track(TrackId::AUDIO, Codec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0");
    let vp8 = track(TrackId::VIDEO, Codec::Vp8, b"");
    let carried = |tracks: &[&Track]| {
        let tracks = carried(&tracks.iter().copied().cloned().collect());
        tracks.map(|tracks| tracks.iter().map(|track| track.codec).collect::<Vec<_>>())
    };
    assert_eq!(carried(&[&h265(), &aac()]).unwrap(), [Codec::H265, Codec::Aac]);
    assert_eq!(carried(&[&h265(), &opus]).unwrap(), [Codec::H265]);
    assert_eq!(carried(&[&aac(), &g711(5)]).unwrap(), [Codec::Aac]);
    assert_eq!(carried(&[]).unwrap(), []);
    assert!(matches!(carried(&[&vp8, &aac()]), Err(Error::Codec { codec: Codec::Vp8, .. })));
    assert!(matches!(carried(&[&opus]), Err(Error::Codec { codec: Codec::Opus, .. })));
}

#[test]
fn the_beginning_is_two_messages() {
    let number = |metadata: &Bytes, name: &str| {
        let values = amf0::decode(metadata.slice(11..metadata.len() - 4)).unwrap();
        assert_eq!(values[0].as_str(), Some("onMetaData"));
        values[1].get(name).and_then(Value::as_number)
    };
    let avc = track(TrackId::VIDEO, Codec::H264, AVCC);
    for (video, flags, id) in [(Some(h265()), 5, Some(12.0)), (Some(avc), 5, Some(7.0)), (None, 4, None)] {
        let width = video.as_ref().map(|track| f64::from(track.video.width));
        let tracks: Tracks = video.into_iter().chain([aac()]).collect();
        let [header, metadata] = beginning(&tracks, AT);
        assert_eq!(header, [b"FLV\x01", &[flags][..], b"\0\0\0\x09\0\0\0\0"].concat());
        let size = u32::try_from(metadata.len() - 4).unwrap();
        assert!(metadata[0] == 0x12 && metadata.ends_with(&size.to_be_bytes()), "{metadata:x?}");
        assert_eq!(u32::from_be_bytes([0, metadata[1], metadata[2], metadata[3]]), size - 11);
        assert_eq!((number(&metadata, "videocodecid"), number(&metadata, "width")), (id, width));
        assert_eq!(number(&metadata, "audiocodecid"), Some(10.0));
    }
    // A stream of which nothing is known yet has metadata all the same.
    let [header, metadata] = beginning(&Tracks::default(), AT);
    assert_eq!((header[4], metadata[0]), (0, 0x12));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        h265: bool, key: bool, millis in 0i64..100_000_000, offset in -5_000i64..5_000,
        payload in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let codec = if h265 { Codec::H265 } else { Codec::H264 };
        let frame = Frame::media(TrackId::VIDEO, codec, Timestamp::from_millis(millis), payload.into())
            .with_key(key)
            .with_composition_offset(Timestamp::from_millis(offset));
        let bytes = [&b"FLV\x01\x01\0\0\0\x09\0\0\0\0"[..], &tag(&frame).unwrap()].concat();
        prop_assert_eq!(read(bytes.into()), [frame]);
    }
}
