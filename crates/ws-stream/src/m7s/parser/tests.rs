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

/// The recording cut up as its description says, header by header; shares nothing with the parser.
fn units() -> Vec<Vec<u8>> {
    let (mut rest, mut all) = (recorded(), Vec::new());
    let header = |bytes: &[u8]| match bytes[1] & 0x7f {
        126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 8),
        short => (usize::from(short), 6),
    };
    while !rest.is_empty() {
        let (length, size) = header(rest);
        if all.len() >= 2 {
            assert_eq!(rest[size - 4..size], [0x12, 0x34, 0x56, 0x78]);
            rest = &rest[size..];
            assert_eq!(header(rest), (length, size));
        }
        let key = &rest[size - 4..size];
        all.push(rest[size..size + length].iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
        rest = &rest[size + length..];
    }
    all
}

#[test]
fn the_recorded_push_becomes_flv() {
    let units = units();
    assert_eq!(units.len(), 30);
    assert_eq!((units[0].as_slice(), units[1].as_slice()), (&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..], METADATA));
    assert_eq!([units[2].len(), units[3].len(), units[4].len()], [60, 30_020, 22]);
    for unit in &units[1..] {
        let size = usize::try_from(u32::from_be_bytes([0, unit[1], unit[2], unit[3]])).unwrap();
        let trailer = u32::try_from(size + 11).unwrap().to_be_bytes();
        assert!(matches!(unit[0], 8 | 9 | 18) && unit.len() == size + 15 && unit.ends_with(&trailer));
    }
    let expected: Vec<_> = units.iter().map(|unit| Event::Flv(unit.clone().into())).collect();
    for cut in [usize::MAX, 1, 3, 4_096] {
        assert_eq!(events(recorded(), cut).unwrap(), expected);
    }
    let mut reader = sluicegate_flv::Reader::new(sluicegate_flv::Limits::default());
    reader.handle_bytes(units.concat().into());
    let frames = std::iter::from_fn(|| reader.poll_frame().unwrap()).count();
    assert_eq!(frames, 28, "each unit but the file header and the metadata is a frame");
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
        assert!(matches!(violation, Violation::Form { .. }), "{violation}");
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
    // An original upstream does not mask, so its bytes fail at the first header.
    assert!(matches!(events(&CORRUPTED[1..], 100), Err(Violation::Header { offset: 0 })));
    // What the same fault makes of a pusher: header, header, payload, payload.
    let (one, two) = (frame(BINARY, [1; 4], &tag(9, &[1; 150])), frame(BINARY, [2; 4], &tag(9, &[2; 170])));
    let mixed = [&one[..8], &two[..8], &one[8..], &two[8..]].concat();
    let empty = frame(BINARY, [1; 4], b"");
    let good = [empty.clone(), frame(BINARY, [1; 4], &tag(9, &[1; 20]))].concat();
    let bytes = [beginning(), good, empty, mixed].concat();
    assert!(matches!(events(&bytes, 7), Err(Violation::Form { .. })));
}

#[test]
fn text_is_no_flv_in_however_many_fragments() {
    let one = tag(9, &[1; 30]);
    let text = [frame(0x01, [1; 4], b"some"), frame(0x89, [1; 4], b""), frame(0x80, [1; 4], b"thing")].concat();
    for tags in [quirk(&one, b""), frame(BINARY, [1; 4], &one)] {
        let bytes = [beginning(), text.clone(), tags.clone(), text.clone(), tags].concat();
        assert_eq!(flv(&bytes, 3)[13 + METADATA.len()..], [one.clone(), one.clone()].concat());
    }
}

