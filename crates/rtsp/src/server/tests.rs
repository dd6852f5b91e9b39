//! Sessions as ffmpeg, GStreamer and VLC hold them, and clients that do what they must not.

use proptest::prelude::*;

use super::*;

struct Peer {
    session: ServerSession,
    now: Instant,
}

impl Peer {
    fn new() -> Self {
        let now = Instant::now();
        Self { session: ServerSession::new(5 << 64 | 9, true, now), now }
    }

    fn say(&mut self, text: &str) -> Option<Event> {
        self.session.handle_bytes(text.as_bytes().into());
        self.session.poll_event(self.now).unwrap()
    }

    fn hear(&mut self) -> String {
        let said: Vec<_> = std::iter::from_fn(|| self.session.poll_output()).collect();
        String::from_utf8(said.concat()).unwrap()
    }

    fn ask(&mut self, method: &str, track: &str, headers: &str) -> Option<Event> {
        self.say(&format!(
            "{method} rtsp://h:8554/live/cams/door?token=a%20b{track} RTSP/1.0\r\nCSeq: 7\r\n{headers}\r\n"
        ))
    }

    fn describe(&mut self) {
        let Some(Event::Describe(asked)) = self.ask("DESCRIBE", "", "") else { unreachable!("no DESCRIBE") };
        assert!(asked.name == "cams/door" && asked.credentials.prove("a b") && !asked.credentials.prove("ab"));
        self.session.accept_description("v=0\r\n".to_owned());
        let said = self.hear();
        assert!(
            said.starts_with("RTSP/1.0 200 OK\r\nCSeq: 7\r\n") && said.ends_with("Content-Length: 5\r\n\r\nv=0\r\n")
        );
        assert!(said.contains("Content-Base: rtsp://h:8554/live/cams/door?token=a%20b/\r\n"), "{said}");
    }

    fn set_up(&mut self, track: &str, transport: &str) -> String {
        let event = self.ask("SETUP", track, &format!("Transport: {transport}\r\n"));
        if let Some(Event::SetUp(place, how)) = event {
            assert!(!self.session.base().contains("/trackID"));
            self.session.accept_transport(place, how, Some((8_000, 8_001)), 0xabc);
        }
        self.hear()
    }
}

#[test]
fn a_player_by_tcp() {
    let mut peer = Peer::new();
    assert!(peer.say("OPTIONS rtsp://h/live/cams/door RTSP/1.0\r\nCSeq: 1\r\n\r\n").is_none());
    assert!(peer.hear().contains("Public: OPTIONS, DESCRIBE"));
    peer.describe();
    let said = peer.set_up("/trackID=0", "RTP/AVP/TCP;unicast;interleaved=0-1");
    assert!(said.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00000ABC;mode=\"PLAY\""), "{said}");
    assert!(said.contains("Session: 0000000000000005;timeout=60"), "{said}");
    // The same channels, another way, another track, another session.
    assert!(peer.set_up("/trackID=1", "RTP/AVP/TCP;unicast;interleaved=1-2").starts_with("RTSP/1.0 461 "));
    assert!(peer.set_up("/trackID=1", "RTP/AVP;unicast;client_port=5000-5001").starts_with("RTSP/1.0 461 "));
    assert!(peer.set_up("/trackID=2", "RTP/AVP/TCP").starts_with("RTSP/1.0 404 "));
    assert!(peer.ask("PLAY", "/", "Session: 6\r\n").is_none() && peer.hear().starts_with("RTSP/1.0 454 "));
    assert!(peer.set_up("/trackID=1", "RTP/AVP/TCP;unicast;interleaved=2-3").starts_with("RTSP/1.0 200 "));
    assert!(matches!(peer.ask("PLAY", "/", "Session: 0000000000000005\r\n"), Some(Event::Play)));
    peer.session.accept_play("url=x".to_owned());
    assert!(peer.hear().contains("RTP-Info: url=x\r\n"));
    // One who gets packets may be silent, or send reports.
    assert_eq!(peer.session.poll_timeout(), None);
    assert!(peer.say("$\x01\0\x02xxGET_PARAMETER rtsp://h/x RTSP/1.0\r\nCSeq: 8\r\n\r\n").is_none());
    assert!(peer.hear().starts_with("RTSP/1.0 200 OK\r\nCSeq: 8\r\n"));
    // One who pauses may go on, and has to say something now and then meanwhile.
    assert!(matches!(peer.ask("PAUSE", "/", ""), Some(Event::Paused)));
    assert!(peer.hear().starts_with("RTSP/1.0 200 ") && peer.session.poll_timeout() == Some(peer.now + SILENCE));
    assert!(matches!(peer.ask("PLAY", "/", ""), Some(Event::Play)));
    peer.session.accept_play(String::new());
    assert!(peer.hear().starts_with("RTSP/1.0 200 ") && peer.session.poll_timeout().is_none());
    assert!(matches!(peer.ask("TEARDOWN", "/", ""), Some(Event::Ended)));
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + SILENCE));
    assert!(peer.hear().starts_with("RTSP/1.0 200 "));
}

