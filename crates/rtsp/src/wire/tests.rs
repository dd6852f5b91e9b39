//! Messages and packets: what clients write, in any pieces, and what nobody should write.

use proptest::prelude::*;

use super::*;

const DESCRIBE: &[u8] = b"DESCRIBE rtsp://h/live/cams/door RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n";

fn read(pieces: &[&[u8]]) -> Result<Vec<Item>, Violation> {
    let (mut reader, mut all) = (Reader::default(), Vec::new());
    for piece in pieces {
        reader.handle_bytes((*piece).into());
        while let Some(item) = reader.poll()? {
            all.push(item);
        }
    }
    Ok(all)
}

fn message(bytes: &[u8]) -> Message {
    match read(&[bytes]).unwrap().remove(0) {
        Item::Message(message) => message,
        Item::Data { .. } => unreachable!("no message"),
    }
}

#[test]
fn what_clients_write() {
    let request = message(DESCRIBE);
    let start = Start::Request { method: "DESCRIBE".to_owned(), uri: "rtsp://h/live/cams/door".to_owned() };
    assert_eq!((request.cseq(), &request.start), (Some(2), &start));
    assert_eq!(request.header("accept"), Some("application/sdp"));
    // Bare line feeds, a space in the URI, a header over two lines, empty lines before it.
    let odd = message(b"\r\n\r\nSETUP rtsp://h/a b RTSP/1.0\ncseq:7\nTransport: RTP/AVP,\n RTP/AVP/TCP\n\n");
    assert!(matches!(odd.start, Start::Request { uri, .. } if uri == "rtsp://h/a b"));
    assert_eq!(odd.headers[1].1, "RTP/AVP, RTP/AVP/TCP");
    assert_eq!(message(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").start, Start::Answer { status: 200 });
}

#[test]
fn packets_between_messages() {
    let bytes =
        [DESCRIBE, b"$\x01\0\x03abc", b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nContent-Length: 3\r\n\r\nv=0", b"$\0\0\0"]
            .concat();
    let items = read(&[&bytes]).unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(items[1], Item::Data { channel: 1, payload: Bytes::from_static(b"abc") });
    assert!(matches!(&items[2], Item::Message(message) if message.body == b"v=0"[..]));
}

#[test]
fn limits_hold() {
    let endless = [b"OPTIONS * RTSP/1.0\r\nX: ".to_vec(), vec![b'x'; MAX_HEAD]].concat();
    assert_eq!(read(&[&endless]), Err(Violation::Head { limit: MAX_HEAD }));
    let many = format!("OPTIONS * RTSP/1.0\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
    assert_eq!(read(&[many.as_bytes()]), Err(Violation::Head { limit: MAX_HEAD }));
    let large = format!("ANNOUNCE * RTSP/1.0\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
    assert_eq!(read(&[large.as_bytes()]), Err(Violation::Body { limit: MAX_BODY }));
    assert_eq!(read(&[b"ANNOUNCE * RTSP/1.0\r\nContent-Length: -1\r\n\r\n"]), Err(Violation::Length));
    for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"hello\r\n\r\n", b"OPTIONS * RTSP/1.0\r\nno header\r\n\r\n"] {
        assert_eq!(read(&[wrong]), Err(Violation::Line));
    }
}

#[test]
fn what_is_written_reads_back() {
    let headers = vec![("CSeq".to_owned(), "3".to_owned()), ("X".to_owned(), "a\r\nb: c".to_owned())];
    let answer = Message { start: Start::Answer { status: 200 }, headers, body: Bytes::from_static(b"v=0\r\n") };
    let read = message(&answer.encode());
    assert_eq!((read.cseq(), read.header("X"), read.header("b")), (Some(3), Some("a  b: c"), None));
    assert_eq!(read.body, answer.body);
}

proptest! {
    #[test]
    fn any_split_reads_alike(cuts in prop::collection::vec(0usize..300, 0..6)) {
        let announce = b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\nContent-Length: 5\r\n\r\nv=0\r\n$\x03\0\x02xy\r\n";
        let bytes = [DESCRIBE, announce, DESCRIBE].concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(read(&pieces), read(&[&bytes]));
    }

    #[test]
    fn damage_never_panics(damage in prop::collection::vec((0usize..80, any::<u8>()), 1..8)) {
        let mut bytes = DESCRIBE.to_vec();
        for (at, value) in damage {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        fuzz_reader(&bytes);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_reader(&bytes);
    }
}
