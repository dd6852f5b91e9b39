//! What the newer ffmpeg muxes, legacy and enhanced, comes through our reader and writer picture by picture.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

use bytes::{Bytes, BytesMut};
use sluicegate_flv::{Limits, Reader, write_frame, write_head};
use sluicegate_media::{Codec, Content, Frame, Kind, Track, Tracks};
use sluicegate_testbed::media::{encode, hashes};
use sluicegate_testbed::peer::{Peer, find};

/// What the newer ffmpeg encodes, and the codecs' names.
const CODECS: [(&str, [Codec; 2]); 4] = [
    ("-c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac", [Codec::H264, Codec::Aac]),
    ("-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a aac", [Codec::H265, Codec::Aac]),
    ("-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -c:a libopus", [Codec::Av1, Codec::Opus]),
    ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -c:a libopus", [Codec::Vp9, Codec::Opus]),
];

fn read(flv: &[u8]) -> Vec<Frame> {
    let mut reader = Reader::new(Limits::default());
    let mut frames = Vec::new();
    // A prime number of bytes, so that cuts fall everywhere.
    for chunk in flv.chunks(1_021) {
        reader.handle_bytes(Bytes::copy_from_slice(chunk));
        while let Some(frame) = reader.poll_frame().unwrap() {
            frames.push(frame);
        }
    }
    assert_eq!(reader.unsupported(), None);
    frames
}

fn write(frames: &[Frame]) -> (Tracks, Vec<u8>) {
    let configuration = |frame: &&Frame| frame.content == Content::Configuration;
    let tracks = frames
        .iter()
        .filter(configuration)
        .map(|frame| Track::new(frame.track, frame.codec, frame.payload.clone()).unwrap());
    let (tracks, mut out) = (Tracks::from_iter(tracks), BytesMut::new());
    write_head(&tracks, true, frames[0].dts, &mut out);
    frames
        .iter()
        .filter(|frame| frame.content != Content::Configuration)
        .for_each(|frame| write_frame(frame, &mut out));
    (tracks, out.to_vec())
}

#[tokio::test]
async fn every_codec_goes_through_unharmed() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    for (options, codecs) in CODECS {
        let original = encode(&ffmpeg, options).await;
        let frames = read(&original);
        let (tracks, copy) = write(&frames);
        let of = |kind| tracks.first(kind).unwrap();
        assert_eq!([of(Kind::Video).codec, of(Kind::Audio).codec], codecs);
        if codecs[0] != Codec::Vp9 {
            // VP9 has its size in its key frames, not in its configuration.
            assert_eq!((of(Kind::Video).video.width, of(Kind::Video).video.height), (320, 180), "{options}");
        }
        assert_eq!((of(Kind::Audio).audio.sample_rate, of(Kind::Audio).audio.channels), (48_000, 1), "{options}");
        for codec in codecs {
            let times = frames.iter().filter(|frame| frame.codec == codec && frame.content == Content::Media);
            assert!(times.map(|frame| frame.dts).is_sorted(), "{options}: {codec:?} goes back");
        }
        let pictures = hashes(&ffmpeg, &original, 'v').await;
        assert_eq!(pictures.len(), 50, "{options}");
        assert_eq!(hashes(&ffmpeg, &copy, 'v').await, pictures, "{options}");
        assert_eq!(hashes(&ffmpeg, &copy, 'a').await, hashes(&ffmpeg, &original, 'a').await, "{options}");
    }
}
