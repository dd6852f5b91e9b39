//! What ffmpeg encodes as AAC it hears again from our Opus: the same tone, as loud, at the same time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

use std::path::Path;
use std::process::Command;

use bytes::{Bytes, BytesMut};
use sluicegate_flv::{Limits, Reader, write_frame, write_head};
use sluicegate_media::{ClockRate, Codec, Content, Frame, Kind, Timestamp, Track, TrackId, Tracks};
use sluicegate_sound::Transcoder;
use sluicegate_testbed::media::encode;
use sluicegate_testbed::peer::{Peer, find};

/// A tone of 440 Hz that begins after one second.
const TONE: &str = "-map 1 -af adelay=1000:all=1 -c:a aac -b:a 128k";
const RATE: usize = 48_000;

/// The sound of an FLV file as enhanced FLV with Opus, and when its first packet is heard, in samples.
fn transcoded(flv: Vec<u8>) -> (Vec<u8>, i64) {
    let mut reader = Reader::new(Limits::default());
    reader.handle_bytes(flv.into());
    let mut transcoder = None;
    let mut packets = Vec::new();
    while let Some(frame) = reader.poll_frame().unwrap() {
        match frame.content {
            Content::Configuration if frame.kind() == Kind::Audio => {
                transcoder = Some(Transcoder::new(&frame.payload).unwrap());
            }
            Content::Media if frame.kind() == Kind::Audio => {
                transcoder.as_mut().unwrap().handle_frame(frame.dts, &frame.payload, &mut packets).unwrap();
            }
            _ => {}
        }
    }
    assert!(packets.len() > 100, "{} packets of 3 s", packets.len());
    let head = Bytes::from_static(b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00");
    let track = Track::new(TrackId::AUDIO, Codec::Opus, head).unwrap();
    let mut out = BytesMut::new();
    write_head(&Tracks::from_iter([track]), true, Timestamp::ZERO, &mut out);
    let first = packets[0].at.ticks(ClockRate::new(u32::try_from(RATE).unwrap()).unwrap());
    for packet in packets {
        // Sound that begins before zero has no place in a file.
        let at = packet.at.max(Timestamp::ZERO);
        write_frame(&Frame::media(TrackId::AUDIO, Codec::Opus, at, packet.payload), &mut out);
    }
    (out.to_vec(), first)
}

/// The left channel, decoded.
fn heard(ffmpeg: &Path, media: &[u8]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.flv");
    std::fs::write(&path, media).unwrap();
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-i"]).arg(path);
    let output = command.args(["-af", "aresample=48000,pan=mono|c0=c0", "-f", "f32le", "-"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64
}

/// The power of one frequency (Goertzel).
fn tone(samples: &[f32], hz: f64) -> f64 {
    let step = 2.0 * std::f64::consts::PI * hz / RATE as f64;
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let phase = step * index as f64;
        real += f64::from(*sample) * phase.cos();
        imaginary += f64::from(*sample) * phase.sin();
    }
    2.0 * (real.powi(2) + imaginary.powi(2)) / (samples.len() as f64).powi(2)
}

fn onset(samples: &[f32]) -> i64 {
    let first = samples.iter().position(|sample| sample.abs() > 0.02);
    first.unwrap().try_into().unwrap()
}

#[tokio::test]
async fn a_tone_comes_through() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    for rate in ["44100", "48000", "22050"] {
        for channels in ["1", "2"] {
            let flv = encode(&ffmpeg, &format!("{TONE} -ar {rate} -ac {channels}")).await;
            let before = heard(&ffmpeg, &flv);
            let (opus, first) = transcoded(flv);
            let after = heard(&ffmpeg, &opus);
            let middle = RATE * 3 / 2..RATE * 2;
            let (before_tone, after_tone) = (tone(&before[middle.clone()], 440.0), tone(&after[middle.clone()], 440.0));
            let what = format!("{rate} Hz, {channels} channels");
            assert!(after_tone / power(&after[middle]) > 0.99, "{what}: the tone is not pure");
            assert!((0.85..1.15).contains(&(after_tone / before_tone)), "{what}: {after_tone} for {before_tone}");
            let apart = onset(&after) + first - onset(&before);
            assert!(apart.abs() < 48, "{what}: {apart} samples apart");
        }
    }
}

#[test]
fn what_is_not_for_us_is_refused_and_damage_costs_one_unit() {
    // Five channels, and AAC Main.
    assert!(Transcoder::new(&[0x12, 0x28]).is_err());
    assert!(Transcoder::new(&[0x0a, 0x10]).is_err());
    assert!(Transcoder::new(&[]).is_err());
    let mut transcoder = Transcoder::new(&[0x12, 0x10]).unwrap();
    let mut out = Vec::new();
    for length in 0..600 {
        let noise: Vec<u8> =
            (0..length).map(|index| u8::try_from((index * 7919 + length * 31) % 251).unwrap()).collect();
        let _ = transcoder.handle_frame(Timestamp::from_millis(i64::from(length) * 23), &noise, &mut out);
    }
}
