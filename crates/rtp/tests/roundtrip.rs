//! What is packed comes back as it was, whatever the network does to it; damage never panics.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use sluicegate_media::{Codec, Content, Frame, Kind, Timestamp, Track, TrackId, avc, hevc};
use sluicegate_rtp::{Inbound, Limits, Output, Packet, fuzz_inbound, pack, track_clock_rate, unpack};

const LIMIT: usize = 1_200;
const ID: TrackId = TrackId::VIDEO;
/// x264 and x265, `testsrc` 1280x720; libaom, 642x362.
const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
    0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
const VPS_H265: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
    0x00, 0x5d, 0x95, 0x98, 0x09,
];
const SPS_H265: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x5d, 0xa0,
    0x02, 0x80, 0x80, 0x2d, 0x16, 0x59, 0x59, 0xa4, 0x93, 0x2b, 0xc0, 0x5a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00,
    0x00, 0x03, 0x00, 0x32, 0x10,
];
const PPS_H265: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40];
const AV1C: &[u8] =
    &[0x81, 0x01, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x0c, 0xc5, 0x03, 0x69, 0x36, 0xbe, 0x40, 0x10];

fn track(codec: Codec) -> Track {
    let configuration = match codec {
        Codec::H264 => avc::record(SPS, &[PPS]).unwrap(),
        Codec::H265 => hevc::record(VPS_H265, SPS_H265, &[PPS_H265]).unwrap(),
        Codec::Av1 => AV1C.to_vec(),
        // 48 kHz, two channels.
        Codec::Aac => vec![0x11, 0x90],
        _ => Vec::new(),
    };
    Track::new(ID, codec, configuration.into()).unwrap()
}

/// A payload of the codec that is as long as asked for.
fn payload(codec: Codec, key: bool, length: usize) -> Bytes {
    let filled = |first: &[u8]| [first, &vec![0x5a; length]].concat();
    let unit = |first: &[u8]| {
        let unit = filled(first);
        [&u32::try_from(unit.len()).unwrap().to_be_bytes()[..], &unit].concat()
    };
    Bytes::from(match codec {
        Codec::H264 => [unit(&[if key { 0x65 } else { 0x41 }]), unit(&[0x06])].concat(),
        Codec::H265 => unit(&[if key { 19 << 1 } else { 1 << 1 }, 1]),
        Codec::Av1 => {
            // An OBU_FRAME with its size, behind the sequence header if it is a key frame.
            let header = if key { &AV1C[4..] } else { &[] };
            let [low, high] = [0x80 | (length & 0x7f), length >> 7].map(|byte| u8::try_from(byte & 0xff).unwrap());
            [header, &[6 << 3 | 2, low, high], &vec![0x5a; length]].concat()
        }
        Codec::Vp8 => filled(&[if key { 0x10 } else { 0x11 }]),
        _ => filled(&[0x80]),
    })
}

fn frame(codec: Codec, number: usize, length: usize) -> Frame {
    let key = number.is_multiple_of(10) || codec.kind() == Kind::Audio;
    let at = Timestamp::from_millis(i64::try_from(number).unwrap() * 20);
    Frame::media(ID, codec, at, payload(codec, key, length)).with_key(key)
}

/// The packets of frames, numbered.
fn packets(frames: &[Frame], from: u16) -> Vec<Packet> {
    let mut all = BytesMut::new();
    frames.iter().for_each(|frame| pack(frame, &track(frame.codec), LIMIT, &mut all));
    let packed = unpack(all.freeze());
    assert!(packed.iter().all(|packet| packet.payload.len() <= LIMIT && !packet.payload.is_empty()));
    let number = |(packet, sequence): (sluicegate_rtp::Packed, u16)| Packet {
        sequence,
        timestamp: packet.timestamp,
        marker: packet.marker,
        payload: packet.payload,
    };
    packed.into_iter().zip((0..).map(|step: u16| from.wrapping_add(step))).map(number).collect()
}

fn receive(inbound: &mut Inbound, now: Instant, packets: impl IntoIterator<Item = Packet>) -> Vec<Output> {
    let mut outputs = Vec::new();
    for packet in packets {
        inbound.handle_packet(now, ID, packet);
        outputs.extend(std::iter::from_fn(|| inbound.poll_output()));
    }
    outputs
}

fn media(outputs: &[Output]) -> Vec<&Frame> {
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Frame(frame) if frame.content == Content::Media => Some(frame),
        _ => None,
    });
    frames.collect()
}

fn inbound(codec: Codec) -> Inbound {
    let mut inbound = Inbound::new(Limits::default());
    inbound.add_track_at(ID, codec, track_clock_rate(&track(codec)));
    inbound
}

const CODECS: [Codec; 7] = [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8, Codec::Vp9, Codec::Opus, Codec::Aac];

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(CODECS.to_vec())
}

#[test]
fn configurations_come_back_from_parameter_sets() {
    for codec in [Codec::H264, Codec::H265, Codec::Av1] {
        let outputs = receive(&mut inbound(codec), Instant::now(), packets(&[frame(codec, 0, 50)], 0));
        let Some(Output::Frame(configuration)) = outputs.first() else { panic!("{codec}: {outputs:?}") };
        assert_eq!(
            (configuration.content, &configuration.payload),
            (Content::Configuration, &track(codec).configuration)
        );
        assert!(media(&outputs)[0].key, "{codec}");
    }
}

