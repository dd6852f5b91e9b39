//! Samples at 48 kHz to Opus.

use std::fmt;

use bytes::Bytes;
use opus_rs::{Application, OpusEncoder};

use crate::Error;

/// Samples per second that Opus works with (RFC 6716 section 2).
pub(crate) const RATE: u32 = 48_000;
/// Samples of one channel in a packet: 20 ms.
pub(crate) const PACKET: usize = 960;
/// Bits per second and channel: transparent for nearly all that cameras and encoders send.
const BITRATE: i32 = 64_000;
/// Bytes of one packet at most (RFC 6716 section 3.4).
const LONGEST: usize = 1_275;
/// Samples by which sound comes out of a decoder later than it went into the encoder: 4 ms that the encoder looks ahead, and
/// 2.5 ms that its windows overlap. RFC 7845 section 4.2 has files tell it, in RTP nothing does.
pub(crate) const DELAY: usize = 312;
/// What the encoder spends on choices, of 10; browsers use 9 on desktops and 5 on phones.
const COMPLEXITY: i32 = 5;

pub(crate) struct Encoder {
    opus: OpusEncoder,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    pub(crate) fn new(channels: usize) -> Result<Self, Error> {
        let opus = OpusEncoder::new(48_000, channels, Application::Audio);
        let mut opus = opus.map_err(|why| Error::Failed { what: "the Opus encoder", why: why.to_owned() })?;
        opus.bitrate_bps = if channels > 1 { 2 * BITRATE } else { BITRATE };
        opus.complexity = COMPLEXITY;
        Ok(Self { opus })
    }

    /// One packet of interleaved samples.
    pub(crate) fn encode(&mut self, samples: &[f32]) -> Result<Bytes, Error> {
        let mut packet = vec![0; LONGEST];
        let written = self.opus.encode(samples, PACKET, &mut packet);
        let written = written.map_err(|why| Error::Failed { what: "encoding Opus", why: why.to_owned() })?;
        packet.truncate(written);
        Ok(packet.into())
    }
}
