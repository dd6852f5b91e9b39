//! Golden vectors of recorded exchanges, and properties.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Assembly, CHUNK_LENGTH, Code, HEADER_LENGTH, Header, Key, MAX_TEXT, Message, Overflow, chunk, chunk_count, unframe,
};

/// Headers as recorded of the existing node.
const HEADERS: [(&str, &str, u64, usize, usize); 6] = [
    ("[\"testvideo01:134|0\",13,14]   ", "testvideo01:134", 0, 13, 14),
    ("[\"testvideo01:134|0\",0,14]    ", "testvideo01:134", 0, 0, 14),
    ("[\"testvideo01:134|0\",10,14]   ", "testvideo01:134", 0, 10, 14),
    ("[\"testvideo01:251|11\",1,2]    ", "testvideo01:251", 11, 1, 2),
    ("[\"testvideo01:251|12\",0,1]    ", "testvideo01:251", 12, 0, 1),
    ("[\"testvideo01:134|2\",12,13]   ", "testvideo01:134", 2, 12, 13),
];

#[test]
fn headers_are_those_that_were_recorded() {
    for (text, id, index, number, total) in HEADERS {
        let header = Header { key: Key::new(id, index), number, total };
        assert_eq!(str::from_utf8(&header.encode().unwrap()), Ok(text));
        assert_eq!(Header::decode(text.as_bytes().first_chunk().unwrap()), Some(header));
    }
}

#[test]
fn a_header_that_does_not_fit_is_refused_before_it_is_cut() {
    // Recorded of the existing node, which lets it grow; its receivers cut and fail.
    let long = Header { key: Key::new("testvideo01xxxx:134", 11), number: 0, total: 13 };
    assert_eq!(long.encode(), Err(Overflow { got: 31 }));
    assert_eq!(Header::decode(b"[\"testvideo01xxxx:134|11\",0,13"), None);
    // The last chunks have the longest header.
    let key = Key::new("testvideo01xxxx:134", 1);
    assert_eq!(Header::check(&key, 10 * CHUNK_LENGTH), Ok(()));
    assert_eq!(Header::check(&key, 11 * CHUNK_LENGTH), Err(Overflow { got: 31 }));
    for id in ["a\"b:1", "a\\b:1", "a b:1", "ä:1", "a|b:1"] {
        assert!(Header::check(&Key::new(id, 0), 1).is_err(), "{id}");
    }
}

#[test]
fn a_segment_is_cut_as_recorded() {
    // 668,753 bytes were recorded as 14 messages, the last of 3,183 bytes.
    let segment = Bytes::from(vec![7; 668_753]);
    let key = Key::new("testvideo01:134", 0);
    let lengths: Vec<usize> =
        (0..).map_while(|number| chunk(&key, &segment, number).unwrap()).map(|bytes| bytes.len()).collect();
    assert_eq!(lengths, [[51_230].repeat(13), vec![3_183]].concat());
    assert_eq!(chunk_count(0), 0);
    assert_eq!(chunk_count(CHUNK_LENGTH), 1);
}

