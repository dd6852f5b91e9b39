//! Sessions of ffmpeg, librtmp and GStreamer's `rtmp2`, recorded (see `README.md` in this folder), replayed into ours: as
//! they were, and said again in the dialects of other encoders.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod dialect;

use std::path::Path;

use bytes::Bytes;
use sluicegate_flv::{audio, video};
use sluicegate_media::Codec;
use sluicegate_rtmp::protocol::{
    Address, ClientConfig, ClientEvent, ClientSession, Message, Purpose, Request, ServerEvent, ServerSession, kind,
};
use sluicegate_testbed::recorded::{Record, of, read};

use dialect::{Dialect, HANDSHAKE, Said, said};

fn recording(name: &str) -> Vec<Record> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.bin")))
}

/// What came of a client's bytes.
#[derive(Debug, Default)]
struct Outcome {
    request: Option<Request>,
    media: Vec<Message>,
    ended: bool,
    /// All that our server has answered.
    answers: Vec<u8>,
}

impl Outcome {
    fn told(&self, text: &str) -> bool {
        self.answers.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }

    /// Pictures and sounds: kind, time and body.
    fn frames(&self) -> Vec<(u8, u32, Bytes)> {
        let is_frame = |message: &&Message| matches!(message.kind, kind::VIDEO | kind::AUDIO);
        let frames = self.media.iter().filter(is_frame);
        frames.map(|message| (message.kind, message.timestamp, message.payload.clone())).collect()
    }
}

/// Gives a client's bytes to a server, in pieces of this length.
fn replay(bytes: &[u8], cut: usize) -> Outcome {
    let now = tokio::time::Instant::now().into_std();
    let (mut server, mut outcome) = (ServerSession::new(7, now), Outcome::default());
    for piece in bytes.chunks(cut) {
        server.handle_bytes(Bytes::copy_from_slice(piece));
        while let Some(event) = server.poll_event().unwrap() {
            match event {
                ServerEvent::Publish(request) => {
                    outcome.request = Some(request);
                    server.accept_publish();
                }
                ServerEvent::Play(request) => {
                    outcome.request = Some(request);
                    server.accept_play();
                }
                ServerEvent::Media(message) => outcome.media.push(message),
                ServerEvent::Ended => outcome.ended = true,
            }
        }
        outcome.answers.extend(std::iter::from_fn(|| server.poll_output()).flatten());
    }
    outcome
}

fn frames_of(messages: &[Said]) -> Vec<(u8, u32, Bytes)> {
    let frames = messages.iter().filter(|message| matches!(message.kind, 8 | 9));
    frames.map(|message| (message.kind, message.timestamp, Bytes::copy_from_slice(&message.body))).collect()
}

/// Recordings, the stream, what the encoder calls itself, its pictures and sounds with their configurations.
const PUBLISHERS: [(&str, &str, &str, usize, usize); 3] = [
    ("ffmpeg_publishes_to_ffmpeg", "live/cam", "FMLE/3.0 (compatible; Lavf59.27.100)", 22, 34),
    ("librtmp_publishes", "live/rtmpsink", "", 22, 34),
    ("rtmp2_publishes", "live/rtmp2sink", "LNX 10,0,32,18", 22, 34),
];

#[test]
fn publishers_are_understood_however_their_bytes_are_cut() {
    for (name, stream, software, pictures, sounds) in PUBLISHERS {
        let bytes = of(&recording(name), true);
        for cut in [1, 37, 1_460, usize::MAX] {
            let outcome = replay(&bytes, cut);
            let request = outcome.request.as_ref().unwrap();
            assert_eq!(request.place.name, stream);
            assert_eq!(request.software, software);
            assert!(outcome.told("NetStream.Publish.Start") && outcome.told("onFCPublish"), "{name}");
            assert_eq!(outcome.frames(), frames_of(&said(&bytes[HANDSHAKE..])), "{name}");
            let count = |wanted| outcome.media.iter().filter(|message| message.kind == wanted).count();
            assert_eq!((count(kind::VIDEO), count(kind::AUDIO)), (pictures, sounds), "{name}");
            assert!(count(kind::DATA) > 0 && outcome.ended, "{name}: metadata, and an end in order");
        }
    }
}

