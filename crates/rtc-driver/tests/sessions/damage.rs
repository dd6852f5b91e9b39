//! What a hostile network or peer sends costs at most its own session.

use std::time::Duration;

use bytes::BytesMut;
use sluicegate_rtc_driver::{CloseReason, Options, State};

use crate::stage::{Flying, Stage, address, binary};

fn still_works(stage: &mut Stage, ends: &crate::stage::Ends) {
    let ((first, here), (second, there)) = *ends;
    for (host, from, to) in [(0, (first, here), second), (1, (second, there), first)] {
        let other = 1 - host;
        let before = stage.seen(other, to).messages.len();
        stage.send(host, from, binary(b"still there?")).unwrap();
        let arrived = |stage: &Stage| stage.seen(other, to).messages.len() > before;
        assert!(stage.run(Duration::from_secs(5), arrived), "host {other} is deaf: {:?}", stage.seen(other, to).states);
    }
    assert!(stage.hosts.iter().all(|host| host.endpoint.counters().panics == 0));
}

fn spoof(stage: &mut Stage, data: &[u8]) {
    for (from, to) in [(1, 2), (2, 1)] {
        stage.inject(Flying { from: address(from), to: address(to), data: BytesMut::from(data) });
    }
}

/// One spoofed datagram of 14 bytes, a plaintext `ChangeCipherSpec` of epoch 1, makes the bare stack deaf.
#[test]
fn a_forged_cipher_change_does_nothing() {
    let mut stage = Stage::pair();
    let ends = stage.connected();
    spoof(&mut stage, &[20, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0xFF, 0, 0, 1, 1]);
    // Behind an honest record too.
    let mut behind = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0];
    behind.extend([20, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0xFF, 1, 0, 1, 1]);
    spoof(&mut stage, &behind);
    stage.pass(Duration::from_millis(100));
    still_works(&mut stage, &ends);
}

/// Alerts in plaintext, as anybody can send them.
#[test]
fn forged_alerts_do_nothing() {
    let mut stage = Stage::pair();
    let ends = stage.connected();
    for level in [1, 2] {
        for description in [0, 10, 20, 40, 90, 100] {
            spoof(&mut stage, &[21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0x10, description, 0, 2, level, description]);
        }
    }
    stage.pass(Duration::from_millis(100));
    still_works(&mut stage, &ends);
}

/// 100,000 datagrams: everything that was ever sent, changed in some place, cut, or made longer.
#[test]
fn damaged_datagrams_disturb_nobody() {
    let mut stage = Stage::pair();
    stage.log = Some(Vec::new());
    let ends = stage.connected();
    for number in 0..50_u8 {
        stage.send(0, ends.0, binary(&[number; 700])).unwrap();
        stage.send(1, ends.1, binary(&[number; 70])).unwrap();
    }
    stage.pass(Duration::from_secs(3));
    let log = stage.log.take().unwrap();
    let below = |stage: &mut Stage, below: usize| usize::try_from(stage.chance(below as u64)).unwrap();
    for number in 0..100_000 {
        let at = below(&mut stage, log.len());
        let mut flying = log[at].clone();
        match number % 4 {
            0 => flying.data.truncate(below(&mut stage, flying.data.len())),
            1 => flying.data.extend_from_slice(&[0x5A; 9]),
            _ => {
                for _ in 0..=number % 3 {
                    let at = below(&mut stage, flying.data.len());
                    flying.data[at] ^= u8::try_from(1 + below(&mut stage, 255)).unwrap();
                }
            }
        }
        stage.inject(flying);
        if number % 500 == 0 {
            stage.pass(Duration::from_millis(20));
        }
    }
    stage.pass(Duration::from_secs(2));
    still_works(&mut stage, &ends);
}

/// Damage from the first datagram on: sessions connect all the same, or end by their deadlines.
#[test]
fn damage_during_the_handshake_ends_nothing_but_the_session() {
    for seed in 0..20 {
        let mut stage = Stage::pair().seeded(seed);
        stage.log = Some(Vec::new());
        let (first, second) = stage.connect();
        for _ in 0..40 {
            stage.pass(Duration::from_micros(500));
            let log = stage.log.as_ref().unwrap().clone();
            for mut flying in log.into_iter().rev().take(3) {
                let at = usize::try_from(stage.chance(flying.data.len() as u64)).unwrap();
                flying.data[at] ^= 0x11;
                stage.inject(flying);
            }
        }
        stage.log = None;
        stage.pass(Duration::from_secs(30));
        for (host, id) in [(0, first), (1, second)] {
            let state = stage.state(host, id);
            assert!(matches!(state, Some(State::Connected | State::Closed(_))), "seed {seed}: {state:?}");
            assert_eq!(stage.hosts[host].endpoint.counters().panics, 0);
        }
    }
}

/// A peer that floods encrypted records before the handshake has ended: the stack would keep them all.
#[test]
fn a_flood_before_the_handshake_is_bounded() {
    let mut stage = Stage::pair();
    let (first, offer) = stage.hosts[0].endpoint.offer(stage.now, &Options::channel("chat")).unwrap();
    let (second, answer) = stage.hosts[1].endpoint.answer(stage.now, &offer, &Options::default()).unwrap();
    stage.hosts[0].endpoint.accept_answer(stage.now, first, &answer).unwrap();
    let record = |number: u32| {
        let mut record = vec![23, 0xFE, 0xFD, 0, 1, 0, 0];
        record.extend(number.to_be_bytes());
        record.extend(1000_u16.to_be_bytes());
        record.resize(13 + 1000, 0);
        record
    };
    for number in 0..5000 {
        spoof(&mut stage, &record(number));
        if number % 100 == 0 {
            stage.pass(Duration::from_micros(100));
        }
    }
    stage.pass(Duration::from_secs(30));
    for (host, id) in [(0, first), (1, second)] {
        let state = stage.state(host, id);
        let ended =
            state == Some(State::Closed(CloseReason::Handshake)) || state == Some(State::Closed(CloseReason::Peer));
        assert!(ended || state == Some(State::Connected), "{state:?}");
    }
}
