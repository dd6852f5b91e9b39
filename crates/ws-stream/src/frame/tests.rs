//! Golden headers, and properties: any split reads alike, damaged bytes never panic.

use proptest::prelude::*;

use super::*;

/// A masked client frame.
fn client(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut header = BytesMut::new();
    put_header(Opcode::Binary, payload.len(), &mut header);
    let mut frame = vec![first, header[1] | 0x80];
    frame.extend(&header[2..]);
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn all(parser: &mut Parser, mut input: &[u8]) -> Result<Vec<Event>, Violation> {
    let mut events = Vec::new();
    while let Some(event) = parser.next(&mut input)? {
        events.push(event);
    }
    Ok(events)
}

#[test]
fn headers_are_as_in_the_rfc() {
    for (length, want) in [
        (0, vec![0x82, 0]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (65_535, vec![0x82, 126, 0xFF, 0xFF]),
        (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut out = BytesMut::new();
        put_header(Opcode::Binary, length, &mut out);
        assert_eq!(out, want, "{length}");
    }
}

#[test]
fn close_carries_code_and_a_reason_that_fits() {
    assert_eq!(encode_close(1000, "bye")[..], *b"\x88\x05\x03\xE8bye");
    let long = encode_close(4404, &"ä".repeat(100));
    assert_eq!(long.len(), 2 + 2 + 122);
    assert!(std::str::from_utf8(&long[4..]).is_ok());
}

#[test]
fn the_masked_hello_of_the_rfc_is_data() {
    let mut parser = Parser::default();
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(all(&mut parser, &hello), Ok(vec![Event::Data(5)]));
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let mut bytes = client(0x01, b"one", [1, 2, 3, 4]);
    bytes.extend(client(0x89, b"are you there", [9, 8, 7, 6]));
    bytes.extend(client(0x80, &[0; 70_000], [1, 2, 3, 4]));
    bytes.extend(client(0x88, b"\x03\xE9going", [0, 0, 0, 1]));
    let want = vec![
        Event::Data(3),
        Event::Ping(Bytes::from_static(b"are you there")),
        Event::Data(70_000),
        Event::Close(Some(1001)),
    ];
    assert_eq!(all(&mut Parser::default(), &bytes), Ok(want));
}

#[test]
fn rules_are_enforced() {
    let mask = [0; 4];
    for (bytes, want) in [
        (client(0xC2, b"", mask), Violation::ReservedBit),
        (client(0x83, b"", mask), Violation::Opcode(3)),
        (vec![0x82, 0x00], Violation::Unmasked),
        (client(0x09, b"", mask), Violation::Control),
        (client(0x89, &[0; 126], mask), Violation::Control),
        (client(0x80, b"", mask), Violation::Fragmentation),
        (client(0x88, b"\x03", mask), Violation::HalfCode),
        ([&[0x82, 0xFF][..], &[0xFF; 8], &mask].concat(), Violation::Length),
    ] {
        assert_eq!(all(&mut Parser::default(), &bytes), Err(want));
    }
    let within = [client(0x02, b"", mask), client(0x82, b"", mask)].concat();
    assert_eq!(all(&mut Parser::default(), &within), Err(Violation::Fragmentation));
}

proptest! {
    #[test]
    fn any_split_reads_alike(
        frames in prop::collection::vec((0usize..4, prop::collection::vec(any::<u8>(), 2..200), any::<[u8; 4]>()), 1..8),
        cuts in prop::collection::vec(1usize..40, 1..40),
    ) {
        let first = [0x82, 0x89, 0x8A, 0x81];
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(kind, payload, mask)| client(first[*kind], &payload[..payload.len().min(125)], *mask))
            .collect();
        let whole = all(&mut Parser::default(), &bytes).unwrap();
        prop_assert_eq!(whole.len(), frames.len());
        let (mut parser, mut parts, mut rest) = (Parser::default(), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            parts.extend(all(&mut parser, now).unwrap());
            rest = later;
        }
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = all(&mut Parser::default(), &bytes);
    }
}
