//! ICE restarts: new credentials, the same keys and channels.

use std::time::Duration;

use sluicegate_rtc_driver::State;

use crate::stage::{Stage, address, binary};

fn fragment(description: &str) -> String {
    description.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned()
}

/// Either end may ask for it. The stack repeats fixed credentials on a restart, which a peer takes for none at all, so
/// that ours are left to chance.
#[test]
fn a_restart_brings_new_credentials_and_keeps_the_channel() {
    for asks in [0, 1] {
        let mut stage = Stage::pair();
        let ends = stage.connected();
        let ids = [ends.0.0, ends.1.0];
        let answers = 1 - asks;
        let before = stage.hosts[asks].endpoint.renew_offer(stage.now, ids[asks], false).unwrap();
        let now = stage.now;
        let answer = stage.hosts[answers].endpoint.accept_offer(now, ids[answers], &before).unwrap();
        stage.hosts[asks].endpoint.accept_answer(now, ids[asks], &answer).unwrap();
        stage.pass(Duration::from_millis(500));
        let offer = stage.hosts[asks].endpoint.renew_offer(stage.now, ids[asks], true).unwrap();
        assert_ne!(fragment(&before), fragment(&offer));
        let now = stage.now;
        let renewed = stage.hosts[answers].endpoint.accept_offer(now, ids[answers], &offer).unwrap();
        assert_ne!(fragment(&answer), fragment(&renewed));
        stage.hosts[asks].endpoint.accept_answer(now, ids[asks], &renewed).unwrap();
        stage.pass(Duration::from_secs(1));
        stage.send(0, ends.0, binary(b"after")).unwrap();
        let arrived = |stage: &Stage| !stage.seen(1, ids[1]).messages.is_empty();
        assert!(stage.run(Duration::from_secs(5), arrived), "asked by {asks}: {:?}", stage.seen(1, ids[1]));
        stage.pass(Duration::from_secs(20));
        assert_eq!(stage.state(0, ids[0]), Some(State::Connected));
        assert_eq!(stage.state(1, ids[1]), Some(State::Connected));
    }
}

/// The peer's address changes, as when a phone leaves its wireless network: a restart finds it again.
#[test]
fn a_peer_that_moves_is_found_by_a_restart() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    stage.hosts[1].addresses = vec![address(77)];
    stage.hosts[1].inside = Some(address(2).ip());
    let offer = stage.hosts[1].endpoint.renew_offer(stage.now, second.0, true).unwrap();
    let answer = stage.hosts[0].endpoint.accept_offer(stage.now, first.0, &offer).unwrap();
    stage.hosts[1].endpoint.accept_answer(stage.now, second.0, &answer).unwrap();
    stage.pass(Duration::from_secs(2));
    stage.send(0, first, binary(b"found")).unwrap();
    stage.send(1, second, binary(b"me")).unwrap();
    let both =
        |stage: &Stage| !stage.seen(0, first.0).messages.is_empty() && !stage.seen(1, second.0).messages.is_empty();
    assert!(stage.run(Duration::from_secs(5), both), "{:?} {:?}", stage.seen(0, first.0), stage.seen(1, second.0));
}
