//! The original's recorded push, forms that conform, and damage.

use super::*;
use proptest::prelude::*;

/// Everything that a pusher sent; its 101 request is the first 195 bytes.
const RECORDED: &[u8] = include_bytes!("../../../testdata/push.downstream-to-upstream.bin");
const METADATA: &[u8] = include_bytes!("../../../testdata/push-onmetadata.unmasked.bin");
const CORRUPTED: &[u8] = include_bytes!("../../../testdata/concurrent-writers-corruption.upstream-to-downstream.bin");

fn recorded() -> &'static [u8] {
    &RECORDED[195..]
}

fn events(bytes: &[u8], cut: usize) -> Result<Vec<Event>, Violation> {
    let (mut parser, mut all) = (Parser::default(), Vec::new());
    for chunk in bytes.chunks(cut.max(1)) {
        parser.handle_bytes(chunk);
        while let Some(event) = parser.poll()? {
            all.push(event);
        }
    }
    Ok(all)
}

fn flv(bytes: &[u8], cut: usize) -> Vec<u8> {
    let parts = events(bytes, cut).unwrap().into_iter().filter_map(|event| match event {
        Event::Flv(bytes) => Some(bytes),
        _ => None,
    });
    parts.collect::<Vec<_>>().concat()
}

fn frame(first: u8, key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, key, payload.len());
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn header(first: u8, key: [u8; 4], length: usize) -> Vec<u8> {
    let mut out = vec![first];
    match u16::try_from(length) {
        Ok(short @ 0..=125) => out.push(0x80 | short.to_be_bytes()[1]),
        Ok(medium) => out.extend([&[0xfe][..], &medium.to_be_bytes()].concat()),
        Err(_) => out.extend([&[0xff][..], &(length as u64).to_be_bytes()].concat()),
    }
    out.extend(key);
    out
}

fn tag(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap();
    let mut out = vec![kind];
    out.extend(&size.to_be_bytes()[1..]);
    out.extend([0; 7]);
    out.extend(body);
    out.extend((size + 11).to_be_bytes());
    out
}

