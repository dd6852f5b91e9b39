//! Audio headers field by field, as E-RTMP v2 lays them out.

use super::*;

fn one(bytes: &'static [u8]) -> Packet {
    let mut packets = parse(Bytes::from_static(bytes)).unwrap();
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

#[test]
fn legacy_formats() {
    assert_eq!(one(b"\xaf\x00\x12\x10").content, Content::SequenceStart);
    let packet = one(b"\xaf\x01\x21");
    assert_eq!((packet.codec, packet.content, packet.body.as_ref()), (Codec::Aac, Content::CodedFrames, &[0x21][..]));
    assert_eq!(one(b"\x2f\xff\xfb").codec, Codec::Mp3);
    assert_eq!(one(b"\x72\x55").codec, Codec::G711A);
    assert_eq!(one(b"\x82\x55").codec, Codec::G711U);
}

#[test]
fn enhanced_formats() {
    assert_eq!(one(b"\x90OpusOpusHead").content, Content::SequenceStart);
    assert_eq!(one(b"\x91Opus\xfc").codec, Codec::Opus);
    assert_eq!(one(b"\x91mp4a\x21").codec, Codec::Aac);
    assert_eq!(one(b"\x91ac-3\x0b").codec, Codec::Ac3);
    assert_eq!(one(b"\x92fLaC").content, Content::SequenceEnd);
    assert_eq!(one(b"\x94Opus\x00").content, Content::MultichannelConfig);
    let packet = one(b"\x97\x02\x00\x03\xe8\x01Opus\xfc");
    assert_eq!((packet.nanoseconds, packet.body.as_ref()), (1_000, &[0xfc][..]));
    assert_eq!(one(b"\x95\x01Opus\x03\xfc").track, 3);
}

#[test]
fn faults_name_what_is_wrong() {
    assert_eq!(parse(Bytes::from_static(b"\xb2")), Err(Fault::Codec { kind: "audio", got: 11 }));
    assert_eq!(parse(Bytes::from_static(b"\xaf\x07")), Err(Fault::Undefined { field: "AACPacketType", got: 7 }));
    assert!(matches!(parse(Bytes::new()), Err(Fault::Truncated { .. })));
}
