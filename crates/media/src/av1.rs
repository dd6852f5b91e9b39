//! AV1 decoder configurations: `AV1CodecConfigurationRecord` (AV1-ISOBMFF §2.3) and its sequence header.

use crate::bits::Bits;
use crate::{Error, VideoInfo};

const RECORD: &str = "AV1CodecConfigurationRecord";
const SEQUENCE_HEADER: &str = "sequence_header_obu";
/// `OBU_SEQUENCE_HEADER` (AV1 §6.2.2).
const OBU_SEQUENCE_HEADER: u8 = 1;

/// What an `av1C` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecConfigurationRecord {
    /// `seq_profile`.
    pub profile: u8,
    /// `seq_level_idx_0`.
    pub level: u8,
    /// `seq_tier_0`: high tier.
    pub high_tier: bool,
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    size: VideoInfo,
}

impl CodecConfigurationRecord {
    /// Reads a record. The picture size is 0 when it carries no sequence header, which is allowed.
    ///
    /// # Errors
    /// The record is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(RECORD, bytes);
        let marker_and_version = bits.read_u8(8)?;
        if marker_and_version != 0x81 {
            return Err(Error::Version { what: RECORD, got: marker_and_version, expected: 0x81 });
        }
        let (profile, level) = (bits.read_u8(3)?, bits.read_u8(5)?);
        let (high_tier, high_bit_depth, twelve_bit) = (bits.flag()?, bits.flag()?, bits.flag()?);
        bits.skip(5 + 8)?;
        let bit_depth = match (high_bit_depth, twelve_bit) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        let size = sequence_header(bytes.get(4..).unwrap_or_default())?.map(picture_size).transpose()?;
        Ok(Self { profile, level, high_tier, bit_depth, size: size.unwrap_or_default() })
    }

    /// The codec as in the MIME parameter `codecs` (AV1-ISOBMFF §5), such as `av01.0.08M.08`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.bit_depth)
    }

    /// The largest picture size of the sequence.
    #[must_use]
    pub fn video_info(&self) -> VideoInfo {
        self.size
    }
}

/// A record from the sequence header of a stream that carries it in band: the payload of its OBU, without header and size.
///
/// # Errors
/// The sequence header cannot be read.
pub fn record(sequence_header: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bits = Bits::new(SEQUENCE_HEADER, sequence_header);
    let profile = bits.read_u8(3)?;
    bits.skip(1)?;
    let (level, tier) = if bits.flag()? { (bits.read_u8(5)?, 0) } else { first_level(&mut bits)? };
    // Samples of 8 bits in 4:2:0: what real-time encoders make. Decoders take the truth from the sequence header.
    let mut record = vec![0x81, profile << 5 | level, tier << 7 | 0x0c, 0];
    // obu_type 1 with a size field (AV1 §5.3.2).
    record.push(OBU_SEQUENCE_HEADER << 3 | 2);
    let mut left = sequence_header.len();
    while left > 0x7f {
        record.push(0x80 | (left & 0x7f).to_be_bytes().last().copied().unwrap_or_default());
        left >>= 7;
    }
    record.push(left.to_be_bytes().last().copied().unwrap_or_default());
    record.extend_from_slice(sequence_header);
    Ok(record)
}

/// `seq_level_idx[0]` and `seq_tier[0]` (AV1 §5.5.1).
fn first_level(bits: &mut Bits<'_>) -> Result<(u8, u8), Error> {
    timing_info(bits)?;
    bits.skip(1 + 5 + 12)?;
    let level = bits.read_u8(5)?;
    let tier = if level > 7 { u8::from(bits.flag()?) } else { 0 };
    Ok((level, tier))
}

/// The payload of the first sequence header among `obus` (AV1 §5.3).
fn sequence_header(obus: &[u8]) -> Result<Option<&[u8]>, Error> {
    let mut rest = obus;
    while !rest.is_empty() {
        let mut bits = Bits::new(RECORD, rest);
        bits.skip(1)?;
        let kind = bits.read_u8(4)?;
        let (extension, has_size) = (bits.flag()?, bits.flag()?);
        bits.skip(if extension { 9 } else { 1 })?;
        let header = if extension { 2_usize } else { 1 };
        let left = rest.len().saturating_sub(header);
        let size = if has_size { usize::try_from(bits.leb128()?).unwrap_or(usize::MAX) } else { left };
        let payload = bits.bytes(size)?;
        if kind == OBU_SEQUENCE_HEADER {
            return Ok(Some(payload));
        }
        // The payload lies in `rest`, so its end does too.
        let end = payload.as_ptr_range().end.addr().saturating_sub(rest.as_ptr().addr());
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(None)
}

/// `max_frame_width` and `max_frame_height` (AV1 §5.5.1).
fn picture_size(payload: &[u8]) -> Result<VideoInfo, Error> {
    let mut bits = Bits::new(SEQUENCE_HEADER, payload);
    bits.skip(3 + 1)?;
    let reduced = bits.flag()?;
    if reduced {
        bits.skip(5)?;
    } else {
        let decoder_model = timing_info(&mut bits)?;
        operating_points(&mut bits, decoder_model)?;
    }
    let (width_bits, height_bits) = (bits.read(4)?.saturating_add(1), bits.read(4)?.saturating_add(1));
    let (width, height) = (bits.read(width_bits)?, bits.read(height_bits)?);
    Ok(VideoInfo { width: width.saturating_add(1), height: height.saturating_add(1) })
}

/// Returns `buffer_delay_length_minus_1` when there is a decoder model.
fn timing_info(bits: &mut Bits<'_>) -> Result<Option<u32>, Error> {
    if !bits.flag()? {
        return Ok(None);
    }
    bits.skip(64)?;
    if bits.flag()? {
        skip_uvlc(bits)?;
    }
    if !bits.flag()? {
        return Ok(None);
    }
    let delay_length = bits.read(5)?;
    bits.skip(32 + 5 + 5)?;
    Ok(Some(delay_length))
}

fn operating_points(bits: &mut Bits<'_>, decoder_model: Option<u32>) -> Result<(), Error> {
    let display_delay = bits.flag()?;
    for _ in 0..=bits.read(5)? {
        bits.skip(12)?;
        if bits.read(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(length) = decoder_model
            && bits.flag()?
        {
            bits.skip(length.saturating_add(1).saturating_mul(2).saturating_add(1))?;
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Ok(())
}

/// `uvlc()` (AV1 §4.10.3).
fn skip_uvlc(bits: &mut Bits<'_>) -> Result<(), Error> {
    let mut zeros = 0_u32;
    while !bits.flag()? {
        zeros = zeros.saturating_add(1);
    }
    bits.skip(if zeros < 32 { zeros } else { 0 })
}

#[cfg(test)]
#[path = "av1/tests.rs"]
mod tests;
