//! Both ends of the protocol against each other on a virtual clock, and against bytes that nobody means well.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use sluicegate_flv::amf0::Value;
use sluicegate_media::Codec;
use sluicegate_rtmp::protocol::{
    Address, CHUNK_BYTES, ClientConfig, ClientEvent, ClientSession, Command, Message, Purpose, ServerEvent,
    ServerSession, Violation, kind, status, write_message,
};

/// A client and a server with nothing but a memory between them.
struct Pair {
    now: Instant,
    client: ClientSession,
    server: ServerSession,
    /// Bytes handed over at once.
    cut: usize,
}

fn config(purpose: Purpose) -> ClientConfig {
    let address = Address::parse(&"rtmp://host/cams/hall?token=t".parse().unwrap()).unwrap();
    ClientConfig { address, purpose }
}

impl Pair {
    fn new(purpose: Purpose, cut: usize) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let client = ClientSession::new(config(purpose), 1, now);
        Self { now, client, server: ServerSession::new(2, now), cut }
    }

    /// Carries bytes both ways until nothing moves or something happens.
    fn run(&mut self) -> (Vec<ClientEvent>, Vec<ServerEvent>) {
        loop {
            let (mut moved, mut client, mut server) = (false, Vec::new(), Vec::new());
            if let Some(bytes) = self.client.poll_output() {
                moved = true;
                for piece in bytes.chunks(self.cut) {
                    self.server.handle_bytes(Bytes::copy_from_slice(piece));
                    server.extend(std::iter::from_fn(|| self.server.poll_event().unwrap()));
                }
            }
            if let Some(bytes) = self.server.poll_output() {
                moved = true;
                for piece in bytes.chunks(self.cut) {
                    self.client.handle_bytes(Bytes::copy_from_slice(piece));
                    client.extend(std::iter::from_fn(|| self.client.poll_event(self.now).unwrap()));
                }
            }
            if !moved || !client.is_empty() || !server.is_empty() {
                return (client, server);
            }
        }
    }

    fn send(&mut self, message_kind: u8, timestamp: u32, payload: &[u8]) -> Vec<ServerEvent> {
        let mut out = BytesMut::new();
        write_message(message_kind, timestamp, 1, payload, CHUNK_BYTES, &mut out);
        self.server.handle_bytes(out.freeze());
        std::iter::from_fn(|| self.server.poll_event().unwrap()).collect()
    }
}

#[test]
fn a_client_publishes_however_the_bytes_are_cut() {
    for cut in [1, 13, 1 << 20] {
        let mut pair = Pair::new(Purpose::Publish, cut);
        let (_, asked) = pair.run();
        let [ServerEvent::Publish(request)] = asked.as_slice() else { unreachable!("{asked:?}") };
        assert_eq!(request.place.name, "cams/hall");
        assert_eq!(request.place.parameter("token").as_deref(), Some("t"));
        assert!(request.capabilities.takes(Codec::Av1) && request.capabilities.multitrack());
        pair.server.accept_publish();
        let (started, _) = pair.run();
        let [ClientEvent::Started { stream: 1, capabilities }] = started.as_slice() else {
            unreachable!("{started:?}")
        };
        assert!(capabilities.are_told());
        let payload = vec![7; 150_000];
        let got = pair.send(kind::VIDEO, 0x0100_0000, &payload);
        let expected = Message { kind: kind::VIDEO, timestamp: 0x0100_0000, stream: 1, payload: payload.into() };
        assert_eq!(got, [ServerEvent::Media(expected)]);
        pair.client.finish();
        assert_eq!(pair.run().1, [ServerEvent::Ended]);
        assert_eq!((pair.server.poll_timeout(), pair.client.poll_timeout()), (None, None));
    }
}

#[test]
fn a_client_plays_until_the_server_ends_it() {
    let mut pair = Pair::new(Purpose::Play, 100);
    let (_, asked) = pair.run();
    assert!(matches!(asked.as_slice(), [ServerEvent::Play(request)] if request.place.name == "cams/hall"));
    pair.server.accept_play();
    assert!(matches!(pair.run().0.as_slice(), [ClientEvent::Started { .. }]));
    let mut out = BytesMut::new();
    write_message(kind::AUDIO, 5, 1, &[0xaf, 1, 2], CHUNK_BYTES, &mut out);
    pair.client.handle_bytes(out.freeze());
    let got = pair.client.poll_event(pair.now).unwrap();
    assert!(matches!(got, Some(ClientEvent::Media(message)) if message.timestamp == 5 && message.payload.len() == 3));
    pair.server.end("the publisher has finished");
    assert_eq!(pair.run().0.first(), Some(&ClientEvent::Ended));
}

