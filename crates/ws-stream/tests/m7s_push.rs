//! Our push at an original upstream: scripted from the description of how the original reads, sharing no code with ours.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Expects, Hub, Publish, Publisher, Reason, StreamName, Viewer};
use sluicegate_media::{Codec, Content, Frame, Timestamp, TrackId};
use sluicegate_ws_stream::ingest::Limits;
use sluicegate_ws_stream::{Error, m7s};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(20);
const AVCC: &[u8] = b"\x01\x42\xc0\x0d\xff\xe1\x00\x18\x67\x42\xc0\x0d\xd9\x01\x41\xfb\x01\x10\x00\x00\x03\x00\x10\x00\
\x00\x03\x03\x20\xf1\x42\xa4\x80\x01\x00\x05\x68\xcb\x83\xcb\x20";
const HVCC: &[u8] = b"\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x5d\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x03\
\xa0\x00\x01\x00\x18\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5d\x95\x98\x09\
\xa1\x00\x01\x00\x2b\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5d\xa0\x02\x80\x80\x2d\x16\
\x59\x59\xa4\x93\x2b\xc0\x5a\x02\x00\x00\x03\x00\x02\x00\x00\x03\x00\x32\x10\xa2\x00\x01\x00\x07\x44\x01\xc1\x72\xb4\
\x62\x40";
const OPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
const AAC: &[u8] = b"\x12\x08";

async fn soon<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.unwrap()
}

fn name() -> StreamName {
    StreamName::parse("cams/door").unwrap()
}

fn configuration(track: TrackId, codec: Codec, bytes: &'static [u8]) -> Frame {
    Frame::configuration(track, codec, Timestamp::ZERO, Bytes::from_static(bytes))
}

/// Picture `number` of a stream with a key frame every tenth; one is larger than a length of 16 bits.
fn picture(codec: Codec, number: u8) -> Frame {
    let key = number.is_multiple_of(10);
    let mut nal = vec![number; if number == 10 { 70_000 } else { 200 }];
    nal[0] = match (codec, key) {
        (Codec::H265, true) => 0x26,
        (Codec::H265, false) => 0x02,
        (_, true) => 0x65,
        _ => 0x41,
    };
    let payload = [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], &nal].concat();
    Frame::media(TrackId::VIDEO, codec, Timestamp::from_millis(i64::from(number) * 40), payload.into())
        .with_key(key)
        .with_composition_offset(Timestamp::from_millis(i64::from(number % 3) * 40))
}

/// A hub with a stream of these codecs, and its publisher, who can go on.
fn stream(codec: Codec, sound: (Codec, &'static [u8])) -> (Hub, Publisher) {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let publisher = hub.publish(&name(), Publish::by("test")).unwrap();
    publisher.push(configuration(TrackId::VIDEO, codec, if codec == Codec::H265 { HVCC } else { AVCC })).unwrap();
    publisher.push(configuration(TrackId::AUDIO, sound.0, sound.1)).unwrap();
    (hub, publisher)
}

fn feed(publisher: &Publisher, codec: Codec, sound: Codec, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let at = Timestamp::from_millis(i64::from(number) * 40);
        publisher.push(Frame::media(TrackId::AUDIO, sound, at, vec![number; 9].into())).unwrap();
        publisher.push(picture(codec, number)).unwrap();
    }
}

type Push = JoinHandle<Result<Reason, Error>>;

/// Pushes the stream of `hub`; what goes over the wire comes out of the other end.
async fn push(hub: &Hub, stop: CancellationToken) -> (DuplexStream, Push) {
    let (near, far) = duplex(1 << 20);
    let websocket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    (far, tokio::spawn(m7s::push(hub.subscribe(&name(), Viewer::by("push")), websocket, stop)))
}

/// The original's reader: what it makes of a connection, or the first thing that it stumbles over.
struct Original {
    wire: DuplexStream,
}

