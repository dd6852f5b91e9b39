//! Media sessions among damaged, replayed and forged packets, floods, and peers that never come.

use std::time::Duration;

use bytes::BytesMut;
use sluicegate_rtc_driver::media::{Codec, Track};
use sluicegate_rtc_driver::{CloseReason, Options, State};

use crate::media::Call;
use crate::stage::{Flying, Stage, address};

/// A call of some seconds, with some loss so that packets are asked for and sent again, and all that it sent.
fn recorded() -> (Call, Vec<Flying>) {
    let mut call = Call::new(true);
    let (video, audio) = (call.track("H264"), call.track("opus"));
    (call.stage.log, call.stage.loss) = (Some(Vec::new()), 30);
    for number in 0..300 {
        call.send(video, number);
        call.send(audio, number);
        call.stage.pass(Duration::from_millis(10));
    }
    call.stage.loss = 0;
    call.stage.pass(Duration::from_secs(1));
    let log = call.stage.log.take().unwrap();
    // Checks and reports in both directions, sound and pictures in one (RFC 7983, RFC 5761 section 4).
    let any = |host, of: fn(u8, u8) -> bool| {
        log.iter().any(|flying| flying.to == address(host) && of(flying.data[0], flying.data[1]))
    };
    for host in [1, 2] {
        assert!(
            any(host, |first, _| first < 4) && any(host, |first, second| first >= 128 && (200..=206).contains(&second))
        );
    }
    assert!(any(2, |first, second| first >= 128 && second & 127 == 102) && any(2, |_, second| second & 127 == 111));
    (call, log)
}

fn still_works(call: &mut Call) {
    let (video, before) = (call.track("H264"), call.received("H264").len());
    for number in 1_000..1_050 {
        call.send(video, number);
        call.stage.pass(Duration::from_millis(10));
    }
    assert!(call.received("H264").len() >= before + 49, "{before} {}", call.received("H264").len());
    let states = [(0, call.sender), (1, call.receiver)].map(|(host, id)| call.stage.state(host, id));
    assert_eq!(states, [Some(State::Connected); 2]);
    assert!(call.stage.hosts.iter().all(|host| host.endpoint.counters().panics == 0));
}

/// 100,000 packets of every kind, changed in some place, cut, or made longer.
#[test]
fn damaged_packets_disturb_no_call() {
    let (mut call, log) = recorded();
    let stage = &mut call.stage;
    let below = |stage: &mut Stage, below: usize| usize::try_from(stage.chance(below as u64)).unwrap();
    for number in 0..100_000 {
        let at = below(stage, log.len());
        let mut flying = log[at].clone();
        match number % 4 {
            0 => flying.data.truncate(below(stage, flying.data.len())),
            1 => flying.data.extend_from_slice(&[0x5A; 9]),
            // The header alone, which is not encrypted: source, sequence, extensions.
            2 => {
                let at = below(stage, flying.data.len().min(16));
                flying.data[at] ^= u8::try_from(1 + below(stage, 255)).unwrap();
            }
            _ => {
                let at = below(stage, flying.data.len());
                flying.data[at] ^= u8::try_from(1 + below(stage, 255)).unwrap();
            }
        }
        stage.inject(flying);
        if number % 500 == 0 {
            stage.pass(Duration::from_millis(10));
        }
    }
    call.stage.pass(Duration::from_secs(2));
    still_works(&mut call);
}

/// What was heard once is not heard again.
#[test]
fn a_replay_shows_nothing() {
    let (mut call, log) = recorded();
    let heard = |call: &Call| (call.received("H264").len(), call.received("opus").len());
    let before = heard(&call);
    for flying in log.iter().filter(|flying| flying.to == address(2)) {
        call.stage.inject(flying.clone());
    }
    call.stage.pass(Duration::from_secs(1));
    let after = heard(&call);
    // What the network lost the first time is new.
    assert!(after.0 <= before.0 + 30 && after.1 <= before.1 + 30, "{before:?} {after:?}");
    still_works(&mut call);
}

