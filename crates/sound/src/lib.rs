//! AAC to Opus: WebRTC has no AAC, cameras and encoders have little else.
//!
//! [`Transcoder`] decodes, resamples to 48 kHz and encodes, one access unit at a time, in the caller's thread: about 1 % of a
//! core for a stereo stream. It takes AAC-LC in mono and stereo; of HE-AAC it takes the part that is AAC-LC.
//!
//! Opus packets hold 20 ms (RFC 6716 section 2.1.4), as every browser expects.

mod decode;
mod encode;
mod error;

use std::collections::VecDeque;

use bytes::Bytes;
use sluicegate_media::{ClockRate, Timestamp};

use crate::decode::Decoder;
use crate::encode::{DELAY, Encoder, PACKET, RATE};
pub use crate::error::Error;

/// A step between what was heard and the next access unit beyond this is a gap: sound is not stretched over it.
const GAP: Timestamp = Timestamp::from_millis(60);

/// An Opus packet of 20 ms and its place on the stream's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// When what its decoder makes of it is heard.
    pub at: Timestamp,
    /// RFC 6716.
    pub payload: Bytes,
}

/// Turns one track of AAC into Opus.
#[derive(Debug)]
pub struct Transcoder {
    decoder: Decoder,
    encoder: Encoder,
    /// Samples at 48 kHz, interleaved, that make no whole packet yet.
    waiting: VecDeque<f32>,
    /// Where the first of `waiting` belongs.
    at: Option<Timestamp>,
    channels: usize,
    clock: ClockRate,
}

impl Transcoder {
    /// For a track with this `AudioSpecificConfig` (ISO/IEC 14496-3 section 1.6.2.1).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more than two channels, or profiles that have no part in AAC-LC.
    pub fn new(configuration: &[u8]) -> Result<Self, Error> {
        let decoder = Decoder::new(configuration)?;
        let channels = decoder.channels();
        let encoder = Encoder::new(channels)?;
        let clock = ClockRate::new(RATE).unwrap_or(ClockRate::VIDEO);
        Ok(Self { decoder, encoder, waiting: VecDeque::new(), at: None, channels, clock })
    }

    /// Takes one raw access unit, and appends the packets that it completes.
    ///
    /// # Errors
    /// [`Error::Damaged`] for one that cannot be decoded; the next may be fine.
    pub fn handle_frame(&mut self, at: Timestamp, unit: &[u8], out: &mut Vec<Packet>) -> Result<(), Error> {
        let samples = self.decoder.decode(unit)?;
        let begins = at.saturating_sub(self.decoder.delay()).saturating_sub(self.length(DELAY * self.channels));
        let expected = self.at.map(|from| from.saturating_add(self.length(self.waiting.len())));
        let step = expected.map_or(i64::MAX, |expected| begins.saturating_sub(expected).nanos().saturating_abs());
        if step > GAP.nanos() {
            self.waiting.clear();
            self.at = Some(begins);
        }
        self.waiting.extend(samples);
        let packet = PACKET * self.channels;
        while self.waiting.len() >= packet {
            let samples: Vec<f32> = self.waiting.drain(..packet).collect();
            let at = self.at.unwrap_or(begins);
            out.push(Packet { at, payload: self.encoder.encode(&samples)? });
            self.at = Some(at.saturating_add(self.length(packet)));
        }
        Ok(())
    }

    /// How long so many interleaved samples are heard.
    fn length(&self, samples: usize) -> Timestamp {
        let ticks = i64::try_from(samples / self.channels.max(1)).unwrap_or(i64::MAX);
        Timestamp::from_ticks(ticks, self.clock)
    }
}
