//! What a session takes of datagrams.

use super::*;

fn session() -> RtcSession {
    let stack = Stack::new(Arc::new(Config::default())).unwrap();
    stack.session(Instant::now(), &["192.0.2.1:5000".parse().unwrap()], &[]).unwrap()
}

fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 0, high, low][..], body].concat()
}

fn come(session: &mut RtcSession, datagram: &[u8]) {
    let [local, remote] = ["192.0.2.1:5000", "192.0.2.2:5000"].map(|address| address.parse().unwrap());
    session.handle_datagram(session.now, local, remote, BytesMut::from(datagram));
}

/// The stack keeps every encrypted record that comes before the keys: this is what bounds them.
#[test]
fn what_comes_before_the_keys_is_bounded() {
    let (mut session, record) = (session(), record(23, 1, &[0; 1000]));
    let admitted = (0..1000).filter(|_| session.admit(BytesMut::from(&record[..])).is_some()).count();
    assert_eq!(admitted, MAX_HANDSHAKE_BYTES / record.len());
    (0..100).for_each(|_| come(&mut session, &record));
    assert!(session.early.len() <= MAX_EARLY);
    // Media and checks are not what fills the stack.
    assert!(session.admit(BytesMut::from(&[128; 1000][..])).is_some());
}

/// The stack keeps every message of a handshake, also after it and in plaintext: 16 KB of each datagram.
#[test]
fn handshakes_after_the_handshake_are_bounded() {
    for epoch in [0, 1] {
        let mut session = session();
        session.phase = Phase::Up;
        let message = |number: u16| {
            let [high, low] = number.to_be_bytes();
            record(22, epoch, &[&[20, 0, 3, 0xE8, high, low, 0, 0, 0, 0, 3, 0xE8][..], &[0; 1000]].concat())
        };
        let admitted = (0..1000).filter(|number| session.admit(BytesMut::from(&message(*number)[..])).is_some());
        let admitted = admitted.count();
        assert!((1..=MAX_HANDSHAKE_BYTES / 1000).contains(&admitted), "{admitted}");
        assert!(session.admit(BytesMut::from(&record(23, 1, &[0; 1000])[..])).is_some());
    }
}

#[test]
fn what_is_not_held_back_may_come_again() {
    let mut session = session();
    (0..MAX_EARLY).for_each(|_| come(&mut session, &record(23, 1, &[0])));
    let done = record(22, 0, &[14, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0]);
    come(&mut session, &done);
    assert_eq!(session.early.len(), MAX_EARLY);
    session.early.clear();
    come(&mut session, &done);
    assert_eq!(session.early.len(), 1);
}

/// The stack makes a state for each source before it knows whether a packet is forged: 300 bytes of each datagram.
#[test]
fn sources_are_bounded_once_there_are_keys() {
    let mut session = session();
    session.phase = Phase::Up;
    let packet = |source: u32| {
        BytesMut::from(&[&[0x80, 96, 0, 1, 0, 0, 0, 0][..], &source.to_be_bytes(), &[0; 20]].concat()[..])
    };
    let admitted = (0..10_000).filter(|source| session.admit(packet(*source)).is_some()).count();
    assert!((1..1_000).contains(&admitted), "{admitted}");
    assert!(session.admit(packet(0)).is_some());
}