#[test]
fn texts_are_those_that_were_recorded() {
    let key = || Key::new("testvideo01:134", 0);
    for (text, message) in [
        (r#"{"event":"ping"}"#, Message::Ping),
        (r#"{"event":"pong"}"#, Message::Pong),
        (r#"{"event":"query","data":{"id":"testvideo01:134","index":0}}"#, Message::Query(key())),
        (r#"{"event":"found","data":{"id":"testvideo01:134","index":0}}"#, Message::Found(key())),
        (r#"{"event":"resolve","data":{"id":"testvideo01:134","index":0}}"#, Message::Resolve(key())),
        (r#"{"event":"quit","data":{"id":"testvideo01:134","index":0}}"#, Message::Quit(key())),
        (r#"{"event":"quit","data":{"id":"","index":0}}"#, Message::QuitAll),
    ] {
        assert_eq!(message.encode(), text);
        assert_eq!(Message::decode(text), Some(message));
    }
}

#[test]
fn odd_texts_are_read_as_the_existing_node_reads_them() {
    let query = |index: &str| {
        let text = format!(r#"{{"event":"query","data":{{"id":"testvideo01:134","index":{index}}},"more":1}}"#);
        match Message::decode(&text) {
            Some(Message::Query(key)) => key.index,
            other => panic!("{index}: {other:?}"),
        }
    };
    let largest = u64::MAX.to_string();
    for (index, read) in [("99999999", 99_999_999), (&largest, u64::MAX), ("-1", u64::MAX), ("\"3\"", 3), ("2.9", 2)] {
        assert_eq!(query(index), read);
    }
    assert_eq!(query("{}"), u64::MAX);
    let without = Message::decode(r#"{"event":"query","data":{"id":"testvideo01:134"}}"#);
    assert_eq!(without, Some(Message::Query(Key::new("testvideo01:134", 0))));
    assert_eq!(Message::decode(r#"{"event":"quit"}"#), Some(Message::QuitAll));
    assert_eq!(Message::decode(r#"{"event":"query"}"#), Some(Message::Query(Key::new("", 0))));
    let long = format!("{{\"event\":\"ping\"{}}}", " ".repeat(MAX_TEXT));
    for nothing in
        ["not json at all", r#"{"event":"nosuch","data":{}}"#, "[]", "123", "null", r#"{"event":{"a":1}}"#, "", &long]
    {
        assert_eq!(Message::decode(nothing), None, "{nothing}");
    }
}

#[test]
fn an_id_has_two_parts() {
    assert_eq!(Key::new("testvideo01:134", 0).parts(), Some(("testvideo01", "134")));
    for id in ["", "testvideo01", "testvideo01:134:1", ":134", "testvideo01:"] {
        assert_eq!(Key::new(id, 0).parts(), None, "{id}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_missing_is_known() {
    let key = Key::new("v:1", 0);
    let header = |number, total| Header { key: key.clone(), number, total };
    let whole = Bytes::from(vec![1; CHUNK_LENGTH]);
    let mut assembly = Assembly::default();
    assert!(assembly.insert(&header(0, 3), whole.slice(1..)).is_err());
    assert!(assembly.insert(&header(0, 3), Bytes::new()).is_err());
    assert!(assembly.is_empty() && assembly.missing().is_empty());
    assert_eq!(assembly.insert(&header(2, 3), whole.slice(..5)), Ok(None));
    assert_eq!(assembly.missing(), [0, 1]);
    assert!(assembly.insert(&header(0, 4), whole.clone()).is_err());
    assert_eq!(assembly.insert(&header(2, 3), whole.slice(..5)), Ok(None));
    assert_eq!(assembly.insert(&header(0, 3), whole.clone()), Ok(None));
    let segment = assembly.insert(&header(1, 3), whole).unwrap().unwrap();
    assert_eq!(segment.len(), 2 * CHUNK_LENGTH + 5);
}

fn any_key() -> impl Strategy<Value = Key> {
    ("[A-Za-z0-9_-]{1,8}:[0-9]{1,3}", 0..1000_u64).prop_map(|(id, index)| Key::new(id, index))
}

fn any_message() -> impl Strategy<Value = Message> {
    let codes = prop_oneof![Just(Code::NotFound), Just(Code::Unframed), Just(Code::Source), Just(Code::Busy)];
    prop_oneof![
        Just(Message::Ping),
        any_key().prop_map(Message::Query),
        any_key().prop_map(Message::QueryCached),
        any_key().prop_map(Message::Found),
        any_key().prop_map(Message::Resolve),
        any_key().prop_map(Message::Quit),
        (any::<Option<u32>>(), 0..20_usize).prop_map(|(window, strands)| Message::Hello {
            version: 1,
            window,
            strands
        }),
        (any::<u32>(), ".*").prop_map(|(strand, sdp)| Message::Offer(strand, sdp)),
        (any::<u32>(), any::<Option<String>>()).prop_map(|(strand, sdp)| Message::Answer(strand, sdp)),
        (any_key(), codes).prop_map(|(key, code)| Message::Error(key, code)),
        (any_key(), proptest::collection::vec(0..2000_usize, 0..50))
            .prop_map(|(key, chunks)| Message::Resend(key, chunks)),
    ]
}

proptest! {
    #[test]
    fn a_text_comes_back(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Some(message));
    }

    #[test]
    fn damaged_texts_are_harmless(message in any_message(), at: prop::sample::Index, byte: u8) {
        let mut bytes = message.encode().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        for text in [&bytes[..], &bytes[..at]] {
            let read = Message::decode(&String::from_utf8_lossy(text));
            prop_assert!(read.is_none_or(|read| read.encode().len() <= MAX_TEXT));
        }
    }

    #[test]
    fn a_segment_comes_back_in_any_order(
        key in any_key(), length in 1..300_000_usize, order: u64, twice: prop::sample::Index,
    ) {
        let segment: Bytes = (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        let mut chunks: Vec<Bytes> =
            (0..).map_while(|number| chunk(&key, &segment, number).unwrap()).collect();
        chunks.insert(0, chunks[twice.index(chunks.len())].clone());
        let turn = usize::try_from(order % 97).unwrap() % chunks.len();
        chunks.rotate_left(turn);
        let mut assembly = Assembly::default();
        let mut joined = None;
        for message in chunks {
            let (header, payload) = unframe(&message).unwrap();
            prop_assert_eq!(&header.key, &key);
            if let Some(whole) = assembly.insert(&header, payload).unwrap() {
                joined = Some(whole);
                break;
            }
        }
        prop_assert!(joined == Some(segment));
    }

    #[test]
    fn damaged_headers_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let message = Bytes::from(bytes);
        if let Some((header, payload)) = unframe(&message) {
            // What is read is bounded, and can be written again.
            prop_assert!(header.encode().is_ok() && header.number < header.total);
            let _ = Assembly::default().insert(&header, payload);
        }
    }

    #[test]
    fn a_changed_header_is_refused_or_another(at in 0..HEADER_LENGTH, byte: u8) {
        let mut bytes = *b"[\"testvideo01:134|0\",13,14]   ";
        bytes[at] = byte;
        if let Some(header) = Header::decode(&bytes) {
            prop_assert!(header.encode().is_ok());
        }
    }
}