impl Original {
    /// A header and nothing behind it. The library that the original uses refuses opcodes that are reserved.
    async fn header(&mut self) -> Result<(u8, usize, [u8; 4]), String> {
        let first = self.wire.read_u8().await.map_err(|error| error.to_string())?;
        let second = self.wire.read_u8().await.map_err(|error| error.to_string())?;
        if first & 0x70 != 0 || !matches!(first & 0x0f, 0..=2 | 8..=10) || second & 0x80 == 0 {
            return Err(format!("use of reserved op code in {first:02x} {second:02x}"));
        }
        let length = match second & 0x7f {
            126 => usize::from(self.wire.read_u16().await.unwrap()),
            127 => usize::try_from(self.wire.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut key = [0; 4];
        self.wire.read_exact(&mut key).await.map_err(|error| error.to_string())?;
        Ok((first, length, key))
    }

    /// A frame, after the control frames before it: pings are answered, a close is an end.
    async fn frame(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let (first, length, key) = self.header().await?;
            let mut payload = vec![0; length];
            self.wire.read_exact(&mut payload).await.map_err(|error| error.to_string())?;
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            match first {
                0x82 => return Ok(payload),
                0x89 => self.wire.write_all(&[0x8a, 0]).await.unwrap(),
                0x8a => {}
                other => return Err(format!("frame {other:02x}")),
            }
        }
    }

    /// The two messages before the media.
    async fn begin(&mut self) -> Result<u8, String> {
        let header = self.frame().await?;
        if header.len() < 5 || !header.starts_with(b"FLV") {
            return Err("no FLV".into());
        }
        let metadata = self.frame().await?;
        if metadata.first() != Some(&0x12) {
            return Err(format!("no metadata: {:02x?}", metadata.first()));
        }
        Ok(header[4])
    }

    /// A tag, read as the original reads it: one header is dropped with nothing behind it, then comes a frame. Its codec
    /// must be one that the original knows.
    async fn tag(&mut self) -> Result<Vec<u8>, String> {
        self.header().await?;
        let tag = self.frame().await?;
        let [kind, a, b, c, ..] = tag[..] else { return Err(format!("{} bytes", tag.len())) };
        let size = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        if tag.len() != size + 15 || tag[size + 11..] != u32::try_from(size + 11).unwrap().to_be_bytes() {
            return Err(format!("a tag of {size} bytes in a frame of {}", tag.len()));
        }
        match (kind, tag[11]) {
            (9, 0x17 | 0x27 | 0x1c | 0x2c) => Ok(tag),
            (8, first) if matches!(first >> 4, 7 | 8 | 10) => Ok(tag),
            (kind, first) => Err(format!("tag {kind} with codec byte {first:02x}")),
        }
    }
}

#[tokio::test]
async fn an_original_reads_every_frame() {
    for (codec, id) in [(Codec::H264, 7), (Codec::H265, 12)] {
        let (hub, publisher) = stream(codec, (Codec::Aac, AAC));
        feed(&publisher, codec, Codec::Aac, 0..12);
        let (wire, _push) = push(&hub, CancellationToken::new()).await;
        let mut original = Original { wire };
        let read = async {
            assert_eq!(original.begin().await.unwrap(), 5);
            let configurations = [original.tag().await.unwrap(), original.tag().await.unwrap()];
            assert_eq!((configurations[0][11] & 15, configurations[0][12]), (id, 0));
            assert_eq!(configurations[1][11..13], *b"\xaf\x00");
            // A viewer begins at the latest key frame, the one that is large.
            for number in 10..12 {
                let picture = loop {
                    let tag = original.tag().await.unwrap();
                    if tag[0] == 9 {
                        break tag;
                    }
                };
                let expected = self::picture(codec, number);
                assert_eq!(picture[11..13], [if expected.key { 0x10 | id } else { 0x20 | id }, 1]);
                assert_eq!(picture[16..picture.len() - 4], expected.payload);
            }
        };
        soon(read).await;
    }
}

#[tokio::test]
async fn sound_that_it_cannot_read_is_left_out() {
    let (hub, publisher) = stream(Codec::H264, (Codec::Opus, OPUS));
    feed(&publisher, Codec::H264, Codec::Opus, 0..3);
    let (wire, _push) = push(&hub, CancellationToken::new()).await;
    let mut original = Original { wire };
    soon(async {
        assert_eq!(original.begin().await.unwrap(), 1, "the file header announces no sound");
        for packet_type in [0, 1, 1, 1] {
            let tag = original.tag().await.unwrap();
            assert_eq!((tag[0], tag[12]), (9, packet_type));
        }
    })
    .await;
}

#[tokio::test]
async fn pictures_that_it_cannot_read_are_refused() {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let publisher = hub.publish(&name(), Publish::by("test")).unwrap();
    publisher.expect(Expects { video: true, audio: false });
    let key = Frame::media(TrackId::VIDEO, Codec::Vp8, Timestamp::ZERO, vec![0; 20].into()).with_key(true);
    for at in 0..3 {
        publisher.push(Frame { dts: Timestamp::from_millis(at * 40), ..key.clone() }).unwrap();
    }
    let (wire, push) = push(&hub, CancellationToken::new()).await;
    let mut original = Original { wire };
    // Nothing goes out but the goodbye.
    assert_eq!(soon(original.frame()).await, Err("frame 88".to_owned()));
    drop(original);
    let error = soon(push).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Codec { codec: Codec::Vp8, .. }), "{error:?}");
}