/// The file header and the metadata, as every pusher sends them.
fn beginning() -> Vec<u8> {
    let head = frame(BINARY, [1, 2, 3, 4], b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
    [head, frame(BINARY, [5, 6, 7, 8], METADATA)].concat()
}

/// A tag behind an outer header, with something in between.
fn quirk(tag: &[u8], between: &[u8]) -> Vec<u8> {
    [header(BINARY, OUTER_KEY, tag.len()), between.to_vec(), frame(BINARY, [9, 8, 7, 6], tag)].concat()
}

#[test]
fn the_recorded_push_becomes_flv() {
    let events = events(recorded(), usize::MAX).unwrap();
    let payloads: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Flv(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(payloads[0], b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..]);
    assert_eq!(payloads[1], METADATA);
    let sizes: Vec<_> = payloads[2..5].iter().map(Bytes::len).collect();
    assert_eq!(sizes, [60, 30_020, 22]);
    let mut reader = sluicegate_flv::Reader::new(sluicegate_flv::Limits::default());
    reader.handle_bytes(payloads.concat().into());
    let mut frames = 0;
    while let Some(_frame) = reader.poll_frame().unwrap() {
        frames += 1;
    }
    assert!(frames > 20, "{frames}");
}

#[test]
fn control_frames_may_sit_anywhere() {
    let (one, two) = (tag(9, &[1; 300]), tag(8, b"sound"));
    let ping = frame(0x89, [1, 1, 1, 1], b"are you there");
    let pongs = frame(0x8a, [1, 1, 1, 1], b"").repeat(3);
    let bytes = [beginning(), quirk(&one, &[ping.clone(), pongs.clone()].concat()), pongs, quirk(&two, b"")].concat();
    for cut in [1, 2, 3, 7, usize::MAX] {
        let events = events(&bytes, cut).unwrap();
        assert_eq!(
            events[2..],
            [Event::Ping("are you there".into()), Event::Flv(one.clone().into()), Event::Flv(two.clone().into())]
        );
    }
    let close = frame(0x88, [3, 3, 3, 3], &1001u16.to_be_bytes());
    assert_eq!(events(&[beginning(), close].concat(), 5).unwrap()[2], Event::Close(Some(1001)));
}

#[test]
fn conforming_pushers_are_read_too() {
    let (one, two) = (tag(9, &[1; 70_000]), tag(8, b"sound"));
    let plain = [beginning(), frame(BINARY, OUTER_KEY, &one), frame(BINARY, OUTER_KEY, &two)].concat();
    let empty = frame(BINARY, OUTER_KEY, b"");
    let form_b =
        [beginning(), empty.clone(), frame(BINARY, OUTER_KEY, &one), empty, frame(BINARY, [4; 4], &two)].concat();
    let fragments =
        [beginning(), frame(0x02, [1; 4], &one[..9]), frame(0x80, [2; 4], &one[9..]), frame(BINARY, [3; 4], &two)]
            .concat();
    for bytes in [plain, form_b, fragments] {
        let flv = flv(&bytes, 1_000);
        assert!(flv.ends_with(&[one.clone(), two.clone()].concat()), "{} bytes", flv.len());
    }
}

#[test]
fn a_tag_without_its_trailer_is_completed() {
    let whole = tag(9, &[1; 20]);
    let bytes = [beginning(), quirk(&whole[..whole.len() - 4], b"")].concat();
    assert!(flv(&bytes, 4).ends_with(&whole));
}

#[test]
fn a_mismatch_after_the_form_is_known_is_a_violation() {
    let good = [beginning(), quirk(&tag(9, &[1; 20]), b"")].concat();
    let plain = frame(BINARY, [1; 4], &tag(9, &[1; 20]));
    let short = quirk(&tag(9, &[1; 20])[..9], b"");
    let wrong = quirk(b"this is no tag, though it is as long", b"");
    for bad in [plain, short, wrong] {
        let violation = events(&[good.clone(), bad].concat(), 3).unwrap_err();
        assert!(matches!(violation, Violation::Quirk { .. }), "{violation}");
        assert_eq!(violation.close_code(), 1002);
    }
}

#[test]
fn limits_and_rules_are_kept() {
    let large = header(BINARY, [1; 4], MAX_FRAME_BYTES + 1);
    assert_eq!(events(&large, 1).unwrap_err().close_code(), 1009);
    for bad in
        [&b"\xc2\x80\0\0\0\0"[..], b"\x82\x01\0", b"\x83\x80\0\0\0\0", b"\x09\x80\0\0\0\0", b"\x89\xfe\0\x80\0\0\0\0"]
    {
        assert_eq!(events(bad, 1).unwrap_err().close_code(), 1002, "{bad:x?}");
    }
}

#[test]
fn interleaved_writers_are_a_violation() {
    // An original upstream does not mask, so its bytes fail at the first header; masked, at the first broken one.
    assert!(events(CORRUPTED, 100).is_err());
}

#[test]
fn every_cut_reads_alike() {
    let bytes = &recorded()[..70_000.min(recorded().len())];
    let whole = flv(bytes, usize::MAX);
    for cut in [1, 2, 5, 13, 4_096] {
        assert_eq!(flv(bytes, cut), whole, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn damage_never_panics(at in 0usize..2_000, bytes in prop::collection::vec(any::<u8>(), 1..8), cut in 1usize..600) {
        let mut damaged = recorded()[..4_000].to_vec();
        damaged[at..at + bytes.len()].copy_from_slice(&bytes);
        let _ = events(&damaged, cut);
    }

    #[test]
    fn tags_of_any_size_come_through(sizes in prop::collection::vec(0usize..70_000, 1..5), cut in 1usize..9_000) {
        let tags: Vec<_> = sizes.iter().map(|size| tag(9, &vec![7; *size])).collect();
        let bytes = tags.iter().fold(beginning(), |bytes, tag| [bytes, quirk(tag, b"")].concat());
        prop_assert!(flv(&bytes, cut).ends_with(&tags.concat()));
    }
}
