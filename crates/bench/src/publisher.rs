//! The measured stream: 720p25 H.264 and AAC at 2.67 Mbit/s, 68 tags a second, made up but well formed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use crate::error::{Doing, Error};

/// Stands before the number of each picture.
const MARK: &[u8; 8] = b"sgBENCH!";
/// Numbers are written with this, so that no three bytes of them look like the start of another unit (H.264 7.4.1).
const NO_START: u64 = 0x5555_5555_5555_5555;
/// Bytes of a mark with its number.
pub(crate) const MARKED: usize = 16;
/// Pictures per second.
pub(crate) const PICTURES_PER_SECOND: u64 = 25;
/// Bytes of a picture: with the sound 2.67 Mbit/s.
pub(crate) const PICTURE_BYTES: usize = 12_700;
const KEY_EVERY: u64 = 50;
const SOUND_BYTES: usize = 370;
/// 1,024 samples at 44.1 kHz.
const SOUND_MICROS: u64 = 23_220;

/// `AVCDecoderConfigurationRecord`: High profile, level 3.1, 1280x720.
const AVC: &[u8] = b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0";
/// `AudioSpecificConfig`: AAC-LC, 44.1 kHz, stereo.
const AAC: &[u8] = b"\x12\x10";
/// `OpusHead` (RFC 7845 section 5.1): stereo, 48 kHz.
const OPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
/// A packet of Opus that fills 20 ms: with it 64 kbit/s.
const OPUS_BYTES: usize = 160;
/// Config 31, stereo, one frame (RFC 6716 section 3.1).
const OPUS_START: &[u8] = b"\xfc";
const OPUS_MICROS: u64 = 20_000;

/// What the picture with this number is known by, wherever an output format puts it.
pub(crate) fn mark(number: u64) -> Vec<u8> {
    [&MARK[..], &(number ^ NO_START).to_be_bytes()].concat()
}

/// The number of the picture, if these [`MARKED`] bytes are its mark.
pub(crate) fn marked(bytes: &[u8]) -> Option<u64> {
    let number = bytes.strip_prefix(MARK.as_slice())?;
    Some(u64::from_be_bytes(number.try_into().ok()?) ^ NO_START)
}

/// The sound of the measured stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sound {
    /// AAC, 129 kbit/s.
    Aac,
    /// Opus by enhanced FLV, 64 kbit/s.
    Opus,
}

/// When each picture was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<Mutex<Vec<Instant>>>);

impl Clock {
    fn stamp(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    /// How long ago picture `number` was written, at `now`.
    pub(crate) fn age(&self, number: u64, now: Instant) -> Option<Duration> {
        let stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = stamps.get(usize::try_from(number).ok()?)?;
        Some(now.saturating_duration_since(*at))
    }
}

/// Publishes by HTTP `POST` until it is aborted, with sound as AAC.
pub(crate) async fn publish(address: String, path: &'static str, clock: Clock) -> Result<(), Error> {
    publish_with(Sound::Aac, address, path, clock).await
}

/// Publishes by HTTP `POST` until it is aborted.
pub(crate) async fn publish_with(sound: Sound, address: String, path: &'static str, clock: Clock) -> Result<(), Error> {
    let mut socket = TcpStream::connect(&address).await.doing("connecting the publisher")?;
    socket.set_nodelay(true).doing("connecting the publisher")?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: video/x-flv\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.doing("publishing")?;
    let mut tags = Tags::new(sound);
    write_chunk(&mut socket, &tags.start()).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / PICTURES_PER_SECOND));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let next = tags.next();
        clock.stamp();
        write_chunk(&mut socket, &next).await?;
    }
}

/// Writes a chunk of an HTTP body.
pub(crate) async fn write_chunk(socket: &mut TcpStream, bytes: &[u8]) -> Result<(), Error> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    socket.write_all(&chunk).await.doing("publishing")
}

/// The measured stream as FLV.
#[derive(Debug)]
pub(crate) struct Tags {
    sound: Sound,
    pictures: u64,
    sounds: u64,
}

impl Tags {
    pub(crate) const fn new(sound: Sound) -> Self {
        Self { sound, pictures: 0, sounds: 0 }
    }

    /// File header and both decoder configurations.
    pub(crate) fn start(&self) -> Vec<u8> {
        let mut bytes = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
        bytes.extend(tag(9, 0, &[b"\x17\x00\x00\x00\x00", AVC]));
        bytes.extend(match self.sound {
            Sound::Aac => tag(8, 0, &[b"\xaf\x00", AAC]),
            Sound::Opus => tag(8, 0, &[b"\x90Opus", OPUS]),
        });
        bytes
    }

    /// The next picture, after the sound until then.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let millis = self.pictures * 1_000 / PICTURES_PER_SECOND;
        let mut tags = self.sound_until(millis);
        tags.extend(picture(self.pictures, millis));
        self.pictures += 1;
        tags
    }

    fn sound_until(&mut self, millis: u64) -> Vec<u8> {
        let mut tags = Vec::new();
        let micros = match self.sound {
            Sound::Aac => SOUND_MICROS,
            Sound::Opus => OPUS_MICROS,
        };
        loop {
            let at = self.sounds * micros / 1_000;
            if at > millis {
                return tags;
            }
            tags.extend(match self.sound {
                Sound::Aac => tag(8, at, &[b"\xaf\x01", &[0x21; SOUND_BYTES]]),
                Sound::Opus => tag(8, at, &[b"\x91Opus", OPUS_START, &[0x55; OPUS_BYTES - 1]]),
            });
            self.sounds += 1;
        }
    }
}

fn picture(number: u64, millis: u64) -> Vec<u8> {
    let key = number.is_multiple_of(KEY_EVERY);
    let header: &[u8] = if key { b"\x17\x01\x00\x00\x00" } else { b"\x27\x01\x00\x00\x00" };
    let nal: &[u8] = if key { b"\x65" } else { b"\x41" };
    let length = u32::try_from(PICTURE_BYTES).unwrap_or(u32::MAX).to_be_bytes();
    let filler = vec![0x55; PICTURE_BYTES - nal.len() - MARKED];
    tag(9, millis, &[header, &length, nal, &mark(number), &filler])
}

/// One FLV tag with its `PreviousTagSize` (E.4.1).
fn tag(kind: u8, millis: u64, parts: &[&[u8]]) -> Vec<u8> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let [_, size_bytes @ ..] = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    let [extended, time @ ..] = u32::try_from(millis).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![kind];
    bytes.extend(size_bytes);
    bytes.extend(time);
    bytes.extend([extended, 0, 0, 0]);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.extend((u32::try_from(size).unwrap_or(u32::MAX) + 11).to_be_bytes());
    bytes
}
