//! Sound and pictures: negotiation, packets, requests for key frames, loss, and the end.

use std::time::Duration;

use sluicegate_rtc_driver::media::{Codec, Direction, RtpPacket, Track, TrackId};
use sluicegate_rtc_driver::{CloseReason, Error, Options, SessionId, State};

use crate::stage::{Stage, address};

const SOON: Duration = Duration::from_secs(5);

/// Host 0 sends a picture and a sound track to host 1.
pub(crate) struct Call {
    pub(crate) stage: Stage,
    pub(crate) sender: SessionId,
    pub(crate) receiver: SessionId,
    /// The offer and the answer.
    pub(crate) descriptions: [String; 2],
}

pub(crate) fn packet(number: u16) -> RtpPacket {
    let payload = [&[0x65][..], &number.to_be_bytes(), &[7; 900]].concat().into();
    RtpPacket { sequence: 65_500_u16.wrapping_add(number), timestamp: u32::from(number) * 3000, marker: true, payload }
}

impl Call {
    pub(crate) fn new(sender_offers: bool) -> Self {
        Self::with(sender_offers, vec![Codec::h264(), Codec::vp8()])
    }

    /// The receiver takes pictures in these forms.
    pub(crate) fn with(sender_offers: bool, forms: Vec<Codec>) -> Self {
        let mut call = Self::begin(sender_offers, forms);
        let (sender, receiver) = (call.sender, call.receiver);
        let up = |stage: &Stage| {
            let up = Some(State::Connected);
            stage.state(0, sender) == up && stage.state(1, receiver) == up
        };
        assert!(call.stage.run(SOON, up), "{:?}\n{:?}", call.descriptions, call.stage.hosts[0].seen);
        call
    }

    /// One whose descriptions are exchanged.
    fn begin(sender_offers: bool, forms: Vec<Codec>) -> Self {
        let mut stage = Stage::pair();
        let sends =
            Options { tracks: vec![Track::Send(Codec::h264()), Track::Send(Codec::opus())], ..Options::default() };
        let takes = vec![Track::Receive(forms), Track::Receive(vec![Codec::opus()])];
        let takes = Options { tracks: takes, ..Options::default() };
        let now = stage.now;
        let options = if sender_offers { [sends, takes] } else { [takes, sends] };
        let roles = if sender_offers { [0, 1] } else { [1, 0] };
        let (offerer, offer) = stage.hosts[roles[0]].endpoint.offer(now, &options[0]).unwrap();
        let (answerer, answer) = stage.hosts[roles[1]].endpoint.answer(now, &offer, &options[1]).unwrap();
        stage.hosts[roles[0]].endpoint.accept_answer(now, offerer, &answer).unwrap();
        let (sender, receiver) = if sender_offers { (offerer, answerer) } else { (answerer, offerer) };
        Self { stage, sender, receiver, descriptions: [offer, answer] }
    }

    pub(crate) fn track(&self, name: &str) -> TrackId {
        let tracks = &self.stage.seen(0, self.sender).tracks;
        let found = tracks.iter().find(|(_, way, codec)| *way == Direction::Send && codec.name == name);
        found.unwrap_or_else(|| panic!("no {name} among {tracks:?}")).0
    }

    pub(crate) fn send(&mut self, track: TrackId, number: u16) {
        self.stage.hosts[0].endpoint.send_rtp(self.stage.now, self.sender, track, &[packet(number)].into(), 0).unwrap();
    }

    pub(crate) fn received(&self, name: &str) -> Vec<&RtpPacket> {
        let seen = self.stage.seen(1, self.receiver);
        let Some((track, ..)) = seen.tracks.iter().find(|(.., codec)| codec.name == name) else { return Vec::new() };
        seen.packets.iter().filter(|(of, _)| of == track).map(|(_, packet)| packet).collect()
    }
}

/// A sender that has its keys sends at once, and what it sends comes in one piece with the end of the handshake.
#[test]
fn what_follows_the_handshake_at_once_arrives() {
    for sender_offers in [true, false] {
        let mut call = Call::begin(sender_offers, vec![Codec::h264()]);
        let sender = call.sender;
        assert!(call.stage.run(SOON, |stage| stage.state(0, sender) == Some(State::Connected)));
        let video = call.track("H264");
        (0..50).for_each(|number| call.send(video, number));
        call.stage.pass(Duration::from_secs(1));
        assert_eq!(call.received("H264").len(), 50, "sender offers: {sender_offers}");
    }
}

