//! Packets that are sent again: on a source of their own where the receiver takes that (RFC 4588), else as they were.

use std::collections::BTreeMap;
use std::time::Duration;

use sluicegate_rtc_driver::media::{Codec, RtpPacket};

use crate::media::Call;
use crate::stage::Flying;

/// Payload type and source of media packets, in the clear in each (RFC 3711 section 3.1), and how many of them there were.
fn sources(log: &[Flying]) -> BTreeMap<(u8, [u8; 4]), usize> {
    let mut sources = BTreeMap::new();
    for flying in log.iter().filter(|flying| flying.data.len() > 800 && flying.data[0] >> 6 == 2) {
        let source = flying.data[8..12].try_into().unwrap();
        *sources.entry((flying.data[1] & 0x7F, source)).or_default() += 1;
    }
    sources
}

/// Sends 1,000 packets, of which 5 % are lost, and returns what was on the wire.
fn lossy(call: &mut Call) -> BTreeMap<(u8, [u8; 4]), usize> {
    let video = call.track("H264");
    call.stage.delay = Duration::from_millis(25);
    call.stage.log = Some(Vec::new());
    for number in 0..1_050 {
        call.stage.loss = if number < 1_000 { 50 } else { 0 };
        call.send(video, number);
        call.stage.pass(Duration::from_millis(5));
    }
    call.stage.pass(Duration::from_secs(1));
    sources(&call.stage.log.take().unwrap())
}

/// All packets as they were sent, each once.
fn all_there(call: &Call) {
    let mut received: Vec<&RtpPacket> = call.received("H264");
    received.sort_by_key(|packet| packet.timestamp);
    let there = received.windows(2).filter(|pair| pair[0].timestamp != pair[1].timestamp).count() + 1;
    assert!(there >= 1_048, "{there} of 1050");
    for packet in received {
        let number = u16::try_from(packet.timestamp / 3_000).unwrap();
        assert_eq!(*packet, crate::media::packet(number));
    }
}

#[test]
fn repeats_go_on_a_source_of_their_own_where_the_peer_takes_them() {
    for sender_offers in [false, true] {
        let rtx =
            Codec { name: "rtx".to_owned(), parameters: "apt=102".to_owned(), payload_type: 103, ..Codec::h264() };
        let mut call = Call::with(sender_offers, vec![Codec::h264(), rtx]);
        assert!(call.descriptions.iter().any(|text| text.contains("a=ssrc-group:FID ")), "{:?}", call.descriptions);
        let seen = lossy(&mut call);
        all_there(&call);
        let [first, second] = seen.iter().collect::<Vec<_>>()[..] else { panic!("{seen:?}") };
        let (pictures, repeats) = if first.1 > second.1 { (first, second) } else { (second, first) };
        assert_eq!((pictures.0.0, *pictures.1), (102, 1_050));
        assert_ne!(repeats.0.0, 102);
        assert!(sender_offers || repeats.0.0 == 103, "the receiver's number counts: {seen:?}");
        assert!((30..100).contains(repeats.1), "{seen:?}");
    }
}

#[test]
fn a_peer_without_that_form_gets_packets_as_they_were() {
    for sender_offers in [false, true] {
        let mut call = Call::with(sender_offers, vec![Codec::h264()]);
        let answer = &call.descriptions[1];
        assert!(!answer.contains("FID") && !answer.contains("rtx"), "{answer}");
        let seen = lossy(&mut call);
        all_there(&call);
        let [(source, count)] = seen.iter().collect::<Vec<_>>()[..] else { panic!("{seen:?}") };
        assert_eq!(source.0, 102);
        assert!((1_080..1_150).contains(count), "{seen:?}");
    }
}
