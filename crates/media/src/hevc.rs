//! H.265 decoder configurations: `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3) and its SPS.

use crate::bits::{Bits, without_emulation_prevention};
use crate::{Error, VideoInfo};

const RECORD: &str = "HEVCDecoderConfigurationRecord";
const SPS: &str = "seq_parameter_set_rbsp";
/// `NAL_unit_type` of a sequence parameter set (ITU-T H.265 table 7-1).
const SPS_NUT: u8 = 33;
/// A video parameter set.
const VPS_NUT: u8 = 32;
/// A picture parameter set.
const PPS_NUT: u8 = 34;

/// What an `hvcC` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderConfigurationRecord {
    /// `general_profile_space`: 0 to 3.
    pub profile_space: u8,
    /// `general_tier_flag`: high tier.
    pub high_tier: bool,
    /// `general_profile_idc`.
    pub profile: u8,
    /// `general_profile_compatibility_flags`.
    pub compatibility: u32,
    /// `general_constraint_indicator_flags`, 48 bits.
    pub constraints: [u8; 6],
    /// `general_level_idc`: thirty times the level.
    pub level: u8,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub nal_length_size: u8,
    /// The parameter sets: `NAL_unit_type` and the NAL unit.
    pub parameter_sets: Vec<(u8, Vec<u8>)>,
    size: VideoInfo,
}

impl DecoderConfigurationRecord {
    /// Reads a record and the picture size in its first SPS.
    ///
    /// # Errors
    /// The record is damaged or holds no SPS.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(RECORD, bytes);
        let version = bits.read_u8(8)?;
        // Version 0 is what encoders wrote before the standard was final; the layout is the same.
        if version > 1 {
            return Err(Error::Version { what: RECORD, got: version, expected: 1 });
        }
        let (profile_space, high_tier, profile) = (bits.read_u8(2)?, bits.flag()?, bits.read_u8(5)?);
        let compatibility = bits.read(32)?;
        let mut constraints = [0; 6];
        constraints.copy_from_slice(bits.bytes(6)?);
        let level = bits.read_u8(8)?;
        bits.skip(16 + 8 + 8 + 8 + 8 + 16 + 6)?;
        let nal_length_size = bits.read_u8(2)?.saturating_add(1);
        if nal_length_size == 3 {
            return Err(Error::OutOfRange { what: RECORD, field: "lengthSizeMinusOne", got: 2 });
        }
        let parameter_sets = parameter_sets(&mut bits)?;
        let sps = parameter_sets.iter().find(|(kind, _)| *kind == SPS_NUT);
        let (_, sps) = sps.ok_or(Error::Missing { what: RECORD, parameter_set: "SPS" })?;
        let size = sequence(&without_emulation_prevention(sps.get(2..).unwrap_or_default()))?.size;
        Ok(Self {
            profile_space,
            high_tier,
            profile,
            compatibility,
            constraints,
            level,
            nal_length_size,
            parameter_sets,
            size,
        })
    }

    /// The codec as in the MIME parameter `codecs` (ISO/IEC 14496-15 annex E.3), such as `hvc1.1.6.L93.B0`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        let space = ["", "A", "B", "C"].get(usize::from(self.profile_space)).copied().unwrap_or_default();
        let tier = if self.high_tier { 'H' } else { 'L' };
        let used = self.constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last.saturating_add(1));
        let constraints: String = self.constraints.iter().take(used).map(|byte| format!(".{byte:X}")).collect();
        let compatibility = self.compatibility.reverse_bits();
        format!("hvc1.{space}{}.{compatibility:X}.{tier}{}{constraints}", self.profile, self.level)
    }

    /// The picture size after cropping.
    #[must_use]
    pub fn video_info(&self) -> VideoInfo {
        self.size
    }
}

