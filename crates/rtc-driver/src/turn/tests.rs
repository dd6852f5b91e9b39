//! A client against a server that answers by script, on a virtual clock.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

const RELAYED: &str = "203.0.113.7:49200";
const SUCCESS: u16 = 0x0100;
const FAILURE: u16 = 0x0110;

/// What was asked of the server.
#[derive(Debug, Clone)]
struct Asked {
    method: u16,
    transaction: Transaction,
    peer: Option<SocketAddr>,
    /// Whether a relay of IPv6 is asked for.
    ipv6: bool,
    signed: bool,
    released: bool,
}

struct Stage {
    now: Instant,
    client: Client,
    nonce: Vec<u8>,
    key: credentials::Key,
}

impl Stage {
    fn new() -> Self {
        Self::by(false)
    }

    fn by(streamed: bool) -> Self {
        let now = Instant::now();
        let password = TurnCredential::Password("secret".to_owned());
        let credentials = Credentials::new("me".to_owned(), password, now, SystemTime::now());
        let key = credentials::key("me", b"here", "secret");
        Self { now, client: Client::new(now, credentials, streamed, false), nonce: b"nonce-1".to_vec(), key }
    }

    /// One that has its relay.
    fn up() -> Self {
        let mut stage = Self::new();
        stage.settle(Self::serve);
        assert_eq!(stage.news(), [News::Relayed(RELAYED.parse().unwrap())]);
        stage
    }

    fn news(&mut self) -> Vec<News> {
        std::iter::from_fn(|| self.client.poll_news()).collect()
    }

    /// The requests that have left; the rest is returned as it is.
    fn sent(&mut self) -> (Vec<Asked>, Vec<BytesMut>) {
        self.client.handle_timeout(self.now);
        let (mut asked, mut other) = (Vec::new(), Vec::new());
        while let Some(bytes) = self.client.poll_transmit() {
            match classify(&bytes) {
                Kind::Stun(stun) if stun.class == Class::Request => asked.push(Asked {
                    method: stun.method,
                    transaction: stun.transaction,
                    peer: stun.address(0x0012),
                    ipv6: stun.attribute(0x0017) == Some(&[2, 0, 0, 0]),
                    signed: message::is_signed(&bytes, &stun, &self.key) && message::nonce(&stun) == Some(&self.nonce),
                    released: message::lifetime(&stun) == Some(0),
                }),
                _ => other.push(bytes),
            }
        }
        (asked, other)
    }

    fn answer(&mut self, asked: &Asked, class: u16, add: impl FnOnce(Builder) -> Builder) -> BytesMut {
        let message = add(Builder::new(asked.method | class, asked.transaction, 0));
        if class == FAILURE {
            return message.unsigned();
        }
        let login = Login { username: String::new(), realm: Vec::new(), nonce: Vec::new(), key: self.key };
        message.signed(&login)
    }

    fn refuse(&mut self, asked: &Asked, code: u16) -> BytesMut {
        let [class, number] = [code / 100, code % 100].map(|part| u8::try_from(part).unwrap());
        let nonce = self.nonce.clone();
        self.answer(asked, FAILURE, |message| {
            message.attribute(0x0009, &[0, 0, class, number]).attribute(0x0014, b"here").attribute(0x0015, &nonce)
        })
    }

    /// What an honest server answers.
    fn serve(&mut self, asked: &Asked) -> Option<BytesMut> {
        Some(if asked.signed {
            let relayed = crate::wire::masked(&asked.transaction, RELAYED.parse().unwrap());
            self.answer(asked, SUCCESS, |message| message.attribute(0x0016, &relayed).lifetime(600))
        } else {
            self.refuse(asked, if asked.method == message::ALLOCATE { 401 } else { 438 })
        })
    }

    /// Answers until nothing more is asked; returns the other datagrams that left.
    fn settle(&mut self, mut serve: impl FnMut(&mut Self, &Asked) -> Option<BytesMut>) -> Vec<BytesMut> {
        let mut others = Vec::new();
        loop {
            let (asked, other) = self.sent();
            others.extend(other);
            if asked.is_empty() {
                return others;
            }
            for asked in &asked {
                if let Some(answer) = serve(self, asked) {
                    assert_eq!(self.client.handle(self.now, answer), None);
                }
            }
        }
    }