#[test]
fn a_player_by_udp_has_to_say_something_now_and_then() {
    let mut peer = Peer::new();
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + FIRST_REQUEST));
    peer.describe();
    let said = peer.set_up("/trackID=0", "RTP/AVP;unicast;client_port=5000-5001");
    assert!(said.contains("RTP/AVP;unicast;client_port=5000-5001;server_port=8000-8001;"), "{said}");
    peer.ask("PLAY", "", "");
    peer.session.accept_play(String::new());
    peer.now += Duration::from_secs(50);
    assert!(peer.say("OPTIONS * RTSP/1.0\r\n\r\n").is_none());
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + SILENCE));
    assert_eq!(peer.session.handle_timeout(peer.now + SILENCE - Duration::from_millis(1)), Ok(()));
    assert_eq!(peer.session.handle_timeout(peer.now + SILENCE), Err(Violation::Silent));
}

#[test]
fn a_publisher() {
    let mut peer = Peer::new();
    // As ffmpeg names its tracks.
    let description = "m=video\r\na=control:streamid=0\r\nm=audio\r\na=control:streamid=1\r\n";
    let length = description.len();
    let announce = format!("ANNOUNCE rtsp://h/cams/door RTSP/1.0\r\nContent-Length: {length}\r\n\r\n{description}");
    let Some(Event::Announce(asked, body)) = peer.say(&announce) else { unreachable!("no ANNOUNCE") };
    assert_eq!((asked.name.as_str(), &body[..]), ("cams/door", description.as_bytes()));
    peer.session.accept();
    assert!(peer.set_up("/streamid=1", "RTP/AVP;unicast;client_port=5000-5001").contains("RTSP/1.0 461 "));
    assert!(peer.set_up("/streamid=1", "RTP/AVP/TCP;interleaved=0-1;mode=record").contains("mode=RECORD"));
    assert!(peer.set_up("/streamid=2", "RTP/AVP/TCP").starts_with("RTSP/1.0 404 "));
    assert_eq!(peer.session.tracks(), [None, Some(Transport::Interleaved(0, 1))]);
    assert!(matches!(peer.ask("RECORD", "", ""), Some(Event::Record)));
    peer.session.accept();
    assert!(matches!(peer.say("$\0\0\x01x"), Some(Event::Data { channel: 0, payload }) if payload == b"x"[..]));
    assert!(peer.ask("PLAY", "", "").is_none() && peer.hear().contains("RTSP/1.0 455 "));
}

#[test]
fn what_is_refused() {
    for (request, status) in [
        ("PLAY rtsp://h/x RTSP/1.0\r\n\r\n", 455),
        ("SETUP rtsp://h/x RTSP/1.0\r\n\r\n", 455),
        ("PAUSE rtsp://h/x RTSP/1.0\r\n\r\n", 455),
        ("REDIRECT rtsp://h/x RTSP/1.0\r\n\r\n", 501),
        ("DESCRIBE rtsp://h/x RTSP/1.0\r\nRequire: www.onvif.org/ver20/backchannel\r\n\r\n", 551),
    ] {
        let mut peer = Peer::new();
        assert!(peer.say(request).is_none());
        assert!(peer.hear().starts_with(&format!("RTSP/1.0 {status} ")), "{request}");
    }
    let mut peer = Peer::new();
    peer.ask("DESCRIBE", "", "");
    peer.session.refuse(401);
    let said = peer.hear();
    assert!(
        said.contains("Digest realm=\"sluicegate\", nonce=\"0000000000000009\"") && said.contains("Basic"),
        "{said}"
    );
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_server(&bytes);
    }

    #[test]
    fn damaged_sessions_never_panic(damage in prop::collection::vec((0usize..500, any::<u8>()), 0..10)) {
        let mut bytes = b"DESCRIBE rtsp://h/x RTSP/1.0\r\nAuthorization: Digest username=\"a\", realm=\"sluicegate\", \
            nonce=\"0000000000000007\", uri=\"x\", response=\"00\"\r\n\r\nSETUP rtsp://h/x/trackID=0 RTSP/1.0\r\n\
            Transport: RTP/AVP/TCP;interleaved=0-1\r\n\r\nPLAY rtsp://h/x RTSP/1.0\r\n\r\n$\0\0\x02xxTEARDOWN x RTSP/1.0\r\n\r\n"
            .to_vec();
        for (at, value) in damage {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        fuzz_server(&bytes);
    }
}
