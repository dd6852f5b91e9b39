//! AAC to samples at 48 kHz.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rubato::{FftFixedIn, Resampler};
use sluicegate_media::aac::AudioSpecificConfig;
use sluicegate_media::{ClockRate, Timestamp};
use symphonia_codec_aac::AacDecoder;
use symphonia_core::audio::{AudioBuffer, AudioBufferRef, Channels, Signal};
use symphonia_core::codecs::{CODEC_TYPE_AAC, CodecParameters, Decoder as _, DecoderOptions};
use symphonia_core::formats::Packet;

use crate::Error;
use crate::encode::RATE;

/// Samples of one channel in an access unit (ISO/IEC 14496-3 section 4.5.1.1).
const UNIT: usize = 1_024;
/// Object type of AAC-LC.
const LC: u8 = 2;

pub(crate) struct Decoder {
    aac: AacDecoder,
    resampler: Option<FftFixedIn<f32>>,
    rate: u32,
    channels: usize,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Decoder")
            .field("rate", &self.rate)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    pub(crate) fn new(configuration: &[u8]) -> Result<Self, Error> {
        let unsupported = |why: String| Error::Unsupported { why };
        let config = AudioSpecificConfig::parse(configuration).map_err(|error| unsupported(error.to_string()))?;
        let (layout, channels) = match config.channel_configuration {
            1 => (Channels::FRONT_LEFT, 1),
            2 => (Channels::FRONT_LEFT | Channels::FRONT_RIGHT, 2),
            other => return Err(unsupported(format!("channel configuration {other}, only mono and stereo are"))),
        };
        if config.object_type != LC {
            return Err(unsupported(format!("object type {}, only AAC-LC is", config.object_type)));
        }
        let mut parameters = CodecParameters::new();
        parameters.for_codec(CODEC_TYPE_AAC).with_sample_rate(config.sample_rate).with_channels(layout);
        let aac = AacDecoder::try_new(&parameters, &DecoderOptions::default());
        let aac = aac.map_err(|error| unsupported(error.to_string()))?;
        let rate = config.sample_rate;
        let resampler = (rate != RATE).then(|| FftFixedIn::new(as_usize(rate), as_usize(RATE), UNIT, 2, channels));
        let failed = |error: rubato::ResamplerConstructionError| unsupported(error.to_string());
        Ok(Self { aac, resampler: resampler.transpose().map_err(failed)?, rate, channels })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// How much later than its access unit sound comes out.
    pub(crate) fn delay(&self) -> Timestamp {
        let samples = self.resampler.as_ref().map_or(0, Resampler::output_delay);
        let clock = ClockRate::new(RATE).unwrap_or(ClockRate::VIDEO);
        Timestamp::from_ticks(i64::try_from(samples).unwrap_or_default(), clock)
    }

    /// The samples of one access unit, interleaved.
    pub(crate) fn decode(&mut self, unit: &[u8]) -> Result<Vec<f32>, Error> {
        let planes = self.planes(unit)?;
        let planes = match &mut self.resampler {
            None => planes,
            Some(resampler) => {
                let failed =
                    |error: rubato::ResampleError| Error::Failed { what: "resampling", why: error.to_string() };
                resampler.process(&planes, None).map_err(failed)?
            }
        };
        let length = planes.first().map_or(0, Vec::len);
        let at = |index: usize| planes.iter().map(move |plane| plane.get(index).copied().unwrap_or_default());
        Ok((0..length).flat_map(at).collect())
    }

    /// One plane of 1,024 samples a channel.
    fn planes(&mut self, unit: &[u8]) -> Result<Vec<Vec<f32>>, Error> {
        let damaged = |why: String| Error::Damaged { why };
        let packet = Packet::new_from_slice(0, 0, UNIT as u64, unit);
        let (aac, channels) = (&mut self.aac, self.channels);
        // The unit comes from a peer; a decoder that stumbles over it costs this unit only.
        let decoded = catch_unwind(AssertUnwindSafe(|| match aac.decode(&packet) {
            Ok(AudioBufferRef::F32(buffer)) => Ok(copied(&buffer, channels)),
            Ok(_) => Err("samples of an unexpected kind".to_owned()),
            Err(error) => Err(error.to_string()),
        }));
        decoded.unwrap_or_else(|_| Err("the decoder stumbled".to_owned())).map_err(damaged)
    }
}

fn copied(buffer: &AudioBuffer<f32>, channels: usize) -> Vec<Vec<f32>> {
    let there = buffer.spec().channels.count();
    let plane = |channel: usize| {
        let mut plane = if channel < there { buffer.chan(channel).to_vec() } else { Vec::new() };
        plane.resize(UNIT, 0.0);
        plane
    };
    (0..channels).map(plane).collect()
}

fn as_usize(rate: u32) -> usize {
    usize::try_from(rate).unwrap_or(usize::MAX)
}