/// Requests with the right name and the wrong password, from one address and from many.
#[test]
fn a_flood_of_checks_is_not_answered() {
    let (mut call, log) = recorded();
    let check = log.iter().find(|flying| flying.data[..2] == [0, 1] && flying.to == address(2)).unwrap();
    call.stage.log = Some(Vec::new());
    for number in 0..20_000_u32 {
        let mut data = BytesMut::from(&check.data[..]);
        // Another transaction, so that the integrity no longer holds.
        data[8..12].copy_from_slice(&number.to_be_bytes());
        let [_, _, high, low] = (number % 5_000).to_be_bytes();
        let from = std::net::SocketAddr::from(([198, 51, high, low], 9));
        call.stage.inject(Flying { from, to: address(2), data });
        if number % 500 == 0 {
            call.stage.pass(Duration::from_millis(10));
        }
    }
    call.stage.pass(Duration::from_secs(1));
    let log = call.stage.log.take().unwrap();
    let stranger = |flying: &&Flying| matches!(flying.to.ip(), std::net::IpAddr::V4(ip) if ip.octets()[0] == 198);
    let answered = log.iter().filter(stranger).filter(|flying| flying.data[..2] == [1, 1]).count();
    assert_eq!(answered, 0);
    still_works(&mut call);
}

/// Offers whose senders never come cost their deadline, and leave nothing.
#[test]
fn sessions_that_never_finish_end() {
    let mut stage = Stage::pair();
    let sends = Options { tracks: vec![Track::Send(Codec::h264())], ..Options::default() };
    let takes = Options { tracks: vec![Track::Receive(vec![Codec::h264()])], ..Options::default() };
    let (_, offer) = stage.hosts[0].endpoint.offer(stage.now, &sends).unwrap();
    stage.hosts[0].dead = true;
    let ids: Vec<_> = (0..200).map(|_| stage.hosts[1].endpoint.answer(stage.now, &offer, &takes).unwrap().0).collect();
    assert_eq!(stage.hosts[1].endpoint.len(), 200);
    stage.pass(Duration::from_secs(16));
    assert!(stage.hosts[1].endpoint.is_empty());
    for id in ids {
        assert_eq!(stage.state(1, id), Some(State::Closed(CloseReason::NoPath)));
    }
    // Nothing wakes for them any more.
    assert_eq!(stage.hosts[1].endpoint.poll_timeout(), None);
}

/// Descriptions cut short and damaged are refused or answered, and leave no session behind when refused.
#[test]
fn broken_descriptions_leave_nothing() {
    let mut stage = Stage::pair();
    let sends = Options { tracks: vec![Track::Send(Codec::h264()), Track::Send(Codec::opus())], ..Options::default() };
    let takes = vec![Track::Receive(vec![Codec::h264()]), Track::Receive(vec![Codec::opus()])];
    let takes = Options { tracks: takes, ..Options::default() };
    let (_, offer) = stage.hosts[0].endpoint.offer(stage.now, &sends).unwrap();
    let mut refused = 0;
    for number in 0..2_000_usize {
        let mut bytes = offer.clone().into_bytes();
        let at = usize::try_from(stage.chance(bytes.len() as u64)).unwrap();
        match number % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at] = b"0=:\n m9"[number % 7],
            _ => drop(bytes.drain(at..(at + 40).min(bytes.len()))),
        }
        let broken = String::from_utf8(bytes).unwrap();
        let endpoint = &mut stage.hosts[1].endpoint;
        match endpoint.answer(stage.now, &broken, &takes) {
            Ok((id, _)) => endpoint.close(stage.now, id),
            Err(_) => refused += 1,
        }
        endpoint.flush(stage.now);
        assert!(endpoint.is_empty());
        while endpoint.poll_event().is_some() || endpoint.poll_transmit().is_some() {}
    }
    assert!(refused > 500, "{refused}");
    let long = format!("{offer}{}", "a=x\r\n".repeat(200_000));
    assert!(stage.hosts[1].endpoint.answer(stage.now, &long, &takes).is_err());
    assert!(stage.hosts[1].endpoint.is_empty() && stage.hosts[1].endpoint.counters().panics == 0);
}

/// The peer's reports tell what it lost and how far it is.
#[test]
fn receiver_reports_tell_loss_and_round_trip() {
    let mut call = Call::new(true);
    let audio = call.track("opus");
    call.stage.delay = Duration::from_millis(40);
    call.stage.loss = 200;
    for number in 0..1_000 {
        call.send(audio, number);
        call.stage.pass(Duration::from_millis(10));
    }
    let heard = &call.stage.seen(0, call.sender).heard;
    let [.., (track, ..)] = heard.as_slice() else { panic!("no reports") };
    assert_eq!(*track, audio);
    let losses: Vec<u32> = heard.iter().map(|(_, lost, _)| u32::from(*lost)).collect();
    let mean = losses.iter().sum::<u32>() / u32::try_from(losses.len()).unwrap();
    assert!(losses.len() >= 3 && (26..=80).contains(&mean), "{losses:?}");
    let round_trip = heard.iter().rev().find_map(|(.., round_trip)| *round_trip).unwrap();
    assert!((75..=90).contains(&round_trip.as_millis()), "{round_trip:?}");
}
