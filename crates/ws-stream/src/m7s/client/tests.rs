//! Where pings go and what silence means.

use std::time::Duration;

use super::*;
use sluicegate_hub::{Expects, Hub, Publish, StreamName, Viewer};
use sluicegate_media::{Codec, Frame, Timestamp, Track, TrackId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::protocol::Role;

const TIMES: Times = Times { every: Duration::from_secs(5), answer: Duration::from_secs(15) };

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn pings_are_due_every_five_seconds_and_counted_from_the_oldest_without_answer() {
    let start = Instant::now();
    let mut keep_alive = KeepAlive::new(TIMES, start);
    let pinged: Vec<_> = (0..12).filter(|second| keep_alive.ping(start + seconds(*second))).collect();
    assert_eq!(pinged, [5, 10]);
    // It has never answered, so its silence means nothing.
    assert_eq!(keep_alive.silence(start + seconds(1_000)), None);
    keep_alive.handle_pong();
    assert_eq!(keep_alive.silence(start + seconds(1_000)), None);
    assert!(keep_alive.ping(start + seconds(20)) && keep_alive.ping(start + seconds(25)));
    assert_eq!(keep_alive.silence(start + seconds(34)), None);
    assert_eq!(keep_alive.silence(start + seconds(35)), Some(seconds(15)));
    keep_alive.handle_pong();
    assert_eq!(keep_alive.silence(start + seconds(35)), None);
}

fn sounds(set: &Arc<TrackSet>, seq: u64, count: usize) -> Batch {
    let frame = Frame::media(TrackId::AUDIO, Codec::G711A, Timestamp::from_millis(40), vec![7].into());
    Batch::new(seq, Arc::clone(set), vec![frame; count].into(), true)
}

fn set(tracks: impl IntoIterator<Item = Track>) -> Arc<TrackSet> {
    Arc::new(TrackSet::new(tracks.into_iter().collect()))
}

fn shape(messages: &[Message]) -> String {
    let sign = |message: &Message| match message {
        Message::Binary(bytes) => bytes.first().map_or("-".to_owned(), |first| format!("{first:x}")),
        Message::Ping(_) => "ping".to_owned(),
        other => format!("{other:?}"),
    };
    messages.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_ping_goes_between_the_empty_message_and_the_tag() {
    let start = Instant::now();
    let (mut tags, mut keep_alive) = (Tags::default(), KeepAlive::new(TIMES, start));
    let tracks = set([Track::new(TrackId::AUDIO, Codec::G711A, Bytes::new()).unwrap()]);
    // "F" of the file header, the metadata, then pairs.
    let first = tags.messages(&sounds(&tracks, 0, 2), &mut keep_alive, start).unwrap();
    assert_eq!(shape(&first), "46 12 - 8 - 8");
    let due = tags.messages(&sounds(&tracks, 1, 2), &mut keep_alive, start + TIMES.every).unwrap();
    assert_eq!(shape(&due), "- ping 8 - 8");
    let later = tags.messages(&sounds(&tracks, 2, 1), &mut keep_alive, start + TIMES.every).unwrap();
    assert_eq!(shape(&later), "- 8");
}

#[test]
fn configurations_that_change_are_told_again_and_others_are_not() {
    let start = Instant::now();
    let (mut tags, mut keep_alive) = (Tags::default(), KeepAlive::new(TIMES, start));
    let aac = |bytes: &'static [u8]| Track::new(TrackId::AUDIO, Codec::Aac, Bytes::from_static(bytes)).unwrap();
    let mut told = |tracks: Arc<TrackSet>, seq| {
        let batch = Batch::new(seq, tracks, Vec::new().into(), true);
        shape(&tags.messages(&batch, &mut keep_alive, start).unwrap())
    };
    assert_eq!(told(set([aac(b"\x12\x10")]), 0), "46 12 - 8");
    assert_eq!(told(set([aac(b"\x12\x10")]), 1), "");
    assert_eq!(told(set([aac(b"\x12\x08")]), 2), "- 8");
}

/// A frame of a client: its first byte and its length, which is short here.
async fn frame(wire: &mut DuplexStream) -> (u8, usize) {
    let mut head = [0; 6];
    wire.read_exact(&mut head).await.unwrap();
    let length = match head[1] & 0x7f {
        126 => {
            // Two of the bytes taken for the mask key were the length.
            wire.read_u16().await.unwrap();
            usize::from(u16::from_be_bytes([head[2], head[3]]))
        }
        short => usize::from(short),
    };
    wire.read_exact(&mut vec![0; length]).await.unwrap();
    (head[0], length)
}

#[tokio::test]
async fn an_upstream_that_has_answered_and_then_does_not_is_given_up() {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let name = StreamName::parse("a/b").unwrap();
    let publisher = hub.publish(&name, Publish::by("test")).unwrap();
    publisher.expect(Expects { video: false, audio: true });
    let sound = |at| Frame::media(TrackId::AUDIO, Codec::G711A, Timestamp::from_millis(at), vec![7].into());
    let (near, mut wire) = tokio::io::duplex(1 << 16);
    let websocket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let times = Times { every: Duration::ZERO, answer: Duration::ZERO };
    let pushing =
        tokio::spawn(run(hub.subscribe(&name, Viewer::by("push")), websocket, CancellationToken::new(), times));
    let script = async {
        publisher.push(sound(0)).unwrap();
        assert_eq!([frame(&mut wire).await.0, frame(&mut wire).await.0], [0x82, 0x82]);
        let mut at = 0;
        // Unanswered pings mean nothing, however late they are.
        for _ in 0..3 {
            let pair = [frame(&mut wire).await, frame(&mut wire).await, frame(&mut wire).await];
            assert!(pair[0] == (0x82, 0) && pair[1] == (0x89, 0) && pair[2].1 > 0, "{pair:?}");
            at += 20;
            publisher.push(sound(at)).unwrap();
        }
        wire.write_all(&[0x8a, 0]).await.unwrap();
        // The next tags go out with pings that stay without an answer, so one of them is the last.
        let mut feeding = tokio::task::JoinSet::new();
        feeding.spawn(async move {
            loop {
                at += 20;
                if publisher.push(sound(at)).is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        while frame(&mut wire).await.0 != 0x88 {}
        drop(wire);
    };
    tokio::time::timeout(Duration::from_secs(20), script).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), pushing).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Silent { .. })), "{ended:?}");
}
