//! H.264 decoder configurations: `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3) and its SPS.

use crate::bits::{Bits, without_emulation_prevention};
use crate::{Error, VideoInfo};

const RECORD: &str = "AVCDecoderConfigurationRecord";
const SPS: &str = "seq_parameter_set_data";
/// Profiles whose SPS tells the chroma format and scaling matrices (ITU-T H.264 §7.3.2.1.1).
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// What an `avcC` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderConfigurationRecord {
    /// `AVCProfileIndication`.
    pub profile: u8,
    /// `profile_compatibility`.
    pub compatibility: u8,
    /// `AVCLevelIndication`: ten times the level.
    pub level: u8,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub nal_length_size: u8,
    /// The sequence parameter sets, each a NAL unit.
    pub sps: Vec<Vec<u8>>,
    /// The picture parameter sets, each a NAL unit.
    pub pps: Vec<Vec<u8>>,
    size: VideoInfo,
}

impl DecoderConfigurationRecord {
    /// Reads a record and the picture size in its first SPS.
    ///
    /// # Errors
    /// The record is damaged or holds no SPS or PPS.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(RECORD, bytes);
        let version = bits.read_u8(8)?;
        if version != 1 {
            return Err(Error::Version { what: RECORD, got: version, expected: 1 });
        }
        let (profile, compatibility, level) = (bits.read_u8(8)?, bits.read_u8(8)?, bits.read_u8(8)?);
        bits.skip(6)?;
        let nal_length_size = bits.read_u8(2)?.saturating_add(1);
        if nal_length_size == 3 {
            return Err(Error::OutOfRange { what: RECORD, field: "lengthSizeMinusOne", got: 2 });
        }
        bits.skip(3)?;
        let count = bits.read(5)?;
        let sps = parameter_sets(&mut bits, count)?;
        let count = bits.read(8)?;
        let pps = parameter_sets(&mut bits, count)?;
        let first = sps.first().ok_or(Error::Missing { what: RECORD, parameter_set: "SPS" })?;
        if pps.is_empty() {
            return Err(Error::Missing { what: RECORD, parameter_set: "PPS" });
        }
        let size = picture_size(first)?;
        Ok(Self { profile, compatibility, level, nal_length_size, sps, pps, size })
    }

    /// The codec as in the MIME parameter `codecs` (RFC 6381 §3.3), such as `avc1.64001F`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        format!("avc1.{:02X}{:02X}{:02X}", self.profile, self.compatibility, self.level)
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
/// The SPS is too short, there is no PPS, or there are more sets or longer ones than a record can hold.
pub fn record(sps: &[u8], pps: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, Error> {
    let &[_, profile, compatibility, level, ..] = sps else { return Err(Error::Truncated { what: SPS, bit: 0 }) };
    if pps.is_empty() {
        return Err(Error::Missing { what: RECORD, parameter_set: "PPS" });
    }
    let too_many = |got: usize| Error::OutOfRange { what: RECORD, field: "numOfPictureParameterSets", got: got as u64 };
    let count = u8::try_from(pps.len()).map_err(|_| too_many(pps.len()))?;
    let mut record = vec![1, profile, compatibility, level, 0xff, 0xe1];
    put_parameter_set(&mut record, sps)?;
    record.push(count);
    pps.iter().try_for_each(|pps| put_parameter_set(&mut record, pps.as_ref()))?;
    if HIGH_PROFILES.contains(&profile) {
        put_chroma(&mut record, sps)?;
    }
    Ok(record)
}

fn put_parameter_set(record: &mut Vec<u8>, set: &[u8]) -> Result<(), Error> {
    let too_long = Error::OutOfRange { what: RECORD, field: "parameterSetLength", got: set.len() as u64 };
    let length = u16::try_from(set.len()).map_err(|_| too_long)?;
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(set);
    Ok(())
}

/// `chroma_format`, `bit_depth_luma_minus8`, `bit_depth_chroma_minus8` and no SPS extensions, which the high profiles add.
fn put_chroma(record: &mut Vec<u8>, sps: &[u8]) -> Result<(), Error> {
    let raw = without_emulation_prevention(sps.get(1..).unwrap_or_default());
    let mut bits = Bits::new(SPS, &raw);
    bits.skip(24)?;
    bits.unsigned_exp_golomb()?;
    let format = bits.unsigned_exp_golomb()?;
    if format == 3 {
        bits.skip(1)?;
    }
    let (luma, chroma) = (bits.unsigned_exp_golomb()?, bits.unsigned_exp_golomb()?);
    for (value, mask, ones) in [(format, 3, 0xfc_u8), (luma, 7, 0xf8), (chroma, 7, 0xf8)] {
        let [.., low] = (value & mask).to_be_bytes();
        record.push(ones | low);
    }
    record.push(0);
    Ok(())
}

fn parameter_sets(bits: &mut Bits<'_>, count: u32) -> Result<Vec<Vec<u8>>, Error> {
    let one = |_| {
        let length = bits.read(16)?;
        bits.bytes(usize::try_from(length).unwrap_or(usize::MAX)).map(<[u8]>::to_vec)
    };
    (0..count).map(one).collect()
}

/// The cropped size from an SPS NAL unit (ITU-T H.264 §7.3.2.1.1).
fn picture_size(nal: &[u8]) -> Result<VideoInfo, Error> {
    let raw = without_emulation_prevention(nal.get(1..).unwrap_or_default());
    let mut bits = Bits::new(SPS, &raw);
    let profile = bits.read_u8(8)?;
    bits.skip(16)?;
    bits.unsigned_exp_golomb()?;
    let chroma = chroma_format(&mut bits, profile)?;
    bits.unsigned_exp_golomb()?;
    skip_picture_order(&mut bits)?;
    bits.unsigned_exp_golomb()?;
    bits.skip(1)?;
    let width_in_mbs = bits.unsigned_exp_golomb()?.saturating_add(1);
    let height_in_map_units = bits.unsigned_exp_golomb()?.saturating_add(1);
    let frame_mbs_only = bits.flag()?;
    let fields = 2_u32.saturating_sub(u32::from(frame_mbs_only));
    bits.skip(if frame_mbs_only { 1 } else { 2 })?;
    let mut crop = [0_u32; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.unsigned_exp_golomb()?;
        }
    }
    let [left, right, top, bottom] = crop;
    let (unit_x, unit_y) = chroma.crop_unit();
    let across = left.saturating_add(right).saturating_mul(unit_x);
    let down = top.saturating_add(bottom).saturating_mul(unit_y.saturating_mul(fields));
    Ok(VideoInfo {
        width: width_in_mbs.saturating_mul(16).saturating_sub(across),
        height: height_in_map_units.saturating_mul(fields).saturating_mul(16).saturating_sub(down),
    })
}

