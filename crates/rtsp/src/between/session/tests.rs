//! Sessions with made-up servers.

use proptest::prelude::*;

use super::*;
use crate::wire::{MAX_BODY, MAX_HEAD};

const HERE: &str = "rtsp://127.0.0.1:9/key";

fn session(url: &str) -> Session {
    Session::new(&Address::parse(&url.parse().unwrap()).unwrap(), HERE)
}

fn text(poll: impl FnMut() -> Option<Bytes>) -> String {
    String::from_utf8_lossy(&std::iter::from_fn(poll).collect::<Vec<_>>().concat()).into_owned()
}

/// What the server hears of what the library says.
fn ask(session: &mut Session, said: &str) -> String {
    session.handle_library(said.as_bytes().into()).unwrap();
    text(|| session.poll_server())
}

/// What the library hears of what the server says.
fn hear(session: &mut Session, said: &str) -> String {
    session.handle_server(said.as_bytes().into()).unwrap();
    text(|| session.poll_library())
}

fn describe() -> String {
    format!("DESCRIBE {HERE} RTSP/1.0\r\nAccept: application/sdp\r\nCSeq: 1\r\n\r\n")
}

#[test]
fn the_server_sees_the_url_of_the_user_and_the_library_its_base() {
    let mut session = session("rtsps://cam:7441/main?a=b");
    let asked = ask(&mut session, &describe());
    assert_eq!(asked, "DESCRIBE rtsps://cam:7441/main?a=b RTSP/1.0\r\nAccept: application/sdp\r\nCSeq: 1\r\n\r\n");
    let answer = "RTSP/1.0 200 OK\r\ncseq: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    let heard = hear(&mut session, answer);
    let based =
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\nContent-Base: rtsps://cam:7441/main?a=b\r\n\r\nv=0\r\n";
    assert_eq!(heard, based);
    // A base of the server's own stays, and so do URLs that are made of it.
    ask(&mut session, &describe());
    let own = answer.replace("cseq", "Content-Base: rtsp://10.0.0.1/x/\r\nCSeq");
    assert_eq!(hear(&mut session, &own), own);
    let control = "OPTIONS rtsp://10.0.0.1/x/ RTSP/1.0\r\nCSeq: 2\r\n\r\n";
    assert_eq!(ask(&mut session, control), control);
}

#[test]
fn strangers_do_not_get_through() {
    for said in
        ["DESCRIBE rtsp://127.0.0.1:9/other RTSP/1.0\r\nCSeq: 1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\n\n"]
    {
        let mut session = session("rtsp://cam/main");
        assert!(session.handle_library(said.as_bytes().into()).is_err() && !session.has_begun(), "{said}");
        assert_eq!(session.poll_server(), None);
    }
}

#[test]
fn answers_to_set_up_are_mended() {
    let mut session = session("rtsp://cam/main");
    ask(&mut session, &describe());
    hear(&mut session, "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n");
    let set_up =
        "SETUP rtsp://cam/main/1 RTSP/1.0\r\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\r\nCSeq: 2\r\n\r\n";
    assert_eq!(ask(&mut session, set_up), set_up);
    let answer = "RTSP/1.0 200 OK\r\nDate: x\r\nSession: 7 ; timeout=60\r\nTransport: RTP/AVP/TCP;ssrc=1\r\n\r\n";
    let mended = "RTSP/1.0 200 OK\r\nDate: x\r\nSession: 7;timeout=60\r\n\
        Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\nCSeq: 2\r\n\r\n";
    assert_eq!(hear(&mut session, answer), mended);
    // A refusal, an answer to something else and what tells of UDP stay as they are.
    for answer in [
        "RTSP/1.0 461 No\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;ssrc=1\r\n\r\n",
        "RTSP/1.0 200 OK\r\nCSeq: 9\r\nTransport: RTP/AVP/TCP;ssrc=1\r\n\r\n",
        "RTSP/1.0 200 OK\r\nCSeq: 2\r\nTransport: RTP/AVP;client_port=4-5;ssrc=1\r\n\r\n",
    ] {
        ask(&mut session, set_up);
        assert_eq!(hear(&mut session, answer), answer);
    }
}

#[test]
fn a_password_is_given_again_when_it_is_asked_for_again() {
    let mut session = session("rtsp://me:p%40ss@cam/main");
    let challenge = |cseq| {
        format!("RTSP/1.0 401 No\r\nCSeq: {cseq}\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno")
    };
    assert!(!ask(&mut session, &describe()).contains("Authorization"));
    assert_eq!(hear(&mut session, &challenge(1)), "");
    // me:p@ss
    let again = "DESCRIBE rtsp://cam/main RTSP/1.0\r\nAccept: application/sdp\r\nCSeq: 2\r\nAuthorization: Basic bWU6cEBzcw==\r\n\r\n";
    assert_eq!(text(|| session.poll_server()), again);
    let fine = "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Base: x\r\n\r\n";
    assert_eq!(hear(&mut session, fine), fine.replace("CSeq: 2", "CSeq: 1"));
    // A number of a server's challenge holds for a while only.
    let alive = "OPTIONS rtsp://cam/main RTSP/1.0\r\nCSeq: 2\r\n\r\n";
    assert!(ask(&mut session, alive).contains("CSeq: 3\r\nAuthorization: "));
    assert_eq!(hear(&mut session, &challenge(3)), "");
    assert!(text(|| session.poll_server()).contains("CSeq: 4\r\nAuthorization: "));
    let refused = session.handle_server(challenge(4).as_bytes().into()).unwrap_err();
    assert!(matches!(refused, Error::Login), "{refused}");
}

