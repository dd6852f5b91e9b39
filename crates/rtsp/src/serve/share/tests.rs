//! What players of one stream get: the same bytes where they can, and numbers without gaps always.

use proptest::prelude::*;
use sluicegate_hub::{Config, Expects, Hub, Next, Publish, Publisher, Viewer};
use sluicegate_media::{Codec, Frame, TrackId, avc};

use super::*;

/// x264, `testsrc` 1280x720.
const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
    0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
const CHANNELS: [Option<(u8, u8)>; 2] = [Some((0, 1)), Some((2, 3))];

struct Stage {
    hub: Hub,
    output: Output,
    publisher: Publisher,
    pushed: i64,
}

struct Player {
    subscriber: Subscriber,
    share: Option<Share>,
    channels: [Option<(u8, u8)>; 2],
}

fn name() -> StreamName {
    StreamName::parse("cams/hall").unwrap()
}

impl Stage {
    fn new(ring_bytes: usize) -> Self {
        let hub = Hub::new(Config { ring_bytes, ..Config::default() }).unwrap();
        let (output, both) = (Output::new(&hub), Expects { video: true, audio: true });
        let publisher = hub.publish(&name(), Publish::by("test").expecting(both)).unwrap();
        let record = Bytes::from(avc::record(SPS, &[PPS]).unwrap());
        publisher.push(Frame::configuration(TrackId::VIDEO, Codec::H264, Timestamp::ZERO, record)).unwrap();
        let stage = Self { hub, output, publisher, pushed: 0 };
        stage.sound(0);
        stage
    }

    fn sound(&self, at: i64) {
        let sound =
            Frame::media(TrackId::AUDIO, Codec::G711A, Timestamp::from_millis(at), Bytes::from_static(&[7; 160]));
        self.publisher.push(sound).unwrap();
    }

    /// A picture of some packets, and sound; every fourth is a key frame.
    fn push(&mut self) {
        let (at, key) = (self.pushed * 40, self.pushed % 4 == 0);
        let mut payload = 6_000_u32.to_be_bytes().to_vec();
        payload.push(if key { 0x65 } else { 0x41 });
        payload.resize(6_004, 0x5a);
        let picture = Frame::media(TrackId::VIDEO, Codec::H264, Timestamp::from_millis(at), payload.into());
        self.publisher.push(picture.with_key(key)).unwrap();
        self.sound(at + 20);
        self.pushed += 1;
    }

    fn join(&self) -> Player {
        let subscriber = self.hub.subscribe(&name(), Viewer::by("test"));
        Player { subscriber, share: None, channels: CHANNELS }
    }
}

impl Player {
    /// Takes a batch, if there is one: its pieces.
    fn take(&mut self, stage: &Stage) -> Option<Vec<Bytes>> {
        let Next::Batch(batch) = self.subscriber.try_next() else { return None };
        let share = self.share.get_or_insert_with(|| Share::new(stage.output.clone(), &name(), &batch.tracks));
        let body = share.body(&batch, &self.subscriber).unwrap();
        let mut pieces = Vec::new();
        share.interleave(&batch, &body, &self.channels, |bytes| pieces.push(bytes));
        Some(pieces)
    }
}

/// The packets in pieces of a connection: channel, number, source.
fn packets(pieces: &[Bytes]) -> Vec<(u8, u16, u32)> {
    let (whole, mut found) = (pieces.concat(), Vec::new());
    let mut rest = &whole[..];
    while let [b'$', channel, a, b, packet @ ..] = rest {
        let (packet, behind) = packet.split_at(usize::from(u16::from_be_bytes([*a, *b])));
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        found.push((*channel, number, u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]])));
        rest = behind;
    }
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    found
}

fn is_shared(some: &[Bytes], others: &[Bytes]) -> bool {
    some[0].as_ptr() == others[0].as_ptr()
}

#[test]
fn players_of_a_stream_share_bytes_whoever_is_first() {
    let mut stage = Stage::new(1 << 20);
    (0..6).for_each(|_| stage.push());
    let mut old = stage.join();
    old.take(&stage).unwrap();
    (0..4).for_each(|_| stage.push());
    // One that comes at the newest key frame, before the other has taken what is between.
    let mut new = stage.join();
    let first = new.take(&stage).unwrap();
    let between: Vec<_> = std::iter::from_fn(|| old.take(&stage)).collect();
    assert!(between.len() > 3 && between.iter().any(|pieces| is_shared(pieces, &first)));
    assert!(between.iter().all(|pieces| pieces[0].len() > 6_000));
    // All have left, and somebody comes.
    drop((old, new));
    stage.push();
    assert!(is_shared(&stage.join().take(&stage).unwrap(), &first));
}

