//! Data channels: messages in both directions, limits, back-pressure, opening and closing.

use std::time::Duration;

use sluicegate_rtc_driver::{ChannelOptions, CloseReason, Config, Error, Message, Options, Reliability, State};

use crate::stage::{Stage, binary};

#[test]
fn messages_go_both_ways_in_order() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    for number in 0..100_u8 {
        stage.send(0, first, binary(&[number; 3000])).unwrap();
    }
    stage.send(1, second, Message::Text("grüß".to_owned())).unwrap();
    stage.send(1, second, Message::Text(String::new())).unwrap();
    stage.send(1, second, binary(&[])).unwrap();
    let done =
        |stage: &Stage| stage.seen(1, second.0).messages.len() == 100 && stage.seen(0, first.0).messages.len() == 3;
    assert!(stage.run(Duration::from_secs(5), done));
    for (number, (_, message)) in stage.seen(1, second.0).messages.iter().enumerate() {
        assert_eq!(*message, binary(&[u8::try_from(number).unwrap(); 3000]));
    }
    let replies: Vec<&Message> = stage.seen(0, first.0).messages.iter().map(|(_, message)| message).collect();
    assert_eq!(replies, [&Message::Text("grüß".to_owned()), &Message::Text(String::new()), &binary(&[])]);
    assert_eq!(stage.seen(1, second.0).open[0].1, "chat");
}

#[test]
fn the_longest_message_passes_and_a_longer_one_is_refused() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    let limit = Config::default().max_message;
    stage.send(0, first, binary(&vec![7; limit])).unwrap();
    let refused = stage.send(0, first, binary(&vec![7; limit + 1]));
    assert!(matches!(refused, Err(Error::MessageTooLong { limit: told, .. }) if told == limit), "{refused:?}");
    assert!(stage.run(Duration::from_secs(10), |stage| !stage.seen(1, second.0).messages.is_empty()));
    assert_eq!(stage.seen(1, second.0).messages[0].1.len(), limit);
}

/// The stack's own `send` never refuses: the cap is ours.
#[test]
fn the_send_buffer_fills_and_drains() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    let mut sent = 0;
    let full = loop {
        match stage.send(0, first, binary(&[1; 50_000])) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::Full), "{full:?}");
    assert_eq!(sent, Config::default().send_buffer / 50_000);
    assert_eq!(stage.hosts[0].endpoint.buffered(first.0), sent * 50_000);
    assert!(stage.run(Duration::from_secs(20), |stage| stage.seen(1, second.0).messages.len() == sent));
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.hosts[0].endpoint.buffered(first.0), 0);
    stage.send(0, first, binary(&[1; 50_000])).unwrap();
}

/// An owner that does not read stops its peer, not itself: nothing is lost, and all comes when it reads again.
#[test]
fn a_reader_that_pauses_shuts_the_window() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    stage.hosts[1].endpoint.set_reading(second.0, false);
    let mut sent = 0_u32;
    for _ in 0..200 {
        while stage.send(0, first, binary(&[&sent.to_be_bytes()[..], &[0; 40_000]].concat())).is_ok() {
            sent += 1;
        }
        stage.pass(Duration::from_millis(100));
    }
    assert_eq!(stage.seen(1, second.0).messages.len(), 0);
    // 256 messages wait in the stack, the window and the send buffer hold the rest.
    assert!(sent > 50 && sent < 256 + 26 + 53 + 5, "{sent}");
    stage.hosts[1].endpoint.set_reading(second.0, true);
    let all = |stage: &Stage| stage.seen(1, second.0).messages.len() == sent as usize;
    assert!(stage.run(Duration::from_secs(60), all), "{} of {sent}", stage.seen(1, second.0).messages.len());
    for (number, (_, message)) in stage.seen(1, second.0).messages.iter().enumerate() {
        let Message::Binary(bytes) = message else { panic!("{message:?}") };
        assert_eq!(bytes[..4], u32::try_from(number).unwrap().to_be_bytes());
    }
    assert_eq!(stage.state(0, first.0), Some(State::Connected));
}