#[test]
fn packets_arrive_as_they_were_sent_whoever_offers() {
    for sender_offers in [true, false] {
        let mut call = Call::new(sender_offers);
        let (video, audio) = (call.track("H264"), call.track("opus"));
        for number in 0..100 {
            call.send(video, number);
            if number % 2 == 0 {
                call.send(audio, number);
            }
            call.stage.pass(Duration::from_millis(10));
        }
        call.stage.pass(Duration::from_millis(100));
        let pictures: Vec<RtpPacket> = call.received("H264").into_iter().cloned().collect();
        assert_eq!(pictures, (0..100).map(packet).collect::<Vec<_>>(), "sender offers: {sender_offers}");
        assert_eq!(call.received("opus").len(), 50);
        let tracks = &call.stage.seen(1, call.receiver).tracks;
        assert!(tracks.iter().all(|(_, direction, _)| *direction == Direction::Receive) && tracks.len() == 2);
    }
}

/// The stack keeps incoming RTCP to itself unless a packet is marked for the session.
#[test]
fn a_request_for_a_key_frame_arrives() {
    let mut call = Call::new(true);
    let video = call.track("H264");
    for number in 0..10 {
        call.send(video, number);
        call.stage.pass(Duration::from_millis(20));
    }
    let theirs = call.stage.seen(1, call.receiver).tracks[0].0;
    let now = call.stage.now;
    call.stage.hosts[1].endpoint.request_key_frame(now, call.receiver, theirs).unwrap();
    let sender = call.sender;
    assert!(call.stage.run(SOON, |stage| stage.seen(0, sender).wanted == 1));
    call.stage.pass(Duration::from_secs(3));
    assert_eq!(call.stage.seen(0, sender).wanted, 1, "reports are not requests");
}

/// The RTP timestamps advance by the session's clock; the other half is the host's own, which does not wait for tests.
#[test]
fn sender_reports_tell_the_clock() {
    let mut call = Call::new(true);
    let video = call.track("H264");
    for number in 0..150 {
        call.send(video, number);
        // 3,000 ticks of 90 kHz.
        call.stage.pass(Duration::from_micros(33_333));
    }
    let seen = call.stage.seen(1, call.receiver);
    let [first, .., last] = &seen.reports[..] else { panic!("{:?}", seen.reports) };
    assert_eq!(seen.tracks[0].0, first.0);
    let ticks = last.2.wrapping_sub(first.2);
    assert!(ticks.abs_diff(3 * 90_000) < 9000 || ticks.abs_diff(4 * 90_000) < 9000, "{ticks}");
    // 70 years lie between 1900 and 1970, 17 of them leap years.
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((last.1 >> 32).abs_diff(unix + (70 * 365 + 17) * 86_400) < 60);
    assert_eq!(call.stage.seen(0, call.sender).wanted, 0);
}

/// Sound that is encoded here is sent later than the picture of the same moment; the reports do not tell that as its time.
#[test]
fn sender_reports_keep_late_sound_in_step() {
    let mut call = Call::new(true);
    let (video, audio) = (call.track("H264"), call.track("opus"));
    for number in 0..300_u32 {
        let millis = 20 * number;
        let mut send = |track, timestamp: u32| {
            let packet = RtpPacket { timestamp, ..packet(u16::try_from(number).unwrap()) };
            call.stage.hosts[0].endpoint.send_rtp(call.stage.now, call.sender, track, &[packet].into(), 0).unwrap();
        };
        send(video, 90 * millis);
        send(audio, (48 * millis).wrapping_sub(48 * 70));
        call.stage.pass(Duration::from_millis(20));
    }
    let seen = call.stage.seen(1, call.receiver);
    let of = |name: &str| {
        let track = seen.tracks.iter().find(|(.., codec)| codec.name == name).unwrap().0;
        *seen.reports.iter().rfind(|(of, ..)| *of == track).unwrap()
    };
    let ((_, picture, ticks), (_, sound, samples)) = (of("H264"), of("opus"));
    // Both at the time of the picture's report, in milliseconds.
    let between = ((i128::from(picture) - i128::from(sound)) * 1_000) >> 32;
    let apart = i128::from(ticks / 90) - i128::from(samples / 48) - between;
    assert!(apart.abs() <= 2, "{apart} ms apart");
}