    /// To the next deadline.
    fn pass(&mut self) -> Duration {
        let next = self.client.poll_timeout().unwrap();
        let passed = next.saturating_duration_since(self.now);
        self.now = self.now.max(next);
        passed
    }
}

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], port))
}

fn check() -> BytesMut {
    BytesMut::from(&crate::wire::binding_request([5; 12])[..])
}

#[test]
fn a_relay_is_asked_for_refreshed_and_asked_for_again() {
    let mut stage = Stage::up();
    for _ in 0..100 {
        assert_eq!(stage.pass(), REFRESH);
        let (asked, _) = stage.sent();
        assert_eq!(
            asked.iter().map(|asked| (asked.method, asked.signed)).collect::<Vec<_>>(),
            [(message::REFRESH, true)]
        );
        let answer = stage.serve(&asked[0]).unwrap();
        stage.client.handle(stage.now, answer);
    }
    // Nonces change.
    stage.nonce = b"nonce-2".to_vec();
    stage.pass();
    stage.settle(Stage::serve);
    assert_eq!((stage.news(), stage.pass()), (vec![], REFRESH));
    // The server is gone, and comes back.
    let began = stage.now;
    let mut sends = 0;
    while stage.news().is_empty() {
        sends += stage.sent().0.len();
        stage.pass();
        stage.client.handle_timeout(stage.now);
        assert!(stage.now < began + Duration::from_secs(16));
    }
    assert_eq!(sends, 5);
    stage.client.send(stage.now, peer(1), &check());
    assert_eq!(stage.client.take_lost(), 1);
    stage.settle(Stage::serve);
    assert_eq!(stage.news(), [News::Relayed(RELAYED.parse().unwrap())]);
    stage.client.close(stage.now);
    let (asked, _) = stage.sent();
    assert!(asked[0].released && asked[0].signed);
}

#[test]
fn a_server_that_has_forgotten_us_is_asked_at_once() {
    let mut stage = Stage::up();
    stage.pass();
    let mut forgotten = true;
    stage.settle(
        |stage, asked| {
            if std::mem::take(&mut forgotten) { Some(stage.refuse(asked, 437)) } else { stage.serve(asked) }
        },
    );
    assert_eq!(stage.news(), [News::Failed(Fault::Forgotten), News::Relayed(RELAYED.parse().unwrap())]);
    // A relay that it holds without our knowing is given back before the next try, also where it says so before it asks
    // for our name.
    for first_of_all in [false, true] {
        let mut stage = Stage::new();
        let mut released = false;
        stage.settle(|stage, asked| {
            released |= asked.released && asked.signed;
            let holds = asked.method == message::ALLOCATE && (asked.signed || first_of_all);
            if holds { Some(stage.refuse(asked, 437)) } else { stage.serve(asked) }
        });
        assert!(released);
        assert_eq!(stage.news(), [News::Failed(Fault::Refused(437))]);
        stage.pass();
        stage.settle(Stage::serve);
        assert_eq!(stage.news(), [News::Relayed(RELAYED.parse().unwrap())]);
    }
}

#[test]
fn refusals_are_repeated_with_growing_pauses() {
    for (code, fault) in [(401, Fault::Credentials), (508, Fault::Refused(508))] {
        let mut stage = Stage::new();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            stage.settle(|stage, asked| Some(stage.refuse(asked, if asked.signed { code } else { 401 })));
            assert_eq!(stage.news(), [News::Failed(fault)]);
            pauses.push(stage.pass());
        }
        let (first, longest) = BACK_OFF;
        assert!(pauses[0] >= first / 2 && pauses[0] <= first, "{pauses:?}");
        assert!(pauses[4] > first * 4 && pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
    }
}