/// A record with a length of 4 bytes before each NAL unit, from the parameter sets of a stream that carries them in band.
///
/// # Errors
/// The SPS cannot be read, or a set is longer than a record can hold.
pub fn record(vps: &[u8], sps: &[u8], pps: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, Error> {
    let raw = without_emulation_prevention(sps.get(2..).unwrap_or_default());
    let mut bits = Bits::new(SPS, &raw);
    bits.skip(4)?;
    let sub_layers = bits.read_u8(3)?;
    let nested = u8::from(bits.flag()?);
    // The profile, tier and level stand in both in the same form, 12 whole bytes.
    let general = bits.bytes(12)?;
    let mut record = vec![1];
    record.extend_from_slice(general);
    let Sps { chroma, luma_depth, chroma_depth, .. } = sequence(&raw)?;
    let low = |value: u32, mask: u32| (value & mask).to_be_bytes()[3];
    record.extend_from_slice(&[0xf0, 0, 0xfc, 0xfc | low(chroma, 3)]);
    record.extend_from_slice(&[0xf8 | low(luma_depth, 7), 0xf8 | low(chroma_depth, 7), 0, 0]);
    record.push(sub_layers.saturating_add(1) << 3 | nested << 2 | 3);
    record.push(3);
    let pps: Vec<&[u8]> = pps.iter().map(AsRef::as_ref).collect();
    for (kind, sets) in [(VPS_NUT, &[vps][..]), (SPS_NUT, &[sps][..]), (PPS_NUT, &pps[..])] {
        let too_long = |got: usize| Error::OutOfRange { what: RECORD, field: "nalUnitLength", got: got as u64 };
        let count = u16::try_from(sets.len()).map_err(|_| too_long(sets.len()))?;
        record.push(0x80 | kind);
        record.extend_from_slice(&count.to_be_bytes());
        for set in sets {
            let length = u16::try_from(set.len()).map_err(|_| too_long(set.len()))?;
            record.extend_from_slice(&length.to_be_bytes());
            record.extend_from_slice(set);
        }
    }
    Ok(record)
}

/// What is read of a sequence parameter set.
struct Sps {
    /// After cropping.
    size: VideoInfo,
    /// `chroma_format_idc`
    chroma: u32,
    /// `bit_depth_luma_minus8`
    luma_depth: u32,
    /// `bit_depth_chroma_minus8`
    chroma_depth: u32,
}

/// Reads an SPS without its NAL header and emulation prevention (ITU-T H.265 §7.3.2.2.1).
fn sequence(raw: &[u8]) -> Result<Sps, Error> {
    let mut bits = Bits::new(SPS, raw);
    bits.skip(4)?;
    let sub_layers = bits.read(3)?;
    bits.skip(1)?;
    skip_profile_tier_level(&mut bits, sub_layers)?;
    bits.unsigned_exp_golomb()?;
    let chroma = bits.unsigned_exp_golomb()?;
    bits.skip(u32::from(chroma == 3))?;
    let (width, height) = (bits.unsigned_exp_golomb()?, bits.unsigned_exp_golomb()?);
    let mut window = [0_u32; 4];
    if bits.flag()? {
        for side in &mut window {
            *side = bits.unsigned_exp_golomb()?;
        }
    }
    let [left, right, top, bottom] = window;
    // SubWidthC and SubHeightC (table 6-1).
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let size = VideoInfo {
        width: width.saturating_sub(left.saturating_add(right).saturating_mul(unit_x)),
        height: height.saturating_sub(top.saturating_add(bottom).saturating_mul(unit_y)),
    };
    Ok(Sps { size, chroma, luma_depth: bits.unsigned_exp_golomb()?, chroma_depth: bits.unsigned_exp_golomb()? })
}

fn parameter_sets(bits: &mut Bits<'_>) -> Result<Vec<(u8, Vec<u8>)>, Error> {
    let mut all = Vec::new();
    for _ in 0..bits.read(8)? {
        bits.skip(2)?;
        let kind = bits.read_u8(6)?;
        for _ in 0..bits.read(16)? {
            let length = usize::try_from(bits.read(16)?).unwrap_or(usize::MAX);
            all.push((kind, bits.bytes(length)?.to_vec()));
        }
    }
    Ok(all)
}

/// `profile_tier_level(1, sub_layers)` (ITU-T H.265 §7.3.3).
fn skip_profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), Error> {
    bits.skip(88 + 8)?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        bits.skip(8_u32.saturating_sub(sub_layers).saturating_mul(2))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 })?;
        bits.skip(if level { 8 } else { 0 })?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "hevc/tests.rs"]
mod tests;