#[test]
fn a_challenge_without_a_password_reaches_the_library_and_one_of_another_kind_is_told() {
    let challenge = "RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Other x=\"y\"\r\n\r\n";
    let mut without = session("rtsp://cam/main");
    ask(&mut without, &describe());
    assert_eq!(hear(&mut without, challenge), challenge);
    let mut with = session("rtsp://me:x@cam/main");
    ask(&mut with, &describe());
    let refused = with.handle_server(challenge.as_bytes().into()).unwrap_err();
    assert!(matches!(refused, Error::Credentials), "{refused}");
}

#[test]
fn what_is_too_long_ends_the_connection() {
    let long = "x".repeat(MAX_HEAD + 1);
    for (said, violation) in [
        (long.clone(), Violation::Head { limit: MAX_HEAD }),
        (format!("{long}\r\n\r\n"), Violation::Head { limit: MAX_HEAD }),
        (format!("a\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1), Violation::Body { limit: MAX_BODY }),
        ("a\r\nContent-Length: -1\r\n\r\n".to_owned(), Violation::Length),
    ] {
        let told = session("rtsp://cam/main").handle_server(said.as_bytes().into()).unwrap_err();
        assert!(matches!(told, Error::Wire(found) if found == violation), "{told}");
    }
}

/// A session of which much has to be mended: the answers and packets of a server.
fn server() -> Vec<u8> {
    let mut bytes =
        b"RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nabc\
        \r\nRTSP/1.0 200 OK\nContent-Length: 7\n\nv=0\r\n$x$\0\0\x05$\r\n\r\n$\x01\0\0\r\n"
            .to_vec();
    bytes.extend_from_slice(
        b"RTSP/1.0 200 OK\r\nSession: 7 ;timeout=\r\n x\r\nTransport: RTP/AVP/TCP\r\nCSeq: 3\r\n\r\n$\x02\x01\0",
    );
    bytes.extend((0..=255).rev());
    bytes.extend_from_slice(b"OPTIONS * RTSP/1.0\r\nCSeq: 8\r\n\r\n$\0\0\x09$");
    bytes
}

/// What comes of a server's bytes in such pieces, and whether the connection holds.
fn passed(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut session = session("rtsp://me:x@cam/main");
    ask(&mut session, &describe());
    let mut set_up = Some("SETUP x RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;interleaved=4-5\r\n\r\n");
    let (mut heard, mut holds) = (Vec::new(), true);
    for piece in pieces {
        holds &= session.handle_server((*piece).into()).is_ok();
        heard.extend(std::iter::from_fn(|| session.poll_library()).flatten());
        // The library goes on when it has its answer.
        if session.asked.is_none()
            && let Some(set_up) = set_up.take()
        {
            session.handle_library(set_up.as_bytes().into()).unwrap();
        }
    }
    (heard, holds)
}

#[test]
fn packets_between_answers_pass_as_they_are() {
    let bytes = server();
    let middle = bytes.windows(18).position(|window| window == b"RTSP/1.0 200 OK\r\nS").unwrap();
    let (heard, holds) = passed(&[&bytes[..middle], &bytes[middle..]]);
    let text = String::from_utf8_lossy(&heard).into_owned();
    assert!(
        holds
            && text.starts_with(
                "RTSP/1.0 200 OK\nContent-Length: 7\nCSeq: 1\r\nContent-Base: rtsp://cam/main\r\n\nv=0\r\n$x"
            ),
        "{text}"
    );
    assert!(text.contains("$\0\0\u{5}$\r\n\r\n$\u{1}\0\0RTSP/1.0 200 OK\r\nSession: 7\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n"));
    let packet: Vec<u8> = b"$\x02\x01\0".iter().copied().chain((0..=255).rev()).collect();
    assert!(heard.windows(packet.len()).any(|window| window == packet) && heard.ends_with(b"$\0\0\x09$"));
}

proptest! {
    #[test]
    fn any_split_gives_the_same(cuts in prop::collection::vec(1_usize..40, 1..60)) {
        let bytes = server();
        let middle = bytes.windows(18).position(|window| window == b"RTSP/1.0 200 OK\r\nS").unwrap();
        let (first, second) = bytes.split_at(middle);
        let mut pieces = Vec::new();
        for part in [first, second] {
            let mut rest = part;
            for cut in &cuts {
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = left;
            }
            pieces.push(rest);
        }
        prop_assert_eq!(passed(&pieces), passed(&[first, second]));
    }

    #[test]
    fn damaged_bytes_never_panic(damage in prop::collection::vec((0_usize..700, any::<u8>()), 0..12), cut in 1_usize..90) {
        let mut bytes = server();
        for (at, value) in damage {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        passed(&bytes.chunks(cut).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_never_panic(server in prop::collection::vec(any::<u8>(), 0..400), library in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut session = session("rtsp://me:x@cam/main");
        let _ = session.handle_library(library.as_slice().into());
        let _ = session.handle_server(server.as_slice().into());
        passed(&[&server]);
    }

    #[test]
    fn packets_pass_unread(payloads in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..900)), 0..12), cut in 1_usize..700) {
        let mut bytes = Vec::new();
        for (channel, payload) in &payloads {
            let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
            bytes.extend_from_slice(&[b'$', *channel, high, low]);
            bytes.extend_from_slice(payload);
        }
        prop_assert_eq!(passed(&bytes.chunks(cut).collect::<Vec<_>>()), (bytes.clone(), true));
    }
}
