//! Encoders as OBS and hardware speak, written byte by byte: this client shares no code with the crate.

use std::time::Duration;

use sluicegate_hub::{Next, State, Viewer};
use sluicegate_testbed::{soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::stage::{Stage, name};

const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\x18\x67\x42\xc0\x1e\xd9\0\xa0\x47\xfe\x88\0\0\x03\0\x08\0\0\x03\x01\x90\x78\xb1\x72\x40\x01\0\x04\x68\xcb\x83\xcb";

/// A client that writes chunks by hand.
pub(crate) struct Script {
    socket: TcpStream,
    got: Vec<u8>,
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[2][..], &length, text.as_bytes()].concat()
}

fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

fn object(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let members = members.iter().flat_map(|(name, value)| [string(name)[1..].to_vec(), value.clone()]);
    [vec![3], members.collect::<Vec<_>>().concat(), vec![0, 0, 9]].concat()
}

/// A message with a whole header, in chunks.
fn message(chunk_stream: u8, time: u32, kind: u8, stream: u8, body: &[u8], chunk: usize) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut out = [&[chunk_stream][..], &time.to_be_bytes()[1..], &length[1..], &[kind, stream, 0, 0, 0]].concat();
    for (number, part) in body.chunks(chunk).enumerate() {
        if number > 0 {
            out.push(0xc0 | chunk_stream);
        }
        out.extend(part);
    }
    out
}

fn command(name: &str, transaction: f64, arguments: &[Vec<u8>], stream: u8, chunk: usize) -> Vec<u8> {
    message(3, 0, 20, stream, &[string(name), number(transaction), arguments.concat()].concat(), chunk)
}

const NULL: [u8; 1] = [5];

impl Script {
    /// Connects, with the old handshake.
    pub(crate) async fn connect(stage: &Stage) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // What a slow client has not read must not hide in a large buffer.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut socket = soon("connecting", socket.connect(stage.address().parse().unwrap())).await.unwrap();
        let first = [&[3, 0, 0, 0, 9, 0, 0, 0, 0][..], &[0x5a; 1_528]].concat();
        socket.write_all(&first).await.unwrap();
        let mut answer = vec![0; 1 + 2 * 1_536];
        soon("the handshake", socket.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer[1 + 1_536..], first[1..]);
        socket.write_all(&answer[1..=1_536]).await.unwrap();
        Self { socket, got: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Reads until the text comes; what follows it is kept.
    pub(crate) async fn hears(&mut self, text: &str) {
        let reading = async {
            loop {
                if let Some(at) = self.got.windows(text.len()).position(|window| window == text.as_bytes()) {
                    self.got.drain(..at + text.len());
                    return;
                }
                let mut piece = [0; 4_096];
                let count = self.socket.read(&mut piece).await.unwrap();
                assert_ne!(count, 0, "no {text} in {}", self.got.escape_ascii());
                self.got.extend(&piece[..count]);
            }
        };
        soon(text, reading).await;
    }

    /// Reads what there is until the server closes; how much that was.
    pub(crate) async fn reads_to_the_end(&mut self) -> usize {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = soon("the end", self.socket.read_to_end(&mut rest)).await;
        rest.len()
    }

    async fn connects(&mut self, codecs: &[&str]) {
        let count = u32::try_from(codecs.len()).unwrap().to_be_bytes();
        let list = [&[10][..], &count, &codecs.iter().flat_map(|codec| string(codec)).collect::<Vec<_>>()].concat();
        let about = object(&[
            ("app", string("cams")),
            ("type", string("nonprivate")),
            ("flashVer", string("FMLE/3.0 (compatible; FMSc/1.0)")),
            ("swfUrl", string("rtmp://127.0.0.1/cams")),
            ("tcUrl", string("rtmp://127.0.0.1/cams")),
            ("fourCcList", list),
        ]);
        self.send(&command("connect", 1.0, &[about], 0, 128)).await;
        self.hears("NetConnection.Connect.Success").await;
    }

    pub(crate) async fn plays(&mut self, stream: &str) {
        self.plays_listing(stream, &[]).await;
    }

    /// Plays, and says which codecs it knows.
    pub(crate) async fn plays_listing(&mut self, stream: &str, codecs: &[&str]) {
        self.connects(codecs).await;
        let play = [NULL.to_vec(), string(stream), number(-2_000.0)];
        let both = [command("createStream", 2.0, &[NULL.to_vec()], 0, 128), command("play", 3.0, &play, 1, 128)];
        self.send(&both.concat()).await;
    }

    async fn ends_and(&mut self, what: &str, arguments: &[Vec<u8>]) {
        let mut bytes = command("deleteStream", 8.0, &[NULL.to_vec(), number(1.0)], 0, 128);
        bytes.extend(command("createStream", 9.0, &[NULL.to_vec()], 0, 128));
        bytes.extend(command(what, 10.0, arguments, 1, 128));
        self.send(&bytes).await;
    }

    /// Leaves one stream for another, without waiting for answers.
    pub(crate) async fn ends_and_plays(&mut self, stream: &str) {
        self.ends_and("play", &[NULL.to_vec(), string(stream)]).await;
    }

    pub(crate) async fn ends_and_publishes(&mut self, stream: &str) {
        self.ends_and("publish", &[NULL.to_vec(), string(stream), string("live")]).await;
    }

    /// Everything that OBS says until it may send.
    pub(crate) async fn publishes(&mut self, stream: &str) {
        self.connects(&[]).await;
        self.send(&message(2, 0, 1, 0, &4_096_u32.to_be_bytes(), 128)).await;
        let named = || [NULL.to_vec(), string(stream)];
        let mut asks = command("releaseStream", 2.0, &named(), 0, 4_096);
        asks.extend(command("FCPublish", 3.0, &named(), 0, 4_096));
        asks.extend(command("createStream", 4.0, &[NULL.to_vec()], 0, 4_096));
        self.send(&asks).await;
        self.hears("_result").await;
        let publish = [NULL.to_vec(), string(stream), string("live")];
        self.send(&command("publish", 5.0, &publish, 1, 4_096)).await;
    }
}

#[tokio::test]
async fn an_encoder_like_obs_publishes_leaves_and_comes_back() {
    let stage = Stage::start().await;
    let mut viewer = stage.hub.subscribe(&name("cams/hall"), Viewer::by("test"));
    let mut obs = Script::connect(&stage).await;
    obs.publishes("hall").await;
    obs.hears("onFCPublish").await;
    obs.hears("NetStream.Publish.Start").await;
    let metadata = object(&[("width", number(640.0)), ("height", number(360.0)), ("videocodecid", number(7.0))]);
    let data = [string("@setDataFrame"), string("onMetaData"), metadata].concat();
    let mut bytes = message(4, 0, 18, 1, &data, 4_096);
    bytes.extend(message(4, 0, 9, 1, AVC, 4_096));
    let picture = [&[0x17, 1, 0, 0, 0, 0, 0, 0x23, 0x28, 0x65][..], &[0x88; 8_999]].concat();
    bytes.extend(message(4, 40, 9, 1, &picture, 4_096));
    // The header without a message stream, 40 ms on; then the one with a time alone.
    let small: &[u8] = b"\x27\x01\0\0\0\0\0\0\x02\x41\x9a";
    bytes.extend([&[0x44, 0, 0, 40, 0, 0, 11, 9][..], small, &[0x84, 0, 0, 40], small].concat());
    obs.send(&bytes).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let batch = soon("a picture", viewer.next()).await.unwrap();
        seen.extend(batch.frames.iter().map(|frame| (frame.dts.millis(), frame.key, frame.payload.len())));
    }
    assert_eq!(seen, [(0, true, 9_004), (40, false, 6), (80, false, 6)]);
    let named = [NULL.to_vec(), string("hall")];
    let mut bye = command("FCUnpublish", 6.0, &named, 0, 4_096);
    bye.extend(command("deleteStream", 7.0, &[NULL.to_vec(), number(1.0)], 0, 4_096));
    obs.send(&bye).await;
    let away = || async { (stage.hub.stream(&name("cams/hall"))?.state == State::Away).then_some(()) };
    until("the encoder's leave", away).await;