#[test]
fn players_who_fall_behind_together_share_bytes_again() {
    let mut stage = Stage::new(64 << 10);
    (0..2).for_each(|_| stage.push());
    let mut players = [stage.join(), stage.join()];
    players.iter_mut().for_each(|player| drop(player.take(&stage).unwrap()));
    (0..60).for_each(|_| stage.push());
    let [one, two] = players.each_mut().map(|player| player.take(&stage).unwrap());
    assert!(players.iter().all(|player| player.subscriber.skipped() > 0));
    assert!(one[0].len() > 6_000 && is_shared(&one, &two));
}

#[test]
fn other_channels_and_fewer_tracks() {
    let mut stage = Stage::new(1 << 20);
    stage.push();
    stage.push();
    let (mut all, mut sound, mut other) = (stage.join(), stage.join(), stage.join());
    (sound.channels, other.channels) = ([None, Some((0, 1))], [Some((8, 9)), Some((4, 5))]);
    let all = [&all.take(&stage).unwrap()[..], &all.take(&stage).unwrap()].concat();
    let [sound, other] = [&mut sound, &mut other].map(|player| {
        let pieces = [&player.take(&stage).unwrap()[..], &player.take(&stage).unwrap()].concat();
        packets(&pieces).into_iter().filter(|(channel, ..)| channel % 2 == 0).collect::<Vec<_>>()
    });
    let all = packets(&all).into_iter().filter(|(channel, ..)| channel % 2 == 0);
    let moved = |from: u8, to: u8| move |(channel, number, source)| (channel == from).then_some((to, number, source));
    assert_eq!(sound, all.clone().filter_map(moved(2, 0)).collect::<Vec<_>>());
    let both = all.map(|(channel, number, source)| (if channel == 0 { 8 } else { 4 }, number, source));
    assert_eq!(other, both.collect::<Vec<_>>());
}

#[test]
fn datagrams_are_the_packets_of_connections() {
    let mut stage = Stage::new(1 << 20);
    stage.push();
    stage.push();
    let (mut by_tcp, mut by_udp) = (stage.join(), stage.join());
    let framed = by_tcp.take(&stage).unwrap();
    let Next::Batch(batch) = by_udp.subscriber.try_next() else { panic!("no batch") };
    let mut share = Share::new(stage.output.clone(), &name(), &batch.tracks);
    let body = share.body(&batch, &by_udp.subscriber).unwrap();
    let mut again = Vec::new();
    share.datagrams(&batch, &body, |place, is_report, bytes| {
        if !is_report {
            again.extend_from_slice(&[b'$', u8::try_from(place * 2).unwrap()]);
            again.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
            again.extend_from_slice(&bytes);
        }
    });
    assert_eq!(again, framed[0]);
}

#[derive(Debug, Clone)]
enum Step {
    Push,
    Join,
    Take(usize),
}

proptest! {
    #[test]
    fn nobodys_numbers_have_gaps(steps in prop::collection::vec(prop_oneof![
        3 => Just(Step::Push), 1 => Just(Step::Join), 6 => any::<usize>().prop_map(Step::Take),
    ], 1..200)) {
        // Some ten batches: players fall behind.
        let mut stage = Stage::new(64 << 10);
        let mut players: Vec<(Player, [Option<u16>; 2])> = Vec::new();
        let mut sources = None;
        for step in steps {
            match step {
                Step::Push => stage.push(),
                Step::Join if players.len() < 5 => players.push((stage.join(), [None; 2])),
                Step::Join => drop(players.remove(0)),
                Step::Take(_) if players.is_empty() => {}
                Step::Take(who) => {
                    let count = players.len();
                    let (player, last) = &mut players[who % count];
                    for (channel, number, source) in packets(&player.take(&stage).unwrap_or_default()) {
                        if channel % 2 == 1 {
                            continue;
                        }
                        let last = &mut last[usize::from(channel / 2)];
                        prop_assert_eq!(last.map_or(number, |last| last.wrapping_add(1)), number);
                        *last = Some(number);
                        let sources: &mut [Option<u32>; 2] = sources.get_or_insert_default();
                        prop_assert_eq!(*sources[usize::from(channel / 2)].get_or_insert(source), source);
                    }
                }
            }
        }
    }
}
