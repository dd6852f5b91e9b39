//! Tags from bytes: golden ones, any split, damaged ones.

use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

fn events(decoder: &mut Decoder) -> Result<Vec<Event>, Error> {
    std::iter::from_fn(|| decoder.poll().transpose()).collect()
}

fn decoded(bytes: &[u8]) -> Result<Vec<Event>, Error> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.handle_bytes(Bytes::copy_from_slice(bytes));
    events(&mut decoder)
}

#[test]
fn a_header_and_a_tag_field_by_field() {
    let bytes = [
        b'F',
        b'L',
        b'V',
        1,
        0b0000_0101,
        0,
        0,
        0,
        9, // signature, version, audio and video, DataOffset
        0,
        0,
        0,
        0, // PreviousTagSize0
        9,
        0,
        0,
        2,
        0,
        0,
        40,
        1,
        0,
        0,
        0, // video, 2 bytes, 40 ms and the upper byte 1, stream 0
        0x17,
        0x02, // data
        0,
        0,
        0,
        13, // PreviousTagSize
    ];
    let tag = Tag { kind: TagKind::Video, timestamp: (1 << 24) + 40, data: b"\x17\x02"[..].into(), offset: 13 };
    let header = Header { audio: true, video: true };
    assert_eq!(decoded(&bytes).unwrap(), [Event::Header(header), Event::Tag(tag.clone())]);
    assert_eq!(header.encode(), bytes[..13]);
    let mut out = BytesMut::new();
    tag.encode(&mut out);
    assert_eq!(out, bytes[13..]);
}

#[test]
fn the_file_header_may_be_missing() {
    let tag = [8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xaf, 0, 0, 0, 12];
    assert_eq!(decoded(&tag).unwrap().len(), 1);
    assert_eq!(decoded(&[&[0, 0, 0, 0], &tag[..]].concat()).unwrap().len(), 1);
}

#[test]
fn a_tag_is_given_before_its_trailer_and_a_wrong_trailer_is_counted() {
    let tag = [8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xaf];
    let mut decoder = Decoder::new(Limits::default());
    decoder.handle_bytes(Bytes::copy_from_slice(&tag));
    assert_eq!(events(&mut decoder).unwrap().len(), 1);
    decoder.handle_bytes(Bytes::from_static(&[0, 0, 0, 99]));
    decoder.handle_bytes(Bytes::copy_from_slice(&tag));
    assert_eq!((events(&mut decoder).unwrap().len(), decoder.wrong_trailers()), (1, 1));
}

#[test]
fn what_is_no_flv_is_refused_with_its_place() {
    assert_eq!(decoded(b"GET / HTTP"), Err(Error::TagType { offset: 0, got: b'G' }));
    assert!(matches!(decoded(b"FLX\x01\x05\0\0\0\x09"), Err(Error::Header { offset: 0, .. })));
    assert!(matches!(decoded(b"FLV\x02\x05\0\0\0\x09"), Err(Error::Header { .. })));
    assert!(matches!(decoded(b"FLV\x01\x05\xff\0\0\x09"), Err(Error::Header { .. })));
    assert_eq!(decoded(&[0x29; 11]), Err(Error::Encrypted { offset: 0 }));
    let large = [9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0];
    assert!(matches!(decoded(&large), Err(Error::TagSize { size: 0x00ff_ffff, .. })));
    let second = [&[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11][..], &[77]].concat();
    assert_eq!(decoded(&second), Err(Error::TagType { offset: 15, got: 77 }));
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.handle_bytes(Bytes::from_static(&[77]));
    assert!(decoder.poll().is_err());
    decoder.handle_bytes(Bytes::from_static(&[8; 30]));
    assert_eq!(decoder.poll(), Err(Error::TagType { offset: 0, got: 77 }));
}

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![Just(TagKind::Audio), Just(TagKind::Video), Just(TagKind::Script)];
    let tag = (kinds, any::<u32>(), prop::collection::vec(any::<u8>(), 0..60));
    (any::<bool>(), prop::collection::vec(tag, 0..8)).prop_map(|(header, tags)| {
        let mut out = BytesMut::new();
        if header {
            out.extend_from_slice(&Header { audio: true, video: false }.encode());
        }
        for (kind, timestamp, data) in tags {
            Tag { kind, timestamp, data: data.into(), offset: 0 }.encode(&mut out);
        }
        out.to_vec()
    })
}

proptest! {
    #[test]
    fn any_split_decodes_alike(bytes in streams(), cuts in prop::collection::vec(1usize..40, 1..40)) {
        let whole = decoded(&bytes);
        let mut decoder = Decoder::new(Limits::default());
        let mut parts = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, left) = rest.split_at(cut.min(rest.len()));
            decoder.handle_bytes(Bytes::copy_from_slice(chunk));
            parts.extend(events(&mut decoder).unwrap());
            rest = left;
        }
        prop_assert_eq!(whole.unwrap(), parts);
    }

    #[test]
    fn damaged_bytes_never_panic(bytes in streams(), at: prop::sample::Index, byte: u8) {
        let mut bytes = bytes;
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decoded(&bytes);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz_reader(&bytes);
    }
}
