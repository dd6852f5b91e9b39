//! What the recorded server does, and what ours does beyond it.

use super::*;
use proptest::prelude::*;

fn target(room: &str, letter: char) -> Target {
    let uid = format!("{0}-1111-1111-1111-{0}{0}", letter.to_string().repeat(8)).chars().take(36).collect::<String>();
    let uid = format!("{uid:-<36}");
    Target { room: room.into(), token: None, uid }
}

fn uid(letter: char) -> String {
    target("", letter).uid
}

fn texts(deliveries: &[Delivery]) -> Vec<(u64, String)> {
    deliveries.iter().map(|sent| (sent.to.0, String::from_utf8(sent.payload.to_vec()).unwrap())).collect()
}

#[test]
fn newcomers_hear_who_is_there_and_are_announced() {
    let mut board = Switchboard::new(Limits::default());
    let (_, out) = board.join(&target("", 'a')).unwrap();
    assert_eq!(texts(&out), [(1, r#"{"event":"init","ids":[]}"#.to_owned())]);
    let (_, out) = board.join(&target("", 'b')).unwrap();
    let init = format!(r#"{{"event":"init","ids":["{}"]}}"#, uid('a'));
    let online = format!(r#"{{"event":"online","id":"{}"}}"#, uid('b'));
    assert_eq!(texts(&out), [(2, init.clone()), (1, online.clone())]);
    // A second socket of one uid is announced again, but not to its own, and hears each uid once.
    let (_, out) = board.join(&target("", 'b')).unwrap();
    assert_eq!(texts(&out), [(3, init), (1, online)]);
    let (_, out) = board.join(&target("other", 'c')).unwrap();
    assert_eq!(out.len(), 1, "rooms do not hear of each other");
}

#[test]
fn messages_go_byte_for_byte_to_every_socket_of_the_uid() {
    let mut board = Switchboard::new(Limits::default());
    let (a, _) = board.join(&target("", 'a')).unwrap();
    let (b, _) = board.join(&target("", 'b')).unwrap();
    let (b2, _) = board.join(&target("", 'b')).unwrap();
    let message = Bytes::from(format!(r#"{{ "event":"zzz","to":"{}" , "data":{{"x":1}}}}"#, uid('b')));
    for text in [true, false] {
        let out = board.handle_message(a, &message, text);
        let all = [b, b2].map(|to| Delivery { to, payload: message.clone(), text });
        assert_eq!(out, all);
    }
    assert_eq!(board.handle_message(b, &message, true).len(), 2, "the sender's own sockets included");
    for nothing in [r#"{"event":"x"}"#, r#"{"to":"nobody"}"#, "[1]", "3", "", "{", r#"{"to":7}"#, r#"{"to":""}"#] {
        assert!(board.handle_message(a, &Bytes::from(nothing), true).is_empty(), "{nothing}");
    }
}

#[test]
fn nobody_speaks_in_anothers_name() {
    let mut board = Switchboard::new(Limits::default());
    let (a, _) = board.join(&target("", 'a')).unwrap();
    board.join(&target("", 'b')).unwrap();
    let from = |name: &str| Bytes::from(format!(r#"{{"event":"offer","from":"{name}","to":"{}"}}"#, uid('b')));
    assert!(board.handle_message(a, &from(&uid('c')), true).is_empty());
    assert_eq!(board.spoofed(), 1);
    assert_eq!(board.handle_message(a, &from(&uid('a')), true).len(), 1);
}

#[test]
fn those_who_said_hello_hear_when_the_last_socket_of_a_uid_has_gone() {
    let mut board = Switchboard::new(Limits::default());
    let (a, _) = board.join(&target("", 'a')).unwrap();
    let (_old, _) = board.join(&target("", 'c')).unwrap();
    let (b, _) = board.join(&target("", 'b')).unwrap();
    let (b2, _) = board.join(&target("", 'b')).unwrap();
    board.handle_message(a, &Bytes::from_static(br#"{"event":"hello"}"#), true);
    assert!(board.leave(b).is_empty());
    assert_eq!(texts(&board.leave(b2)), [(1, format!(r#"{{"event":"offline","id":"{}"}}"#, uid('b')))]);
    assert!(board.leave(b2).is_empty());
}

#[test]
fn limits_refuse() {
    let limits = Limits { sockets: 4, room_sockets: 3, uid_sockets: 2 };
    let mut board = Switchboard::new(limits);
    board.join(&target("", 'a')).unwrap();
    board.join(&target("", 'a')).unwrap();
    assert_eq!(board.join(&target("", 'a')).unwrap_err(), Refusal::UidFull);
    let (last, _) = board.join(&target("", 'b')).unwrap();
    assert_eq!(board.join(&target("", 'c')).unwrap_err(), Refusal::RoomFull);
    board.join(&target("x", 'c')).unwrap();
    assert_eq!(board.join(&target("y", 'd')).unwrap_err(), Refusal::Full);
    board.leave(last);
    board.join(&target("y", 'd')).unwrap();
    assert_eq!((board.sockets(), board.rooms()), (4, 3));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut board = Switchboard::new(Limits::default());
        let (a, _) = board.join(&target("", 'a')).unwrap();
        let _ = board.handle_message(a, &bytes.into(), true);
    }
}
