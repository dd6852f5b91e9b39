//! Video headers field by field, as E-RTMP v2 lays them out.

use super::*;

fn one(bytes: &'static [u8]) -> Packet {
    let mut packets = parse(Bytes::from_static(bytes)).unwrap();
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

#[test]
fn legacy_h264_with_negative_composition_time() {
    let packet = one(b"\x27\x01\xff\xff\xd8\x01\x02");
    assert_eq!((packet.codec, packet.content, packet.key), (Codec::H264, Content::CodedFrames, false));
    assert_eq!((packet.composition_time, packet.body.as_ref()), (-40, &[1, 2][..]));
    assert_eq!(one(b"\x17\x00\x00\x00\x00\x01").content, Content::SequenceStart);
    assert_eq!(one(b"\x17\x02\x00\x00\x00").content, Content::SequenceEnd);
}

#[test]
fn h265_by_custom_number() {
    assert_eq!(one(b"\x1c\x01\x00\x00\x00\x01").codec, Codec::H265);
}

#[test]
fn enhanced_headers() {
    let packet = one(b"\x91hvc1\x00\x00\x28\x09");
    assert_eq!((packet.codec, packet.key, packet.composition_time), (Codec::H265, true, 40));
    let packet = one(b"\xa3hvc1\x09");
    assert_eq!((packet.key, packet.composition_time, packet.body.as_ref()), (false, 0, &[9][..]));
    let packet = one(b"\x91av01\x0a\x0b");
    assert_eq!((packet.codec, packet.body.as_ref()), (Codec::Av1, &[0x0a, 0x0b][..]), "AV1 has no composition time");
    assert_eq!(one(b"\x90vp09\x01").content, Content::SequenceStart);
    assert_eq!(one(b"\xd4hvc1\x02").content, Content::Metadata);
    assert_eq!(one(b"\x95av01\x02").content, Content::Mpeg2TsSequenceStart);
}

#[test]
fn mod_ex_with_a_nanosecond_offset_and_an_unknown_one() {
    let packet = one(b"\x97\x02\x00\x03\xe8\x01avc1\x00\x00\x00\x05");
    assert_eq!((packet.codec, packet.nanoseconds), (Codec::H264, 1_000));
    let packet = one(b"\x97\x00\xff\x17\x02\x00\x03\xe8\x03avc1\x05");
    assert_eq!((packet.nanoseconds, packet.body.as_ref()), (1_000, &[5][..]), "types that are not defined are skipped");
}

#[test]
fn multitrack_forms() {
    assert_eq!(one(b"\x96\x03hvc1\x02\x09").track, 2, "OneTrack");
    let many = parse(Bytes::from_static(b"\x96\x13hvc1\x00\x00\x00\x01\x08\x01\x00\x00\x01\x09")).unwrap();
    assert_eq!(many.iter().map(|packet| (packet.track, packet.body[0])).collect::<Vec<_>>(), [(0, 8), (1, 9)]);
    let codecs =
        parse(Bytes::from_static(b"\x96\x23hvc1\x00\x00\x00\x01\x08vvc1\x01\x00\x00\x01\x07av01\x02\x00\x00\x01\x09"));
    let codecs = codecs.unwrap();
    assert_eq!(codecs.iter().map(|packet| packet.codec).collect::<Vec<_>>(), [Codec::H265, Codec::Av1]);
}

#[test]
fn commands_carry_no_picture() {
    assert!(parse(Bytes::from_static(b"\x57\x00")).unwrap().is_empty());
    assert!(parse(Bytes::from_static(b"\xd1\x00")).unwrap().is_empty());
}

#[test]
fn faults_name_what_is_wrong() {
    assert_eq!(parse(Bytes::from_static(b"\x12\x00")), Err(Fault::Codec { kind: "video", got: 2 }));
    assert_eq!(
        parse(Bytes::from_static(b"\x17\x09\x00\x00\x00")),
        Err(Fault::Undefined { field: "AVCPacketType", got: 9 })
    );
    assert_eq!(parse(Bytes::from_static(b"\x91vvc1")), Err(Fault::FourCc(FourCc(*b"vvc1"))));
    assert_eq!(parse(Bytes::from_static(b"\x9fhvc1")), Err(Fault::Undefined { field: "VideoPacketType", got: 15 }));
    assert!(matches!(parse(Bytes::from_static(b"\x17\x01")), Err(Fault::Truncated { .. })));
}
