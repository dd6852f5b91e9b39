//! The layout of every message, any split, and damaged bytes.

use super::*;
use crate::{Hello, LeaseId, Offers, StreamOffer};
use proptest::prelude::*;

const LEASE: LeaseId = LeaseId(*b"0123456789abcdef");

fn all() -> [(Message, Vec<u8>); 6] {
    let hello = Hello { software: "s/1".into(), name: "Door".into() };
    let stream = StreamOffer { name: "a/b".into(), always: true };
    let offers = Offers { services: vec!["web".into()], streams: vec![stream] };
    let lease = &LEASE.0[..];
    [
        (Message::Hello(hello), b"\x00\x00\x00\x0b\x00\x01\x03s/1\x04Door".to_vec()),
        (Message::Offers(offers), b"\x00\x00\x00\x0d\x00\x02\x01\x03web\x01\x03a/b\x01".to_vec()),
        (
            Message::PushStart { lease: LEASE, stream: "a/b".into(), expires_ms: 10_000 },
            [&b"\x00\x00\x00\x19\x00\x03"[..], lease, b"\x03a/b\xfb\x10\x27"].concat(),
        ),
        (
            Message::PushRenew { lease: LEASE, expires_ms: 250 },
            [&b"\x00\x00\x00\x13\x00\x04"[..], lease, b"\xfa"].concat(),
        ),
        (Message::PushRelease { lease: LEASE }, [&b"\x00\x00\x00\x12\x00\x05"[..], lease].concat()),
        (
            Message::PushFailed { lease: LEASE, reason: "no".into() },
            [&b"\x00\x00\x00\x15\x00\x06"[..], lease, b"\x02no"].concat(),
        ),
    ]
}

fn decoded(chunks: &[&[u8]]) -> Result<Vec<Message>, Error> {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.handle_bytes(chunk);
        while let Some(message) = decoder.poll()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

#[test]
fn every_message_has_its_bytes() {
    for (message, golden) in all() {
        assert_eq!(encode(&message).unwrap(), golden, "{message:?}");
        assert_eq!(decoded(&[&golden]).unwrap(), [message]);
    }
}

#[test]
fn unknown_kinds_are_skipped() {
    let unknown = b"\x00\x00\x00\x05\x7f\xffxyz";
    let (message, golden) = &all()[0];
    assert_eq!(decoded(&[unknown, golden]).unwrap(), std::slice::from_ref(message));
}

#[test]
fn a_body_with_too_little_or_too_much_is_damaged() {
    assert_eq!(decoded(&[b"\x00\x00\x00\x03\x00\x05x"]), Err(Error::Body { kind: 5 }));
    assert_eq!(decoded(&[b"\x00\x00\x00\x05\x00\x01\x00\x00\x00"]), Err(Error::Body { kind: 1 }));
    assert_eq!(decoded(&[b"\x00\x00\x00\x01\x00\x01"]), Err(Error::Body { kind: 1 }));
}

#[test]
fn what_is_too_large_is_refused_at_both_ends() {
    let header = b"\x00\x02\x00\x00\x00\x02";
    assert!(matches!(decoded(&[header]), Err(Error::TooLarge { kind: 2, .. })));
    let hello = Hello { name: "x".repeat(MAX_BODY_BYTES), ..Hello::default() };
    assert!(matches!(encode(&Message::Hello(hello)), Err(Error::TooLarge { kind: 1, .. })));
    let lies = b"\x00\x00\x00\x08\x00\x02\xfc\xff\xff\xff\xff\x00";
    assert_eq!(decoded(&[lies]), Err(Error::Body { kind: 2 }));
}

#[test]
fn lease_ids_survive_as_text() {
    assert_eq!(LEASE.to_string().parse(), Ok(LEASE));
    for text in ["", "xyz", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
        assert_eq!(text.parse::<LeaseId>(), Err(()), "{text}");
    }
}

proptest! {
    #[test]
    fn any_split_decodes_alike(cut in 1usize..20) {
        let bytes: Vec<u8> = all().into_iter().flat_map(|(_, golden)| golden).collect();
        let chunks: Vec<&[u8]> = bytes.chunks(cut).collect();
        prop_assert_eq!(decoded(&chunks).unwrap(), all().map(|(message, _)| message));
    }

    #[test]
    fn damaged_bytes_never_panic(which in 0usize..6, at: prop::sample::Index, byte: u8, more: Vec<u8>) {
        let mut bytes = all()[which].1.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.extend(more);
        crate::fuzz_decoder(&bytes);
    }
}