/// The owner begins with a picture of 2 s ago and the sound of now.
#[test]
fn a_clock_that_the_owner_tells_is_there_with_the_first_packets() {
    let mut call = Call::new(true);
    let (video, audio) = (call.track("H264"), call.track("opus"));
    let (now, endpoint) = (call.stage.now, &mut call.stage.hosts[0].endpoint);
    endpoint.tell_clock(now, call.sender, now, &[(video, 7_000 * 90), (audio, 7_000 * 48)]).unwrap();
    for (track, timestamp) in [(video, 5_000 * 90), (audio, 7_000 * 48)] {
        let packet = RtpPacket { timestamp, ..packet(1) };
        endpoint.send_rtp(now, call.sender, track, &[packet].into(), 0).unwrap();
    }
    call.stage.pass(Duration::from_millis(100));
    let seen = call.stage.seen(1, call.receiver);
    assert_eq!(seen.packets.len(), 2);
    let [(_, ntp, picture), (_, its, sound)] = seen.reports[..] else { panic!("{:?}", seen.reports) };
    assert_eq!((ntp, picture, sound), (its, 7_000 * 90, 7_000 * 48));
    let endpoint = &mut call.stage.hosts[0].endpoint;
    endpoint.close(now, call.sender);
    assert!(endpoint.tell_clock(now, call.sender, now, &[(video, 0)]).is_err());
}

/// A packet that is lost is there within a round trip and a little, and so is one whose repeat was lost too in two.
#[test]
fn what_is_lost_is_asked_for_at_once() {
    let mut call = Call::new(true);
    let video = call.track("H264");
    call.stage.delay = Duration::from_millis(25);
    call.stage.loss = 50;
    let mut waiting = 0;
    for number in 0..2_000 {
        call.send(video, number);
        call.stage.pass(Duration::from_millis(10));
        // What was sent 300 ms ago is there: five requests fit in.
        let due = u32::from(number).saturating_sub(30) * 3_000;
        let there = call.received("H264").iter().rev().take(60).any(|packet| packet.timestamp == due);
        waiting += usize::from(!there && number >= 60);
    }
    assert!(waiting <= 2, "{waiting} of 2000 were late");
}

#[test]
fn lost_packets_are_sent_again_but_not_over_and_over() {
    let mut call = Call::new(true);
    let video = call.track("H264");
    // A far peer asks four times before the first answer can be there. Its round trip is known from reports.
    call.stage.delay = Duration::from_millis(200);
    for number in 0..500 {
        call.send(video, number);
        call.stage.pass(Duration::from_millis(4));
    }
    call.stage.loss = 50;
    call.stage.log = Some(Vec::new());
    for number in 500..2000 {
        call.send(video, number);
        call.stage.pass(Duration::from_millis(4));
    }
    call.stage.loss = 0;
    for number in 2000..2050 {
        call.send(video, number);
        call.stage.pass(Duration::from_millis(4));
    }
    call.stage.pass(Duration::from_secs(3));
    let mut sequences: Vec<u32> = call.received("H264").iter().map(|packet| packet.timestamp / 3000).collect();
    sequences.sort_unstable();
    sequences.dedup();
    assert!(sequences.len() >= 2040, "{} of 2050", sequences.len());
    let media = |flying: &&crate::stage::Flying| flying.data.len() > 800;
    let sent = call.stage.log.take().unwrap().iter().filter(media).count();
    // 5 % of the packets and 5 % of the repeats are lost; some requests cross with their answers.
    assert!(sent < 1550 + 1550 / 8, "{sent} packets for 1550");
}

/// Sessions without data channels hear of a peer's goodbye only from the state of DTLS.
#[test]
fn a_goodbye_ends_a_session_without_channels() {
    for end in [0, 1] {
        let mut call = Call::new(true);
        let ids = [call.sender, call.receiver];
        call.stage.hosts[end].endpoint.close(call.stage.now, ids[end]);
        let other = 1 - end;
        let ended = |stage: &Stage| stage.state(other, ids[other]) == Some(State::Closed(CloseReason::Peer));
        assert!(call.stage.run(Duration::from_secs(1), ended), "{:?}", call.stage.seen(other, ids[other]).states);
    }
}

#[test]
fn what_the_peer_does_not_take_is_not_sent() {
    let mut stage = Stage::pair();
    let sends = Options { tracks: vec![Track::Send(Codec::h264())], ..Options::default() };
    let takes = Options { tracks: vec![Track::Receive(vec![Codec::vp8()])], ..Options::channel("chat") };
    let (first, offer) = stage.hosts[0].endpoint.offer(stage.now, &sends).unwrap();
    match stage.hosts[1].endpoint.answer(stage.now, &offer, &takes) {
        Err(_) => assert!(stage.hosts[1].endpoint.is_empty()),
        Ok((_, answer)) => {
            // A refusal of the answer is as good as an answer without the track.
            let _ = stage.hosts[0].endpoint.accept_answer(stage.now, first, &answer);
            stage.pass(SOON);
            assert!(stage.seen(0, first).tracks.is_empty(), "{answer}");
        }
    }
}