#[test]
fn channels_open_later_and_close_for_both() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    let now = stage.now;
    let options = ChannelOptions { protocol: "chunks".to_owned(), ..ChannelOptions::default() };
    let more = stage.hosts[1].endpoint.open_channel(now, second.0, "more", &options).unwrap();
    let open = |stage: &Stage| stage.seen(0, first.0).open.len() == 2 && stage.seen(1, second.0).open.len() == 2;
    assert!(stage.run(Duration::from_secs(5), open));
    let (theirs, label) = stage.seen(0, first.0).open[1].clone();
    assert_eq!(label, "more");
    stage.send(1, (second.0, more), binary(b"last")).unwrap();
    let now = stage.now;
    stage.hosts[1].endpoint.close_channel(now, second.0, more);
    let closed = |stage: &Stage| stage.seen(0, first.0).closed == [theirs] && stage.seen(1, second.0).closed == [more];
    assert!(stage.run(Duration::from_secs(5), closed), "{:?}", stage.hosts[0].seen);
    assert_eq!(stage.seen(0, first.0).messages, [(theirs, binary(b"last"))]);
    assert!(matches!(stage.send(1, (second.0, more), binary(b"too late")), Err(Error::ChannelClosed)));
    stage.send(0, first, binary(b"goes on")).unwrap();
    assert!(stage.run(Duration::from_secs(5), |stage| !stage.seen(1, second.0).messages.is_empty()));
}

#[test]
fn a_peer_cannot_open_more_channels_than_allowed() {
    let mut stage = Stage::new(vec![Config::default(), Config { max_channels: 4, ..Config::default() }]);
    let (first, second) = stage.connected();
    let now = stage.now;
    for _ in 0..20 {
        stage.hosts[0].endpoint.open_channel(now, first.0, "more", &ChannelOptions::default()).unwrap();
    }
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.seen(1, second.0).open.len(), 4);
    assert_eq!(stage.state(1, second.0), Some(State::Connected));
    let own = stage.hosts[1].endpoint.open_channel(stage.now, second.0, "own", &ChannelOptions::default());
    assert!(matches!(own, Err(Error::TooManyChannels { limit: 4 })), "{own:?}");
}

/// A partially reliable channel that the peer opens is answered reliably by the stack: agreeing on a stream is the way
/// to have it unreliable in both directions.
#[test]
fn a_negotiated_channel_is_unreliable_both_ways() {
    let mut stage = Stage::pair();
    let options = ChannelOptions {
        ordered: false,
        reliability: Reliability::Retransmits(0),
        negotiated: Some(7),
        ..ChannelOptions::default()
    };
    let (first, offer) = stage.hosts[0]
        .endpoint
        .offer(stage.now, &Options { channels: vec![("fast".to_owned(), options.clone())], ..Options::default() })
        .unwrap();
    let (second, answer) = stage.hosts[1].endpoint.answer(stage.now, &offer, &Options::default()).unwrap();
    stage.hosts[1].endpoint.open_channel(stage.now, second, "fast", &options).unwrap();
    stage.hosts[0].endpoint.accept_answer(stage.now, first, &answer).unwrap();
    let open = |stage: &Stage| stage.channel(0, first).is_some() && stage.channel(1, second).is_some();
    assert!(stage.run(Duration::from_secs(5), open));
    let ends = [(first, stage.channel(0, first).unwrap()), (second, stage.channel(1, second).unwrap())];
    stage.loss = 300;
    for number in 0..200_u8 {
        for (host, end) in ends.into_iter().enumerate() {
            stage.send(host, end, binary(&[number; 500])).unwrap();
        }
        stage.pass(Duration::from_millis(50));
    }
    stage.loss = 0;
    stage.pass(Duration::from_secs(5));
    for (host, end) in ends.into_iter().enumerate() {
        let arrived = stage.seen(host, end.0).messages.len();
        assert!((50..200).contains(&arrived), "host {host} got {arrived} of 200");
        assert_eq!(stage.hosts[host].endpoint.buffered(end.0), 0);
    }
}

#[test]
fn what_was_sent_before_a_goodbye_arrives() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    for number in 0..20 {
        stage.send(0, first, binary(&[number; 1000])).unwrap();
    }
    stage.pass(Duration::from_millis(20));
    stage.hosts[0].endpoint.close(stage.now, first.0);
    let ended = |stage: &Stage| stage.state(1, second.0) == Some(State::Closed(CloseReason::Peer));
    assert!(stage.run(Duration::from_secs(1), ended), "{:?}", stage.seen(1, second.0).states);
    assert_eq!(stage.seen(1, second.0).messages.len(), 20);
    assert_eq!(stage.state(0, first.0), Some(State::Closed(CloseReason::Local)));
    assert!(stage.hosts.iter().all(|host| host.endpoint.is_empty()));
}