#[test]
fn the_bodies_are_pictures_and_sounds() {
    for (name, ..) in PUBLISHERS {
        let outcome = replay(&of(&recording(name), true), 4_096);
        let bodies = |wanted| outcome.media.iter().filter(move |message| message.kind == wanted);
        let pictures: Vec<_> =
            bodies(kind::VIDEO).flat_map(|message| video::parse(message.payload.clone()).unwrap()).collect();
        let sounds: Vec<_> =
            bodies(kind::AUDIO).flat_map(|message| audio::parse(message.payload.clone()).unwrap()).collect();
        assert!(pictures.iter().all(|packet| packet.codec == Codec::H264), "{name}");
        assert!(sounds.iter().all(|packet| packet.codec == Codec::Aac), "{name}");
        assert_eq!(pictures[0].content, video::Content::SequenceStart, "{name}");
        assert_eq!(pictures.iter().filter(|packet| packet.key).count(), 2, "{name}");
    }
}

#[test]
fn encoders_with_other_dialects_say_the_same() {
    for (name, stream, ..) in PUBLISHERS {
        let bytes = of(&recording(name), true);
        let (handshake, plain) = (&bytes[..HANDSHAKE], said(&bytes[HANDSHAKE..]));
        for dialect in dialect::ALL {
            let again = [handshake, &dialect.say(&plain)].concat();
            for cut in [1, 1_460] {
                let outcome = replay(&again, cut);
                assert_eq!(outcome.request.as_ref().unwrap().place.name, stream, "{name}, {dialect:?}");
                assert!(outcome.told("NetStream.Publish.Start"), "{name}, {dialect:?}");
                // Only who says FCPublish waits for the answer to it.
                assert_eq!(outcome.told("onFCPublish"), !dialect.is_brief, "{name}, {dialect:?}");
                let shifted =
                    frames_of(&plain).into_iter().map(|(kind, time, body)| (kind, time + dialect.shift, body));
                assert_eq!(outcome.frames(), shifted.collect::<Vec<_>>(), "{name}, {dialect:?}");
            }
        }
    }
}

/// Recordings, and the stream.
const PLAYERS: [(&str, &str); 3] =
    [("ffmpeg_plays_from_ffmpeg", "live/cam"), ("librtmp_plays", "live/cam"), ("rtmp2_plays", "live/cam")];

#[test]
fn players_are_understood() {
    for (name, stream) in PLAYERS {
        let bytes = of(&recording(name), true);
        let (handshake, plain) = (&bytes[..HANDSHAKE], said(&bytes[HANDSHAKE..]));
        let in_amf3 = Dialect { amf3: true, ..dialect::ALL[0] };
        for bytes in [&bytes, &[handshake, &in_amf3.say(&plain)].concat()] {
            let outcome = replay(bytes, 100);
            assert_eq!(outcome.request.as_ref().unwrap().place.name, stream, "{name}");
            assert!(outcome.told("NetStream.Play.Start") && outcome.media.is_empty(), "{name}");
        }
    }
}

/// Gives a server's bytes to our client.
fn answered(name: &str, purpose: Purpose, edit: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<ClientEvent> {
    let now = tokio::time::Instant::now().into_std();
    let address = Address::parse(&"rtmp://host/live/cam".parse().unwrap()).unwrap();
    let mut client = ClientSession::new(ClientConfig { address, purpose }, 7, now);
    let mut events = Vec::new();
    for piece in edit(of(&recording(name), false)).chunks(777) {
        while client.poll_output().is_some() {}
        client.handle_bytes(Bytes::copy_from_slice(piece));
        events.extend(std::iter::from_fn(|| client.poll_event(now).unwrap()));
    }
    events
}

#[test]
fn ffmpeg_as_a_server_takes_what_we_publish() {
    let events = answered("ffmpeg_publishes_to_ffmpeg", Purpose::Publish, |bytes| bytes);
    assert!(matches!(events.first(), Some(ClientEvent::Started { .. })), "{events:?}");
}

#[test]
fn ffmpeg_as_a_server_is_played() {
    // Edited: we number createStream 4, ffmpeg's player numbers it 2.
    let result = |number: f64| [b"\x02\x00\x07_result\x00".as_slice(), &number.to_be_bytes()].concat();
    let renumbered = |bytes: Vec<u8>| dialect::replaced(&bytes, &result(2.0), &result(4.0));
    let events = answered("ffmpeg_plays_from_ffmpeg", Purpose::Play, renumbered);
    assert!(matches!(events.first(), Some(ClientEvent::Started { .. })), "{:?}", events.first());
    let media = events.into_iter().filter_map(|event| match event {
        ClientEvent::Media(message) => Some(message),
        _ => None,
    });
    let outcome = Outcome { media: media.collect(), ..Outcome::default() };
    let sent = of(&recording("ffmpeg_plays_from_ffmpeg"), false);
    assert_eq!(outcome.frames(), frames_of(&said(&sent[HANDSHAKE..])));
    assert_eq!(outcome.frames().len(), 22 + 34);
}
