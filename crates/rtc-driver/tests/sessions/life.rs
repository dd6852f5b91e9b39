//! How sessions begin and end.

use std::time::Duration;

use sluicegate_rtc_driver::{CloseReason, Config, Error, Options, State};

use crate::stage::Stage;

fn closed(reason: CloseReason) -> Option<State> {
    Some(State::Closed(reason))
}

/// Without the stack's clock being asked after each ICE event, its first DTLS message waits for the next tick of 200 ms.
#[test]
fn connecting_takes_a_few_round_trips() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connect();
    let start = stage.now;
    let up = |stage: &Stage| {
        stage.state(0, first) == Some(State::Connected) && stage.state(1, second) == Some(State::Connected)
    };
    assert!(stage.run(Duration::from_secs(5), up));
    let took = stage.now - start;
    // Checks and their nomination, then the three round trips of DTLS 1.2 with its cookie, at 2 ms each.
    assert!(took < Duration::from_millis(30), "{took:?}");
    assert_eq!(stage.seen(0, first).states, [State::Connecting, State::Connected]);
    assert_eq!(stage.seen(1, second).states, [State::Connecting, State::Connected]);
}

#[test]
fn a_peer_that_vanishes_is_noticed_within_ten_seconds() {
    let mut stage = Stage::pair();
    let (first, _) = stage.connected();
    stage.pass(Duration::from_secs(30));
    assert_eq!(stage.state(0, first.0), Some(State::Connected));
    stage.hosts[1].dead = true;
    let start = stage.now;
    let gone = |stage: &Stage| stage.state(0, first.0) == closed(CloseReason::Vanished);
    assert!(stage.run(Duration::from_secs(10), gone), "{:?}", stage.seen(0, first.0).states);
    let took = stage.now - start;
    assert!(took > Duration::from_secs(4), "{took:?} is too eager");
    let states = &stage.seen(0, first.0).states;
    assert_eq!(states[states.len() - 2], State::Disconnected);
    assert!(stage.hosts[0].endpoint.is_empty() && stage.hosts[0].endpoint.poll_timeout().is_none());
}

#[test]
fn a_short_outage_is_survived() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    stage.loss = 1000;
    stage.pass(Duration::from_secs(5));
    stage.loss = 0;
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.state(0, first.0), Some(State::Connected), "{:?}", stage.seen(0, first.0).states);
    assert_eq!(stage.state(1, second.0), Some(State::Connected));
}

#[test]
fn an_offer_without_an_answer_ends() {
    let mut stage = Stage::pair();
    let (first, _) = stage.hosts[0].endpoint.offer(stage.now, &Options::channel("chat")).unwrap();
    stage.pass(Config::default().answer_timeout + Duration::from_secs(1));
    assert_eq!(stage.state(0, first), closed(CloseReason::NoAnswer));
    assert!(stage.hosts[0].endpoint.is_empty());
}

#[test]
fn a_session_without_a_path_ends() {
    let mut stage = Stage::pair();
    stage.loss = 1000;
    let (first, second) = stage.connect();
    stage.pass(Config::default().connect_timeout + Duration::from_secs(1));
    assert_eq!(stage.state(0, first), closed(CloseReason::NoPath));
    assert_eq!(stage.state(1, second), closed(CloseReason::NoPath));
}

#[test]
fn a_wrong_fingerprint_never_connects() {
    for at_offerer in [true, false] {
        let mut stage = Stage::pair();
        let (first, offer) = stage.hosts[0].endpoint.offer(stage.now, &Options::channel("chat")).unwrap();
        let offer = if at_offerer { offer } else { forge(&offer) };
        let (second, answer) = stage.hosts[1].endpoint.answer(stage.now, &offer, &Options::default()).unwrap();
        let answer = if at_offerer { forge(&answer) } else { answer };
        stage.hosts[0].endpoint.accept_answer(stage.now, first, &answer).unwrap();
        stage.pass(Duration::from_secs(20));
        let (host, id) = if at_offerer { (0, first) } else { (1, second) };
        assert_eq!(stage.state(host, id), closed(CloseReason::Handshake), "forged at offerer: {at_offerer}");
        assert!(stage.seen(host, id).open.is_empty());
        assert!(stage.hosts.iter().all(|host| host.endpoint.is_empty()));
    }
}

/// Changes the first byte of the fingerprint.
fn forge(description: &str) -> String {
    let at = description.find("fingerprint:sha-256 ").unwrap() + "fingerprint:sha-256 ".len();
    let other = if description[at..].starts_with("00") { "01" } else { "00" };
    format!("{}{other}{}", &description[..at], &description[at + 2..])
}

#[test]
fn limits_hold_before_anything_is_spent() {
    let config = Config { max_sessions: 2, max_description: 8000, max_candidates: 3, ..Config::default() };
    let mut stage = Stage::new(vec![Config::default(), config]);
    let (_, offer) = stage.hosts[0].endpoint.offer(stage.now, &Options::channel("chat")).unwrap();
    let (now, endpoint) = (stage.now, &mut stage.hosts[1].endpoint);
    let long = format!("{offer}{}", "a=x\r\n".repeat(2000));
    assert!(matches!(
        endpoint.answer(now, &long, &Options::default()),
        Err(Error::DescriptionTooLong { limit: 8000, .. })
    ));
    let line = offer.lines().find(|line| line.starts_with("a=candidate")).unwrap();
    let many = offer.replace(line, &[line, line, line, line].join("\r\n"));
    assert!(matches!(endpoint.answer(now, &many, &Options::default()), Err(Error::TooManyCandidates { limit: 3 })));
    assert!(endpoint.answer(now, "v=0\r\nnonsense", &Options::default()).is_err());
    assert!(endpoint.is_empty());
    let (id, _) = endpoint.answer(now, &offer, &Options::default()).unwrap();
    let trickle = |port: u16| format!("candidate:9 1 udp 1 192.0.2.99 {port} typ host");
    let mut refused = 0;
    for port in 1..6 {
        refused += usize::from(endpoint.add_candidate(now, id, &trickle(port)).is_err());
    }
    assert_eq!(refused, 3);
    endpoint.answer(now, &offer, &Options::default()).unwrap();
    assert!(matches!(endpoint.answer(now, &offer, &Options::default()), Err(Error::TooManySessions { limit: 2 })));
}

/// Only sessions with something to do are run: 200 idle sessions cost their own keep-alive and no more.
#[test]
fn idle_sessions_are_not_looked_at() {
    let mut stage = Stage::pair();
    let first = stage.connected().0;
    stage.pass(Duration::from_secs(1));
    let alone = runs_in(&mut stage, Duration::from_secs(10));
    for _ in 0..199 {
        // These wait for an answer: their deadline is 30 s away.
        stage.hosts[0].endpoint.offer(stage.now, &Options::channel("chat")).unwrap();
    }
    stage.pass(Duration::from_millis(100));
    let among_many = runs_in(&mut stage, Duration::from_secs(10));
    assert!(among_many <= alone + 5, "{alone} runs alone, {among_many} among 200");
    assert_eq!(stage.state(0, first.0), Some(State::Connected));
}

fn runs_in(stage: &mut Stage, time: Duration) -> u64 {
    let before = stage.hosts[0].endpoint.counters().runs;
    stage.pass(time);
    stage.hosts[0].endpoint.counters().runs - before
}