/// A viewer asks for sound and pictures and a channel; there are only pictures. What is refused does not take the
/// candidates with it.
#[test]
fn a_session_takes_what_there_is() {
    let mut stage = Stage::pair();
    let sends = Options { tracks: vec![Track::Send(Codec::h264())], ..Options::default() };
    let takes = vec![Track::Receive(vec![Codec::opus()]), Track::Receive(vec![Codec::vp8(), Codec::h264()])];
    let takes = Options { tracks: takes, ..Options::channel("chat") };
    let (first, offer) = stage.hosts[0].endpoint.offer(stage.now, &takes).unwrap();
    let (second, answer) = stage.hosts[1].endpoint.answer(stage.now, &offer, &sends).unwrap();
    let sections: Vec<&str> = answer.split("m=").collect();
    assert!(sections[1].starts_with("audio 0 ") && !sections[1].contains("a=candidate"), "{answer}");
    assert!(sections[2].starts_with("video 9 ") && sections[2].contains("a=candidate"), "{answer}");
    stage.hosts[0].endpoint.accept_answer(stage.now, first, &answer).unwrap();
    let open = |stage: &Stage| stage.channel(0, first).is_some() && stage.channel(1, second).is_some();
    assert!(stage.run(SOON, open), "{answer}");
    let tracks = &stage.seen(1, second).tracks;
    assert!(matches!(&tracks[..], [(_, Direction::Send, codec)] if codec.name == "H264" && codec.payload_type == 102));
    let track = tracks[0].0;
    stage.hosts[1].endpoint.send_rtp(stage.now, second, track, &[packet(1)].into(), 0).unwrap();
    assert!(stage.run(SOON, |stage| !stage.seen(0, first).packets.is_empty()));
    let unknown = stage.hosts[0].endpoint.send_rtp(stage.now, first, track, &[packet(1)].into(), 0);
    assert!(matches!(unknown, Err(Error::NoTrack)), "{unknown:?}");
}

/// Packets follow the path that ICE chose last, also when nothing but packets is sent.
#[test]
fn pictures_go_on_when_the_peer_has_moved() {
    let mut call = Call::new(true);
    let video = call.track("H264");
    call.send(video, 0);
    call.stage.hosts[1].addresses = vec![address(77)];
    call.stage.hosts[1].inside = Some(address(2).ip());
    let offer = call.stage.hosts[1].endpoint.renew_offer(call.stage.now, call.receiver, true).unwrap();
    let answer = call.stage.hosts[0].endpoint.accept_offer(call.stage.now, call.sender, &offer).unwrap();
    call.stage.hosts[1].endpoint.accept_answer(call.stage.now, call.receiver, &answer).unwrap();
    for number in 1..200 {
        call.stage.pass(Duration::from_millis(10));
        call.send(video, number);
    }
    call.stage.pass(Duration::from_millis(100));
    let last = call.received("H264").last().map(|packet| packet.sequence);
    assert_eq!(last, Some(packet(199).sequence));
}

/// A number that was used would be encrypted as another packet was: nothing of such a call leaves, and the track goes on.
#[test]
fn numbers_that_do_not_go_on_are_refused() {
    let mut call = Call::new(true);
    let video = call.track("H264");
    let numbered = |sequence: u16| RtpPacket { sequence, ..packet(0) };
    let send = |call: &mut Call, sequences: &[u16]| {
        let packets = sequences.iter().map(|sequence| numbered(*sequence)).collect();
        call.stage.hosts[0].endpoint.send_rtp(call.stage.now, call.sender, video, &packets, 0)
    };
    send(&mut call, &[10, 11]).unwrap();
    for wrong in [&[11, 12][..], &[10], &[9], &[12, 14], &[13, 12], &[11 + 0x8000]] {
        assert!(matches!(send(&mut call, wrong), Err(Error::Refused { .. })), "{wrong:?}");
    }
    send(&mut call, &[]).unwrap();
    send(&mut call, &[20, 21]).unwrap();
    call.stage.pass(Duration::from_secs(1));
    let arrived: Vec<u16> = call.received("H264").iter().map(|packet| packet.sequence).collect();
    assert_eq!(arrived, [10, 11, 20, 21]);
}