#[test]
fn fragments_follow_their_beginning() {
    let goes_on = frame(0x80, [1; 4], b"x");
    let again = [frame(0x02, [1; 4], b"FLV"), frame(BINARY, [1; 4], b"FLV")].concat();
    for bad in [goes_on, again] {
        let violation = events(&bad, 2).unwrap_err();
        assert!(matches!(violation, Violation::Fragment { .. }), "{violation}");
        assert_eq!(violation.close_code(), 1002);
    }
    // What looks like an outer header is none within a message.
    let within = [beginning(), frame(0x02, [1; 4], &[9]), quirk(&tag(9, b"x"), b"")].concat();
    assert!(matches!(events(&within, 2), Err(Violation::Fragment { .. })));
    let large = [frame(0x02, [1; 4], &[0; 100]), header(0x80, [1; 4], MAX_FRAME_BYTES - 99)].concat();
    assert_eq!(events(&large, 50).unwrap_err().close_code(), 1009);
}

#[test]
fn empty_messages_make_a_form_that_is_kept() {
    let (one, empty) = (tag(9, &[1; 20]), frame(BINARY, [4; 4], b""));
    let pair = |tag: &[u8]| [empty.clone(), frame(BINARY, [3; 4], tag)].concat();
    let good = [beginning(), pair(&one)].concat();
    // Without its trailer a tag is completed in this form, too.
    let short = pair(&one[..one.len() - 4]);
    assert!(flv(&[good.clone(), short, pair(&one)].concat(), 5).ends_with(&[&one[..], &one, &one].concat()));
    for bad in [pair(b"no tag"), pair(&one[..20]), pair(&[&one[..], &one].concat()), quirk(&one, b"")] {
        let violation = events(&[good.clone(), bad].concat(), 9).unwrap_err();
        assert!(matches!(violation, Violation::Form { .. }), "{violation}");
    }
}

#[test]
fn a_first_tag_that_is_none_is_a_violation() {
    // The outer header of the first tag is damaged, so what follows reads as an ordinary message.
    let one = tag(9, &[1; 20]);
    let damaged = [header(BINARY, [0x12, 0x34, 0x56, 0x79], one.len()), frame(BINARY, [9; 4], &one)].concat();
    assert!(matches!(events(&[beginning(), damaged].concat(), 1), Err(Violation::Form { .. })));
}

#[test]
fn nothing_is_read_behind_a_close() {
    let close = frame(0x88, [3; 4], b"");
    let bytes = [beginning(), close.clone(), close, quirk(&tag(9, b"x"), b""), b"\xff\xff\xff".to_vec()].concat();
    for cut in [1, usize::MAX] {
        assert_eq!(events(&bytes, cut).unwrap()[2..], [Event::Close(None)]);
    }
}

#[test]
fn it_tells_whether_it_is_within_something() {
    let mut parser = Parser::default();
    let mut between = Vec::new();
    let bytes = [beginning(), quirk(&tag(9, b"x"), b"")].concat();
    for (at, byte) in bytes.iter().enumerate() {
        if parser.is_between_messages() {
            between.push(at);
        }
        parser.handle_bytes(&[*byte]);
        while parser.poll().unwrap().is_some() {}
    }
    assert!(parser.is_between_messages());
    assert_eq!(between, [0, 19, 19 + 8 + METADATA.len()]);
}

#[test]
fn every_cut_reads_alike() {
    let bytes = &recorded()[..70_000.min(recorded().len())];
    let whole = flv(bytes, usize::MAX);
    for cut in [1, 2, 5, 13, 4_096] {
        assert_eq!(flv(bytes, cut), whole, "cut at {cut}");
    }
}

/// A tag as a pusher may send it, and what may come between its parts.
fn tags() -> impl Strategy<Value = Vec<(Vec<u8>, bool, Vec<u8>)>> {
    let body = prop_oneof![prop::collection::vec(any::<u8>(), 0..200), Just(vec![3; 300]), Just(vec![7; 66_000])];
    let tag = (prop::sample::select(vec![8, 9, 18]), body).prop_map(|(kind, body)| tag(kind, &body));
    let control = prop::sample::select(vec![0x89, 0x8a]).prop_flat_map(|first| {
        prop::collection::vec(any::<u8>(), 0..20).prop_map(move |bytes| frame(first, [5; 4], &bytes))
    });
    let controls = prop::collection::vec(control, 0..3).prop_map(|frames| frames.concat());
    prop::collection::vec((tag, any::<bool>(), controls), 1..6)
}