#[test]
fn peers_get_permissions_then_channels() {
    let mut stage = Stage::up();
    let media = BytesMut::from(&[128; 100][..]);
    stage.client.send(stage.now, peer(1), &check());
    stage.client.send(stage.now, peer(2), &check());
    let (asked, other) = stage.sent();
    assert_eq!(
        asked.iter().map(|asked| (asked.method, asked.peer)).collect::<Vec<_>>(),
        [(message::CREATE_PERMISSION, Some(peer(0)))]
    );
    assert!(other.is_empty());
    let granted = stage.serve(&asked[0]).unwrap();
    stage.client.handle(stage.now, granted);
    let inner = |bytes: &BytesMut| match classify(bytes) {
        Kind::Stun(stun) => message::data(&stun).map(|(peer, data)| (peer, data.to_vec())),
        _ => None,
    };
    let (asked, other) = stage.sent();
    assert!(asked.is_empty());
    assert_eq!(other.iter().filter_map(inner).collect::<Vec<_>>(), [1, 2].map(|port| (peer(port), check().to_vec())));
    // Checks alone bind no channel; media does, once.
    stage.client.send(stage.now, peer(1), &check());
    assert_eq!(stage.sent().0.len(), 0);
    stage.client.send(stage.now, peer(1), &media);
    stage.client.send(stage.now, peer(1), &media);
    let (asked, other) = stage.sent();
    assert_eq!(
        asked.iter().map(|asked| (asked.method, asked.peer)).collect::<Vec<_>>(),
        [(message::CHANNEL_BIND, Some(peer(1)))]
    );
    assert_eq!(other.iter().filter_map(inner).count(), 2);
    let bound = stage.serve(&asked[0]).unwrap();
    stage.client.handle(stage.now, bound);
    stage.client.send(stage.now, peer(1), &media);
    let (_, other) = stage.sent();
    let framed = [&[0x40, 0, 0, 100][..], &media].concat();
    assert_eq!(other, [&framed[..]]);
    // And back, by channel and with the address.
    let back = stage.client.handle(stage.now, BytesMut::from(&[&framed[..], b"pad"].concat()[..]));
    assert_eq!(back, Some((peer(1), media.clone())));
    let addressed = Builder::new(0x0017, [6; 12], 0).peer(peer(3)).data(&media).unsigned();
    assert_eq!(stage.client.handle(stage.now, addressed), Some((peer(3), media.clone())));
    let unknown = [&[0x40, 9, 0, 100][..], &media].concat();
    assert_eq!(stage.client.handle(stage.now, BytesMut::from(&unknown[..])), None);
    // Both are renewed while they are used, then forgotten.
    let (mut permissions, mut channels) = (0, 0);
    let end = stage.now + Duration::from_secs(3600);
    while stage.now < end {
        stage.pass();
        stage.client.send(stage.now, peer(1), &media);
        stage.settle(|stage, asked| {
            permissions += u32::from(asked.method == message::CREATE_PERMISSION);
            channels += u32::from(asked.method == message::CHANNEL_BIND);
            stage.serve(asked)
        });
    }
    assert_eq!((permissions, channels), (1, 15));
    let end = stage.now + Duration::from_secs(3600);
    while stage.now < end {
        stage.pass();
        stage.settle(Stage::serve);
    }
    assert_eq!((stage.client.peers.len(), stage.client.armed.len()), (0, 1));
}

#[test]
fn a_refused_peer_is_let_be() {
    let mut stage = Stage::up();
    stage.client.send(stage.now, peer(1), &check());
    stage.settle(|stage, asked| Some(stage.refuse(asked, 403)));
    stage.client.send(stage.now, peer(1), &check());
    assert_eq!((stage.sent().0.len(), stage.client.take_lost(), stage.news()), (0, 1, vec![]));
    let end = stage.now + Duration::from_secs(61);
    while stage.now < end {
        stage.pass();
        stage.settle(Stage::serve);
    }
    stage.client.send(stage.now, peer(1), &check());
    assert_eq!(stage.sent().0.len(), 1);
}