#[tokio::test]
async fn an_original_stumbles_over_plain_messages() {
    // So that the scripted original is seen to tell the forms apart: without empty messages it drops a tag's own header.
    let (hub, publisher) = stream(Codec::H264, (Codec::Aac, AAC));
    feed(&publisher, Codec::H264, Codec::Aac, 0..12);
    let (wire, _push) = push(&hub, CancellationToken::new()).await;
    let mut ours = Original { wire };
    let (mut near, wire) = duplex(1 << 20);
    let mut original = Original { wire };
    soon(async {
        for number in 0..6 {
            let message = ours.frame().await.unwrap();
            if number < 2 || !message.is_empty() {
                let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                let header = [0x82, 0xfe, length[0], length[1], 0, 0, 0, 0];
                near.write_all(&[&header[..], &message].concat()).await.unwrap();
            }
        }
        drop(near);
        original.begin().await.unwrap();
        assert!(original.tag().await.is_err());
    })
    .await;
}

#[tokio::test]
async fn our_own_route_reads_our_push_until_it_stops() {
    for codec in [Codec::H264, Codec::H265] {
        let (hub, publisher) = stream(codec, (Codec::Aac, AAC));
        feed(&publisher, codec, Codec::Aac, 0..12);
        let stop = CancellationToken::new();
        let (wire, push) = push(&hub, stop.clone()).await;
        let there = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let received = there.publish(&name(), Publish::by("m7s")).unwrap();
        let mut viewer = there.subscribe(&name(), Viewer::by("test"));
        let ingest = tokio::spawn(m7s::ingest(wire, Bytes::new(), received, Limits::default()));
        let mut pictures = Vec::new();
        while pictures.len() < 2 {
            let batch = soon(viewer.next()).await.unwrap();
            pictures.extend(batch.frames.iter().filter(|frame| frame.track == TrackId::VIDEO).cloned());
            let track = batch.tracks.get(TrackId::VIDEO).unwrap();
            assert_eq!(
                (track.codec, &track.configuration[..]),
                (codec, if codec == Codec::H265 { HVCC } else { AVCC })
            );
        }
        for (got, number) in pictures.iter().zip(10..) {
            let sent = picture(codec, number);
            assert!(got.payload == sent.payload && got.content == Content::Media, "{codec} {number}");
            assert_eq!((got.key, got.composition_offset), (sent.key, sent.composition_offset));
        }
        stop.cancel();
        soon(ingest).await.unwrap().unwrap();
        soon(push).await.unwrap().unwrap();
    }
}

#[test]
fn the_original_takes_names_of_two_segments() {
    let url = |base: &str, stream: &str| {
        m7s::push_url(&Url::parse(base).unwrap(), stream, "gate-1").map(|url| url.to_string())
    };
    let plain = Some("ws://host:8080/erwscascade/wspush/live/a?cid=gate-1".to_owned());
    assert_eq!(url("ws://host:8080", "live/a"), plain);
    assert_eq!(url("ws://host:8080/?x=y", "live/a"), plain);
    let behind = Some("wss://host/media/x/erwscascade/wspush/live/a?cid=gate-1".to_owned());
    assert_eq!(url("wss://host/media/x/", "live/a"), behind);
    assert_eq!(url("wss://host/media/x", "live/a"), behind);
    for refused in ["on", "a/b/c", "/a", "a/", ""] {
        assert_eq!(url("ws://host", refused), None, "{refused}");
    }
}
