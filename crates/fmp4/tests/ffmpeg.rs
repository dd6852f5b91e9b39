//! Frames that ffmpeg encoded become fragmented MP4 which ffmpeg decodes to the same pictures and the same sound.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

use bytes::Bytes;
use sluicegate_flv::{Limits, Reader};
use sluicegate_fmp4::{fragment, init_segment, mime};
use sluicegate_media::{Content, Frame, Kind, Track, Tracks};
use sluicegate_testbed::media::{encode, hashes};
use sluicegate_testbed::peer::{Peer, find};

/// What the newer ffmpeg encodes, and the MIME type's codecs (RFC 6381) up to what depends on the encoder's mood.
const CODECS: [(&str, [&str; 2]); 3] = [
    ("-c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac", ["avc1.", "mp4a.40.2"]),
    ("-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a aac", ["hvc1.1.6.", "mp4a.40.2"]),
    ("-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -c:a libopus", ["av01.0.", "opus"]),
];

fn read(flv: Vec<u8>) -> (Tracks, Vec<Frame>) {
    let mut reader = Reader::new(Limits::default());
    reader.handle_bytes(Bytes::from(flv));
    let (mut tracks, mut frames) = (Tracks::default(), Vec::new());
    while let Some(frame) = reader.poll_frame().unwrap() {
        match frame.content {
            Content::Configuration => drop(tracks.set(Track::new(frame.track, frame.codec, frame.payload).unwrap())),
            Content::Media => frames.push(frame),
            Content::End => {}
        }
    }
    (tracks, frames)
}

/// An init segment and one fragment for each picture with the sound that came before it, as a live stream has them.
fn package(tracks: &Tracks, frames: &[Frame]) -> Vec<u8> {
    let mut out = init_segment(tracks).unwrap().to_vec();
    let pieces = frames.split_inclusive(|frame| frame.codec.kind() == Kind::Video);
    for (sequence, piece) in (1..).zip(pieces) {
        out.extend_from_slice(&fragment(sequence, tracks, piece).unwrap());
    }
    out
}

#[tokio::test]
async fn every_codec_plays_as_it_was() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    for (options, names) in CODECS {
        let original = encode(&ffmpeg, options).await;
        let (tracks, frames) = read(original.clone());
        let mime = mime(&tracks).unwrap();
        assert!(names.iter().all(|name| mime.contains(name)), "{mime}");
        let mp4 = package(&tracks, &frames);
        let pictures = hashes(&ffmpeg, &original, 'v').await;
        assert_eq!(pictures.len(), 50, "{options}");
        assert_eq!(hashes(&ffmpeg, &mp4, 'v').await, pictures, "{options}");
        assert_eq!(hashes(&ffmpeg, &mp4, 'a').await, hashes(&ffmpeg, &original, 'a').await, "{options}");
    }
}
