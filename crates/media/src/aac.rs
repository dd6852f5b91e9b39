//! AAC decoder configurations: `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).

use crate::bits::Bits;
use crate::{AudioInfo, Error};

const CONFIG: &str = "AudioSpecificConfig";
/// `samplingFrequencyIndex` (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// `samplingFrequencyIndex` of a rate that is written out.
const ESCAPE: u8 = 15;
/// Object type of spectral band replication.
const SBR: u8 = 5;
/// Object type of parametric stereo on SBR.
const PS: u8 = 29;

/// What an `AudioSpecificConfig` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// `audioObjectType` of the sound that is coded; 2 is AAC-LC.
    pub object_type: u8,
    /// Samples per second that are coded.
    pub sample_rate: u32,
    /// `channelConfiguration`; 0 means that the bit stream tells.
    pub channel_configuration: u8,
    /// Samples per second after SBR, where it is signalled explicitly.
    pub extension_sample_rate: Option<u32>,
    /// Parametric stereo is signalled explicitly.
    pub parametric_stereo: bool,
}

impl AudioSpecificConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is too short or names a reserved rate.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(CONFIG, bytes);
        let mut object_type = object_type(&mut bits)?;
        let sample_rate = sample_rate(&mut bits)?;
        let channel_configuration = bits.read_u8(4)?;
        let parametric_stereo = object_type == PS;
        let mut extension_sample_rate = None;
        if object_type == SBR || object_type == PS {
            extension_sample_rate = Some(self::sample_rate(&mut bits)?);
            object_type = self::object_type(&mut bits)?;
        }
        Ok(Self { object_type, sample_rate, channel_configuration, extension_sample_rate, parametric_stereo })
    }

    /// The codec as in the MIME parameter `codecs` (RFC 6381 §3.3), such as `mp4a.40.2`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        let signalled = match (self.parametric_stereo, self.extension_sample_rate) {
            (true, _) => PS,
            (false, Some(_)) => SBR,
            (false, None) => self.object_type,
        };
        format!("mp4a.40.{signalled}")
    }

    /// The format of the decoded sound.
    #[must_use]
    pub fn audio_info(&self) -> AudioInfo {
        let channels = match self.channel_configuration {
            1 if self.parametric_stereo => 2,
            7 => 8,
            configuration => configuration,
        };
        AudioInfo { sample_rate: self.extension_sample_rate.unwrap_or(self.sample_rate), channels }
    }
}

fn object_type(bits: &mut Bits<'_>) -> Result<u8, Error> {
    match bits.read_u8(5)? {
        31 => Ok(bits.read_u8(6)?.saturating_add(32)),
        short => Ok(short),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Result<u32, Error> {
    let index = bits.read_u8(4)?;
    if index == ESCAPE {
        return bits.read(24);
    }
    let reserved = Error::OutOfRange { what: CONFIG, field: "samplingFrequencyIndex", got: u64::from(index) };
    RATES.get(usize::from(index)).copied().ok_or(reserved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn described(bytes: &[u8]) -> (String, u32, u8) {
        let config = AudioSpecificConfig::parse(bytes).unwrap();
        (config.rfc6381(), config.audio_info().sample_rate, config.audio_info().channels)
    }

    #[test]
    fn what_encoders_write() {
        assert_eq!(described(&[0x12, 0x10]), ("mp4a.40.2".into(), 44_100, 2), "AAC-LC");
        assert_eq!(described(&[0x11, 0x90]), ("mp4a.40.2".into(), 48_000, 2), "AAC-LC");
        assert_eq!(described(&[0x14, 0x08]), ("mp4a.40.2".into(), 16_000, 1), "a camera's mono sound");
        assert_eq!(described(&[0x2b, 0x92, 0x08, 0x00]), ("mp4a.40.5".into(), 44_100, 2), "HE-AAC, explicit SBR");
        assert_eq!(described(&[0xeb, 0x8a, 0x08, 0x00]), ("mp4a.40.29".into(), 44_100, 2), "HE-AAC v2, explicit PS");
        assert_eq!(described(&[0x17, 0x80, 0x5d, 0xc0, 0x10]), ("mp4a.40.2".into(), 48_000, 2), "escaped rate");
    }

    #[test]
    fn what_nobody_should_write() {
        assert!(matches!(AudioSpecificConfig::parse(&[]), Err(Error::Truncated { .. })));
        assert!(matches!(AudioSpecificConfig::parse(&[0x16, 0x90]), Err(Error::OutOfRange { got: 13, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(config) = AudioSpecificConfig::parse(&bytes) {
                let _ = (config.rfc6381(), config.audio_info());
            }
        }
    }
}