#[test]
fn a_server_without_ipv4_is_asked_for_ipv6() {
    let mut stage = Stage::new();
    let serve = |stage: &mut Stage, asked: &Asked| {
        if asked.signed && asked.method == message::ALLOCATE && !asked.ipv6 {
            return Some(stage.refuse(asked, 440));
        }
        stage.serve(asked)
    };
    stage.settle(serve);
    assert_eq!(stage.news(), [News::Relayed(RELAYED.parse().unwrap())]);
    // Another one may have come in its place.
    stage.client.cut(stage.now, Fault::Forgotten);
    stage.pass();
    stage.settle(|stage, asked| {
        assert!(!asked.ipv6);
        stage.serve(asked)
    });
    // One that has neither is asked again with pauses.
    let mut stage = Stage::new();
    stage.settle(|stage, asked| Some(stage.refuse(asked, if asked.signed { 440 } else { 401 })));
    assert_eq!(stage.news(), [News::Failed(Fault::Refused(440))]);
}

#[test]
fn over_a_stream_each_request_is_sent_once_and_its_end_is_the_relays() {
    let mut stage = Stage::by(true);
    assert_eq!(stage.sent().0.len(), 1);
    assert_eq!(stage.pass(), STREAM_WAIT);
    assert!(stage.sent().0.is_empty());
    assert_eq!(stage.news(), [News::Failed(Fault::NoAnswer)]);
    // A connection that cannot be had is tried again with growing pauses.
    let mut pauses = Vec::new();
    for _ in 0..10 {
        pauses.push(stage.pass());
        assert_eq!(stage.sent().0.len(), 1);
        stage.client.cut(stage.now, Fault::Unreachable);
        assert_eq!(stage.news(), [News::Failed(Fault::Unreachable)]);
    }
    let (first, longest) = BACK_OFF;
    assert!(pauses[5] > first * 4 && pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
    stage.pass();
    stage.settle(Stage::serve);
    assert_eq!(stage.news(), [News::Relayed(RELAYED.parse().unwrap())]);
    // One that ends after it has held is replaced at once; what waited for it is not said to its successor.
    stage.now += HEALTHY;
    stage.client.send(stage.now, peer(1), &check());
    stage.client.cut(stage.now, Fault::Closed);
    stage.client.cut(stage.now, Fault::Closed);
    assert_eq!(stage.news(), [News::Failed(Fault::Closed)]);
    let (asked, other) = stage.sent();
    assert_eq!(asked.iter().map(|asked| asked.method).collect::<Vec<_>>(), [message::ALLOCATE]);
    assert!(other.is_empty());
    // No word of farewell: the connection ends.
    let mut stage = Stage::by(true);
    stage.settle(Stage::serve);
    stage.client.close(stage.now);
    assert!(stage.sent().0.is_empty());
}

#[test]
fn forged_answers_do_nothing() {
    let mut stage = Stage::new();
    stage.settle(|stage, asked| {
        if asked.signed {
            stage.key = [0; 16];
            let forged = stage.serve(&Asked { signed: true, ..asked.clone() });
            stage.key = credentials::key("me", b"here", "secret");
            forged
        } else {
            stage.serve(asked)
        }
    });
    assert_eq!(stage.news(), []);
    // The honest one still counts.
    stage.pass();
    stage.settle(Stage::serve);
    assert_eq!(stage.news(), [News::Relayed(RELAYED.parse().unwrap())]);
}

proptest! {
    /// Whatever a server sends, at any point of the exchange, costs nothing but the relay.
    #[test]
    fn damaged_answers_never_panic(
        at in prop::collection::vec((0_usize..200, any::<u8>(), 0_usize..200), 1..20),
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut stage = Stage::new();
        for (at, with, length) in at {
            let now = stage.now;
            stage.client.handle(now, BytesMut::from(&bytes[..]));
            stage.client.send(now, peer(1), &check());
            stage.client.send(now, peer(1), &BytesMut::from(&[128; 50][..]));
            let (asked, _) = stage.sent();
            for asked in &asked {
                let mut answer = stage.serve(asked).unwrap();
                let mut damaged = answer.clone();
                let at = at % damaged.len();
                damaged[at] = with;
                damaged.truncate(length.max(1));
                stage.client.handle(now, damaged);
                if length > 100 {
                    stage.client.handle(now, answer.split());
                }
            }
            stage.pass();
        }
        prop_assert!(stage.client.requests.len() <= MAX_REQUESTS + 3);
    }
}