/// The bytes of the tags in one of the forms.
fn pushed(form: u8, tags: &[(Vec<u8>, bool, Vec<u8>)]) -> Vec<u8> {
    let send = |(tag, trailer, controls): &(Vec<u8>, bool, Vec<u8>)| {
        let tag = if *trailer || form > 1 { tag } else { &tag[..tag.len() - 4] };
        let half = tag.len() / 2;
        match form {
            0 => [quirk(tag, controls), controls.clone()].concat(),
            1 => [frame(BINARY, [4; 4], b""), controls.clone(), frame(BINARY, OUTER_KEY, tag)].concat(),
            2 => [controls.clone(), frame(BINARY, [6; 4], tag)].concat(),
            _ => [frame(0x02, OUTER_KEY, &tag[..half]), controls.clone(), frame(0x80, [7; 4], &tag[half..])].concat(),
        }
    };
    tags.iter().fold(beginning(), |bytes, tag| [bytes, send(tag)].concat())
}

proptest! {
    #[test]
    fn damage_never_panics(at in 0usize..2_000, bytes in prop::collection::vec(any::<u8>(), 1..8), cut in 1usize..600) {
        let mut damaged = recorded()[..4_000].to_vec();
        damaged[at..at + bytes.len()].copy_from_slice(&bytes);
        let _ = events(&damaged, cut);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        let _ = events(&bytes, cut);
        let _ = events(&[beginning(), bytes].concat(), cut);
    }

    #[test]
    fn any_mix_in_any_cut_gives_the_tags(form in 0u8..4, tags in tags(), cut in 1usize..5_000) {
        let bytes = pushed(form, &tags);
        let read = events(&bytes, cut).unwrap();
        prop_assert_eq!(&read, &events(&bytes, usize::MAX).unwrap());
        let got: Vec<_> = read.iter().skip(2).filter_map(|event| match event {
            Event::Flv(bytes) => Some(bytes.to_vec()),
            _ => None,
        }).collect();
        prop_assert_eq!(got, tags.into_iter().map(|(tag, ..)| tag).collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_quirk_gives_whole_tags_or_ends(at in 0usize..4_000, byte: u8, cut in 1usize..600) {
        // Behind the first tag, so that the form is latched.
        let first = 19 + 8 + METADATA.len() + 12 + 60;
        let mut damaged = recorded()[..34_000].to_vec();
        let at = if at < 200 { first + at } else { first + 16 + 30_020 + at % 200 };
        damaged[at] = byte;
        let (mut parser, mut count) = (Parser::default(), 0);
        let read = |parser: &mut Parser, count: &mut u32| -> Result<(), Violation> {
            while let Some(event) = parser.poll()? {
                let Event::Flv(tag) = event else { continue };
                *count += 1;
                if *count > 1 {
                    let size = usize::try_from(u32::from_be_bytes([0, tag[1], tag[2], tag[3]])).unwrap();
                    assert!(matches!(tag[0], 8 | 9 | 18) && tag.len() == size + 15);
                }
            }
            Ok(())
        };
        for chunk in damaged.chunks(cut) {
            parser.handle_bytes(chunk);
            if read(&mut parser, &mut count).is_err() {
                break;
            }
        }
        prop_assert!(count >= 3);
    }

    #[test]
    fn tags_of_any_size_come_through(sizes in prop::collection::vec(0usize..70_000, 1..5), cut in 1usize..9_000) {
        let tags: Vec<_> = sizes.iter().map(|size| tag(9, &vec![7; *size])).collect();
        let bytes = tags.iter().fold(beginning(), |bytes, tag| [bytes, quirk(tag, b"")].concat());
        prop_assert!(flv(&bytes, cut).ends_with(&tags.concat()));
    }
}