    let mut again = Script::connect(&stage).await;
    again.publishes("hall").await;
    again.hears("NetStream.Publish.Start").await;
    assert_eq!(stage.hub.stream(&name("cams/hall")).unwrap().state, State::Live);
    assert!(matches!(viewer.try_next(), Next::Empty));
}

#[tokio::test]
async fn a_hardware_encoder_says_everything_at_once() {
    let stage = Stage::start().await;
    let mut viewer = stage.hub.subscribe(&name("cams/hall/door"), Viewer::by("test"));
    let mut encoder = Script::connect(&stage).await;
    let about = object(&[("app", string("cams/hall?x=1")), ("tcUrl", string("rtmp://h:1935/cams/hall"))]);
    let mut bytes = command("connect", 1.0, &[about], 0, 128);
    bytes.extend(command("createStream", 2.0, &[NULL.to_vec()], 0, 128));
    let publish = [NULL.to_vec(), string("door"), string("record")];
    bytes.extend(command("publish", 0.0, &publish, 1, 128));
    bytes.extend(message(6, 0x00ff_fffe, 9, 1, AVC, 128));
    // From here on the timestamp needs four bytes, which this encoder does not repeat in later chunks.
    let picture = [&[0x17, 1, 0, 0, 0, 0, 0, 0, 200, 0x65][..], &[0x88; 199]].concat();
    let chunks = message(6, 0x00ff_ffff, 9, 1, &picture, 128);
    // No metadata says that there is no sound, so it is awaited for a second of pictures.
    for (time, first) in [([1, 0, 0, 20], 0x17), ([1, 0, 4, 36], 0x27)] {
        bytes.extend([&chunks[..12], &time, &[first], &chunks[13..]].concat());
    }
    encoder.send(&bytes).await;
    for time in [0, 1_040] {
        let batch = soon("a picture", viewer.next()).await.unwrap();
        let frame = &batch.frames[0];
        assert_eq!((frame.dts.millis(), frame.payload.len(), frame.key), (time, 204, time == 0));
    }
}

#[tokio::test]
async fn what_is_no_rtmp_ends_at_once() {
    let stage = Stage::start().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x06", b"\x16\x03\x01"] {
        let mut socket = TcpStream::connect(stage.address()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
}