#[test]
fn a_refusal_says_why() {
    let mut pair = Pair::new(Purpose::Publish, 1 << 20);
    pair.run();
    pair.server.refuse(status::BAD_NAME, "stream cams/hall is published already");
    let bytes = pair.server.poll_output().unwrap();
    pair.client.handle_bytes(bytes);
    let refused = pair.client.poll_event(pair.now).unwrap_err();
    let text = "the server refuses: NetStream.Publish.BadName stream cams/hall is published already";
    assert_eq!(refused.to_string(), text);
}

#[test]
fn whoever_says_nothing_is_dropped_in_time() {
    let mut pair = Pair::new(Purpose::Play, 1 << 20);
    let deadline = pair.server.poll_timeout().unwrap();
    assert_eq!(deadline - pair.now, Duration::from_secs(10));
    assert_eq!(pair.server.handle_timeout(deadline - Duration::from_millis(1)), Ok(()));
    assert!(matches!(pair.server.handle_timeout(deadline), Err(Violation::Late { .. })));
    let deadline = pair.client.poll_timeout().unwrap();
    assert!(matches!(pair.client.handle_timeout(deadline), Err(Violation::Late { what: "the handshake", .. })));
    pair.now += Duration::from_secs(3);
    pair.run();
    assert!(matches!(pair.client.handle_timeout(pair.now + Duration::from_secs(14)), Ok(())));
    let late = pair.client.handle_timeout(pair.now + Duration::from_secs(15));
    assert!(matches!(late, Err(Violation::Late { what: "the stream's start", .. })), "{late:?}");
}

#[test]
fn what_has_arrived_is_acknowledged_and_pings_are_answered() {
    let mut pair = Pair::new(Purpose::Publish, 1 << 20);
    pair.run();
    pair.server.accept_publish();
    pair.run();
    pair.send(kind::VIDEO, 0, &vec![0x27; 1_300_000]);
    let sent = pair.server.poll_output().unwrap();
    // Type 3 on chunk stream 2, four bytes: what has arrived, the handshake included.
    assert_eq!(sent[..12], [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0]);
    let received = u32::from_be_bytes(sent[12..16].try_into().unwrap());
    assert!((1_300_000 + 3_073..1_310_000).contains(&received), "{received}");
    pair.send(kind::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]);
    assert_eq!(pair.server.poll_output().unwrap()[12..], [0, 7, 1, 2, 3, 4]);
}

#[test]
fn commands_out_of_order_end_the_session() {
    let ask = |names: &[&str]| {
        let (mut pair, mut out) = (Pair::new(Purpose::Publish, 1 << 20), BytesMut::new());
        // The handshake only: what the client would say next is left out.
        let first = pair.client.poll_output().unwrap();
        pair.server.handle_bytes(first);
        pair.server.poll_event().unwrap();
        pair.server.handle_bytes(Bytes::from(vec![0; 1_536]));
        for name in names {
            let command = Command::new(name, 1.0, vec![Value::Null, Value::String("x".into())]);
            write_message(kind::COMMAND, 0, 0, &command.encode(), 128, &mut out);
        }
        pair.server.handle_bytes(out.freeze());
        loop {
            match pair.server.poll_event() {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    };
    assert!(matches!(ask(&["publish"]), Err(Violation::Incomplete { .. })));
    assert!(matches!(ask(&["connect", "publish", "play"]), Err(Violation::Incomplete { .. })));
    assert!(matches!(ask(&["connect", "publish", "deleteStream", "play"]), Ok(None)));
    assert!(matches!(ask(&["connect", "what", "publish"]), Ok(None)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage anywhere behind the handshake costs the session at most.
    #[test]
    fn damaged_bytes_never_panic(at in 0usize..3_000, flip in 1u8.., cut in 1usize..200, purpose in any::<bool>()) {
        let purpose = if purpose { Purpose::Publish } else { Purpose::Play };
        let now = tokio::time::Instant::now().into_std();
        let (mut client, mut server) = (ClientSession::new(config(purpose), 1, now), ServerSession::new(2, now));
        let (mut sent, mut received) = (0, 0);
        let damage = |bytes: &Bytes, count: &mut usize| {
            let mut bytes = bytes.to_vec();
            let place = at.wrapping_add(1_537 * 2);
            if (*count..*count + bytes.len()).contains(&place) {
                bytes[place - *count] ^= flip;
            }
            *count += bytes.len();
            bytes
        };
        for _ in 0..8 {
            for piece in client.poll_output().map(|bytes| damage(&bytes, &mut sent)).unwrap_or_default().chunks(cut) {
                server.handle_bytes(Bytes::copy_from_slice(piece));
                loop {
                    match server.poll_event() {
                        Ok(Some(ServerEvent::Publish(_))) => server.accept_publish(),
                        Ok(Some(ServerEvent::Play(_))) => server.accept_play(),
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
            for piece in server.poll_output().map(|bytes| damage(&bytes, &mut received)).unwrap_or_default().chunks(cut) {
                client.handle_bytes(Bytes::copy_from_slice(piece));
                loop {
                    match client.poll_event(now) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}
