//! Which session a datagram reaches: public addresses, shared addresses, strangers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_rtc_driver::{CloseReason, Config, Endpoint, Options, State};

use crate::stage::{Flying, Stage, address, binary};

const SOON: Duration = Duration::from_secs(10);

fn talk(
    stage: &mut Stage,
    to: (sluicegate_rtc_driver::SessionId, sluicegate_rtc_driver::ChannelId),
    at: sluicegate_rtc_driver::SessionId,
) {
    let before = stage.seen(1, at).messages.len();
    stage.send(0, to, binary(b"hello")).unwrap();
    assert!(stage.run(SOON, |stage| stage.seen(1, at).messages.len() > before), "{:?}", stage.seen(1, at));
}

/// The host knows only its inner address; the public one is announced and used as the local one.
#[test]
fn a_host_behind_one_to_one_nat_is_reached() {
    let mut stage = Stage::pair();
    for (host, inside) in ["10.0.0.1", "10.0.0.2"].into_iter().enumerate() {
        stage.hosts[host].inside = Some(inside.parse().unwrap());
    }
    let (first, second) = stage.connected();
    talk(&mut stage, first, second.0);
}

#[test]
fn a_lite_agent_connects_in_both_roles() {
    for lite in [0, 1] {
        let config = |host| Config { ice_lite: host == lite, ..Config::default() };
        let mut stage = Stage::new(vec![config(0), config(1)]);
        let (first, second) = stage.connected();
        talk(&mut stage, first, second.0);
        stage.pass(Duration::from_secs(20));
        assert_eq!(stage.state(lite, if lite == 0 { first.0 } else { second.0 }), Some(State::Connected));
    }
}

#[test]
fn ipv6_works() {
    let mut stage = Stage::pair();
    for (host, number) in (1..).enumerate().take(2) {
        let address: SocketAddr = format!("[2001:db8::{number}]:5000").parse().unwrap();
        let config = Arc::new(Config::default());
        stage.hosts[host].endpoint = Endpoint::new(stage.now, config, vec![vec![address]]).unwrap();
        stage.hosts[host].addresses = vec![address];
    }
    let (first, second) = stage.connected();
    talk(&mut stage, first, second.0);
}

/// A browser that hides its addresses names none that can be used; its own checks tell where it is.
#[test]
fn a_peer_without_usable_candidates_is_found() {
    let mut stage = Stage::pair();
    let (first, offer) = stage.hosts[0].endpoint.offer(stage.now, &Options::channel("chat")).unwrap();
    let hidden = offer.replace("192.0.2.1 5000", "1f4712db-ea17-4bcf-a596-105139dfd8bf.local 5000");
    assert_ne!(hidden, offer);
    let (second, answer) = stage.hosts[1].endpoint.answer(stage.now, &hidden, &Options::default()).unwrap();
    stage.hosts[0].endpoint.accept_answer(stage.now, first, &answer).unwrap();
    let open = |stage: &Stage| stage.channel(0, first).is_some() && stage.channel(1, second).is_some();
    assert!(stage.run(Duration::from_secs(2), open));
}

/// Two sessions between the same two sockets cannot be told apart: the first one stays, the second says why it ends.
#[test]
fn a_second_session_on_the_same_path_is_refused() {
    let mut stage = Stage::pair();
    let (first, second) = stage.connected();
    let (third, _) = stage.connect();
    let refused = |stage: &Stage| stage.state(0, third) == Some(State::Closed(CloseReason::AddressInUse));
    assert!(stage.run(SOON, refused), "{:?}", stage.seen(0, third).states);
    talk(&mut stage, first, second.0);
    assert_eq!(stage.state(0, first.0), Some(State::Connected));
    assert_eq!(stage.state(1, second.0), Some(State::Connected));
}

/// A peer that died and came back on its old port takes the place of its former self.
#[test]
fn a_peer_that_restarts_replaces_its_former_session() {
    let mut stage = Stage::pair();
    let (first, _) = stage.connected();
    let config = Arc::new(Config::default());
    stage.hosts[1].endpoint = Endpoint::new(stage.now, config, vec![vec![address(2)]]).unwrap();
    stage.hosts[1].seen.clear();
    stage.pass(Duration::from_millis(4500));
    assert_eq!(stage.state(0, first.0), Some(State::Disconnected));
    let (second, offer) = stage.hosts[1].endpoint.offer(stage.now, &Options::channel("again")).unwrap();
    let (third, answer) = stage.hosts[0].endpoint.answer(stage.now, &offer, &Options::default()).unwrap();
    stage.hosts[1].endpoint.accept_answer(stage.now, second, &answer).unwrap();
    let open = |stage: &Stage| stage.channel(0, third).is_some() && stage.channel(1, second).is_some();
    assert!(stage.run(SOON, open), "{:?}", stage.hosts[0].seen);
    assert_eq!(stage.state(0, first.0), Some(State::Closed(CloseReason::Replaced)));
}

#[test]
fn strangers_reach_nobody() {
    let mut stage = Stage::pair();
    stage.log = Some(Vec::new());
    let (first, second) = stage.connected();
    let log = stage.log.take().unwrap();
    let to_second = |flying: &&Flying| flying.to == address(2);
    // All that ever came to host 1, from an address that never proved itself: replayed requests carry the right
    // password and are answered, but move nothing.
    for flying in log.iter().filter(to_second) {
        stage.inject(Flying { from: address(99), ..flying.clone() });
    }
    // A stranger cannot speak for a session's peer either, without its password.
    let mut forged = log.iter().find(|flying| flying.to == address(2) && flying.data[..2] == [0, 1]).unwrap().clone();
    let last = forged.data.len() - 12;
    forged.data[last] ^= 1;
    stage.inject(Flying { from: address(98), ..forged });
    stage.pass(Duration::from_secs(3));
    assert!(stage.hosts[1].endpoint.counters().strays > 0);
    talk(&mut stage, first, second.0);
    assert_eq!(stage.state(1, second.0), Some(State::Connected));
}