/// `ChromaArrayType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chroma(u32);

impl Chroma {
    /// `CropUnitX` and `CropUnitY` of a frame (ITU-T H.264 table 6-1).
    fn crop_unit(self) -> (u32, u32) {
        match self.0 {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        }
    }
}

fn chroma_format(bits: &mut Bits<'_>, profile: u8) -> Result<Chroma, Error> {
    if !HIGH_PROFILES.contains(&profile) {
        return Ok(Chroma(1));
    }
    let format = bits.unsigned_exp_golomb()?;
    let separate_planes = format == 3 && bits.flag()?;
    bits.unsigned_exp_golomb()?;
    bits.unsigned_exp_golomb()?;
    bits.skip(1)?;
    if bits.flag()? {
        let lists = if format == 3 { 12 } else { 8 };
        (0..lists).try_for_each(|list| skip_scaling_list(bits, if list < 6 { 16 } else { 64 }))?;
    }
    Ok(Chroma(if separate_planes { 0 } else { format }))
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Result<(), Error> {
    if !bits.flag()? {
        return Ok(());
    }
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            next = last.saturating_add(bits.signed_exp_golomb()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Result<(), Error> {
    match bits.unsigned_exp_golomb()? {
        0 => bits.unsigned_exp_golomb().map(drop),
        1 => {
            bits.skip(1)?;
            bits.signed_exp_golomb()?;
            bits.signed_exp_golomb()?;
            let cycle = bits.unsigned_exp_golomb()?;
            if cycle > 255 {
                let field = "num_ref_frames_in_pic_order_cnt_cycle";
                return Err(Error::OutOfRange { what: SPS, field, got: u64::from(cycle) });
            }
            (0..cycle).try_for_each(|_| bits.signed_exp_golomb().map(drop))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "avc/tests.rs"]
mod tests;
