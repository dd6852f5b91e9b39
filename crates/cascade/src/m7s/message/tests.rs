//! The messages that two original nodes exchanged, and what damage does.

use super::*;
use proptest::prelude::*;

const TO_UPSTREAM: &[u8] = include_bytes!("../../../testdata/register-and-http.downstream-to-upstream.bin");
const INTERLEAVED: &[u8] =
    include_bytes!("../../../testdata/m7s-concurrent-writers-corruption.upstream-to-downstream.bin");
const TO_SITE: &[u8] = include_bytes!("../../../testdata/register-and-http.upstream-to-downstream.bin");

/// The payloads of the frames from `start` on; a reader of its own, since it is the original's bytes that count.
fn payloads(bytes: &[u8], start: usize) -> Vec<Vec<u8>> {
    let (mut rest, mut all) = (&bytes[start..], Vec::new());
    while !rest.is_empty() {
        let masked = rest[1] & 0x80 != 0;
        let (length, mut at) = match rest[1] & 0x7f {
            126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
            short => (usize::from(short), 2),
        };
        let mask = if masked { rest[at..at + 4].to_vec() } else { vec![0; 4] };
        at += if masked { 4 } else { 0 };
        all.push(rest[at..at + length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
        rest = &rest[at + length..];
    }
    all
}

#[test]
fn the_recorded_messages_are_read() {
    let sent = payloads(TO_UPSTREAM, 197);
    let info = Info { cid: "test-c001".into(), name: "pc-test".into(), serial: "c001".into() };
    let read: Vec<_> = sent.iter().map(|text| Message::decode(text).unwrap()).collect();
    assert_eq!(read[0], Message { sn: 1, content: Content::Info(info) });
    assert!(matches!(&read[1], Message { sn: 1, content: Content::Response(_) }), "{:?}", read[1]);
    assert!(matches!(&read[2], Message { sn: 2, content: Content::Response(_) }), "{:?}", read[2]);
    let asked: Vec<_> = payloads(TO_SITE, 129).iter().map(|text| Message::decode(text).unwrap()).collect();
    let get = Request {
        url: "/erwscascade/api/streamlist".into(),
        header: BTreeMap::new(),
        method: "GET".into(),
        body: None,
    };
    assert_eq!(asked[0], Message { sn: 1, content: Content::Request(get) });
    let Content::Request(post) = &asked[1].content else { panic!("{:?}", asked[1]) };
    assert_eq!((post.method.as_str(), post.body.as_deref()), ("POST", Some(&b"hello"[..])));
    assert_eq!(post.header["Content-Type"], ["text/plain"]);
}

#[test]
fn what_we_write_is_what_the_original_writes() {
    for text in payloads(TO_UPSTREAM, 197).into_iter().chain(payloads(TO_SITE, 129)) {
        let message = Message::decode(&text).unwrap();
        // Go escapes the ampersand of a URL; JSON means the same without.
        let escaped = matches!(&message.content, Content::Request(request) if request.url.contains('&'));
        if escaped {
            assert_eq!(Message::decode(message.encode().as_bytes()), Some(message));
        } else {
            assert_eq!(message.encode(), String::from_utf8(text).unwrap());
        }
    }
}

/// The recording begins with the last byte of a message; then come two headers and two payloads.
#[test]
fn a_message_with_a_header_in_it_is_none() {
    assert_eq!(INTERLEAVED[..9], *b"}\x81\x7e\x00\xad\x81\x7e\x00\xad");
    let length = usize::from(u16::from_be_bytes([INTERLEAVED[3], INTERLEAVED[4]]));
    assert_eq!(Message::decode(&INTERLEAVED[5..5 + length]), None);
    // The writers wrote whole payloads, which is what makes the damage a matter of frames only.
    let [one, two] = [9, 9 + length].map(|at| Message::decode(&INTERLEAVED[at..at + length]).unwrap().sn);
    assert_eq!((one, two), (5_841, 5_840));
}

#[test]
fn what_go_leaves_out_is_understood() {
    let read = |pad: &str| {
        let text = format!(r#"{{"sn":5,"type":1,"pad":"{}"}}"#, STANDARD.encode(pad));
        let Content::Request(request) = Message::decode(text.as_bytes()).unwrap().content else { panic!("no request") };
        request
    };
    let bare = read(r#"{"url":"/a"}"#);
    assert_eq!((bare.method.as_str(), bare.header.len(), bare.body), ("GET", 0, None));
    let nulls = read(r#"{"url":"/a","header":{"A":null,"B":["1"]},"method":"","body":""}"#);
    assert_eq!((nulls.method.as_str(), nulls.body.as_deref()), ("GET", Some(&b""[..])));
    assert_eq!((nulls.header["A"].len(), nulls.header["B"].len()), (0, 1));
}

#[test]
fn keys_come_in_the_original_s_order() {
    let text = Message { sn: -3, content: Content::Response(b"hi?".to_vec()) }.encode();
    assert_eq!(text, r#"{"sn":-3,"type":2,"pad":"aGk/"}"#);
}

#[test]
fn what_the_original_ignores_is_ignored() {
    for text in ["", "{", "[]", r#"{"sn":1,"type":7,"pad":""}"#, r#"{"sn":1,"type":1,"pad":"e30="}"#] {
        assert_eq!(Message::decode(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Message::decode(br#"{"sn":1,"type":2,"pad":"*"}"#), None);
    let empty = Message { sn: 1, content: Content::Response(Vec::new()) };
    assert_eq!(Message::decode(br#"{"sn":1,"type":2,"pad":null}"#), Some(empty));
}

#[test]
fn go_escapes_are_understood() {
    let pad = STANDARD.encode("{\"url\":\"/a?b=1\\u0026c=2\",\"header\":null,\"method\":\"GET\",\"body\":null}");
    let message = Message::decode(format!(r#"{{"sn":5,"type":1,"pad":"{pad}"}}"#).as_bytes()).unwrap();
    let Content::Request(request) = message.content else { panic!("no request") };
    assert_eq!(request.url, "/a?b=1&c=2");
}

proptest! {
    #[test]
    fn a_round_trip_changes_nothing(sn: i64, url in ".{0,40}", body in prop::option::of(prop::collection::vec(any::<u8>(), 0..80))) {
        let header = BTreeMap::from([("Content-Type".to_owned(), vec!["a/b".to_owned(), "c".to_owned()])]);
        let request = Request { url, header, method: "PUT".into(), body };
        let message = Message { sn, content: Content::Request(request) };
        prop_assert_eq!(Message::decode(message.encode().as_bytes()), Some(message));
    }

    #[test]
    fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..200), pad in prop::collection::vec(any::<u8>(), 0..100), kind in -1i64..4) {
        let _ = read(&text);
        let wrapped = format!(r#"{{"sn":5,"type":{kind},"pad":"{}"}}"#, STANDARD.encode(pad));
        let _ = read(wrapped.as_bytes());
    }

    #[test]
    fn damage_never_panics(at in 0usize..130, byte: u8) {
        let mut text = payloads(TO_SITE, 129).remove(0);
        let at = at.min(text.len() - 1);
        text[at] = byte;
        let _ = Message::decode(&text);
    }
}