#[test]
fn lost_pictures_ask_for_a_key_frame_and_wait_for_it() {
    let frames: Vec<_> = (0..20).map(|number| frame(Codec::H264, number, 3_000)).collect();
    let mut sent = packets(&frames, 65_500);
    // The third picture has the packets 13 to 18.
    sent.remove(15);
    let (mut inbound, now) = (inbound(Codec::H264), Instant::now());
    let before = receive(&mut inbound, now, sent);
    assert_eq!(media(&before).len(), 2);
    assert_eq!(inbound.poll_timeout(), Some(now + Limits::default().patience));
    let later = now + Limits::default().patience;
    inbound.handle_timeout(later);
    let after: Vec<_> = std::iter::from_fn(|| inbound.poll_output()).collect();
    assert_eq!(after.first(), Some(&Output::KeyFrameWanted(ID)));
    let shown: Vec<_> = media(&after).iter().map(|frame| frame.dts.millis()).collect();
    assert_eq!(shown, (10..20).map(|number| number * 20).collect::<Vec<_>>());
}

/// So many are lost that the numbers tell nothing any more.
#[test]
fn pictures_behind_a_long_gap_wait_for_a_key_frame() {
    let (mut inbound, now) = (inbound(Codec::Vp8), Instant::now());
    let frames: Vec<_> = (0..23).map(|number| frame(Codec::Vp8, number, 100)).collect();
    assert_eq!(media(&receive(&mut inbound, now, packets(&frames[..3], 65_500))).len(), 3);
    let outputs = receive(&mut inbound, now, packets(&frames[13..], 10_000));
    assert_eq!(outputs.first(), Some(&Output::KeyFrameWanted(ID)));
    assert_eq!(media(&outputs).len(), 3, "those from the key frame on");
}

#[test]
fn a_stream_joined_in_the_middle_waits_for_a_key_frame() {
    let frames: Vec<_> = (5..12).map(|number| frame(Codec::Vp8, number, 100)).collect();
    let outputs = receive(&mut inbound(Codec::Vp8), Instant::now(), packets(&frames, 7));
    assert_eq!(outputs.first(), Some(&Output::KeyFrameWanted(ID)));
    assert_eq!(media(&outputs).len(), 2);
}

#[test]
fn sound_goes_on_after_a_loss() {
    let frames: Vec<_> = (0..5).map(|number| frame(Codec::Opus, number, 100)).collect();
    let mut sent = packets(&frames, 7);
    sent.remove(2);
    let (mut inbound, now) = (inbound(Codec::Opus), Instant::now());
    assert_eq!(media(&receive(&mut inbound, now, sent)).len(), 2);
    inbound.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(std::iter::from_fn(|| inbound.poll_output()).count(), 2);
}

proptest! {
    #[test]
    fn frames_come_back_in_any_order_of_packets(
        codec in any_codec(),
        lengths in prop::collection::vec(0usize..5_000, 1..12),
        swaps in prop::collection::vec((1usize..40, 1usize..6), 0..20),
        from: u16,
    ) {
        let length = |length: usize| match codec {
            Codec::Opus => length % 1_000,
            // The length's own length is two bytes in the sample.
            Codec::Av1 => length + 128,
            // A slice has more than the two bytes of its header.
            Codec::H265 => length + 1,
            _ => length,
        };
        let frames: Vec<_> =
            lengths.iter().enumerate().map(|(number, &long)| frame(codec, number, length(long))).collect();
        let mut sent = packets(&frames, from);
        // The first stays: a receiver counts from there.
        for (at, by) in swaps {
            let (at, other) = (at % sent.len(), (at + by) % sent.len());
            if at > 0 && other > 0 {
                sent.swap(at, other);
            }
        }
        let outputs = receive(&mut inbound(codec), Instant::now(), sent);
        let back = media(&outputs);
        prop_assert_eq!(back.len(), frames.len());
        for (back, frame) in back.iter().zip(&frames) {
            // The supplemental information of a length of 1 is kept; times are to a tick.
            prop_assert_eq!(&back.payload, &frame.payload);
            prop_assert_eq!((back.key, back.dts.millis()), (frame.key, frame.dts.millis()));
        }
    }

    #[test]
    fn damage_never_panics(
        codec in any_codec(),
        damage in prop::collection::vec((0usize..10_000, any::<u8>()), 0..10),
        cut in prop::collection::vec(0usize..60, 0..5),
    ) {
        let frames: Vec<_> = (0..8).map(|number| frame(codec, number, 700 + number * 200)).collect();
        let mut sent = packets(&frames, 9);
        for (at, value) in damage {
            let count = sent.len();
            let packet = &mut sent[at % count];
            let mut bytes = packet.payload.to_vec();
            let length = bytes.len();
            bytes[at % length.min(24)] = value;
            packet.payload = bytes.into();
        }
        for at in cut {
            let count = sent.len();
            let packet = &mut sent[at % count];
            packet.payload = packet.payload.slice(..at.min(packet.payload.len()));
        }
        let mut inbound = inbound(codec);
        let now = Instant::now();
        receive(&mut inbound, now, sent);
        inbound.handle_timeout(now + Duration::from_secs(1));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_inbound(&bytes);
    }

    #[test]
    fn any_payload_can_be_packed(codec in any_codec(), key: bool, bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let frame = Frame::media(ID, codec, Timestamp::ZERO, bytes.into()).with_key(key);
        let mut out = BytesMut::new();
        pack(&frame, &track(codec), LIMIT, &mut out);
        prop_assert!(unpack(out.freeze()).iter().all(|packet| packet.payload.len() <= LIMIT));
    }
}
