//! Bits of a structure, most significant first, and the Exp-Golomb codes on them (ITU-T H.264 §9.1).

use crate::Error;

/// Reads bits; every read names the structure in its error.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    /// One bit.
    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        let truncated = Error::Truncated { what: self.what, bit: self.at };
        let byte = self.bytes.get(self.at / 8).ok_or(truncated)?;
        let mask = 0x80_u8 >> (self.at % 8);
        self.at = self.at.saturating_add(1);
        Ok(byte & mask != 0)
    }

    /// `count` bits, at most 32.
    pub(crate) fn read(&mut self, count: u32) -> Result<u32, Error> {
        (0..count).try_fold(0_u32, |value, _| Ok(value << 1 | u32::from(self.flag()?)))
    }

    /// 8 bits or fewer.
    pub(crate) fn read_u8(&mut self, count: u32) -> Result<u8, Error> {
        let [.., value] = self.read(count.min(8))?.to_be_bytes();
        Ok(value)
    }

    pub(crate) fn skip(&mut self, count: u32) -> Result<(), Error> {
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// `ue(v)`; codes of more than 32 leading zeros are out of range for every field that uses them.
    pub(crate) fn unsigned_exp_golomb(&mut self) -> Result<u32, Error> {
        let mut zeros = 0_u32;
        while !self.flag()? {
            zeros = zeros.saturating_add(1);
            if zeros > 31 {
                return Err(Error::OutOfRange { what: self.what, field: "ue(v)", got: u64::from(zeros) });
            }
        }
        let suffix = self.read(zeros)?;
        Ok((1_u32 << zeros).wrapping_sub(1).saturating_add(suffix))
    }

    /// `se(v)`.
    pub(crate) fn signed_exp_golomb(&mut self) -> Result<i64, Error> {
        let code = i64::from(self.unsigned_exp_golomb()?);
        let magnitude = code.saturating_add(1) / 2;
        Ok(if code % 2 == 0 { magnitude.saturating_neg() } else { magnitude })
    }

    /// `leb128` of AV1 (§4.10.5); only whole bytes lie before it.
    pub(crate) fn leb128(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for group in 0..8_u32 {
            let byte = self.read(8)?;
            value |= u64::from(byte & 0x7f) << group.saturating_mul(7);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::OutOfRange { what: self.what, field: "leb128", got: value })
    }

    /// The next `count` whole bytes; only whole bytes lie before them.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let from = self.at / 8;
        let to = from.saturating_add(count);
        let bytes = self.bytes.get(from..to).ok_or(Error::Truncated { what: self.what, bit: self.at })?;
        self.at = to.saturating_mul(8);
        Ok(bytes)
    }
}

/// The payload of a NAL unit without its emulation prevention bytes (ITU-T H.264 §7.4.1).
pub(crate) fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut zeros = 0_u32;
    let mut raw = Vec::with_capacity(nal.len());
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
        raw.push(byte);
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes() {
        let mut bits = Bits::new("test", &[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<_> = (0..5).map(|_| bits.unsigned_exp_golomb().unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new("test", &[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<_> = (0..5).map(|_| bits.signed_exp_golomb().unwrap()).collect();
        assert_eq!(read, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn a_code_without_end_is_refused() {
        assert!(Bits::new("test", &[0; 40]).unsigned_exp_golomb().is_err());
        assert!(Bits::new("test", &[0xff; 9]).leb128().is_err());
        assert_eq!(Bits::new("test", &[0]).read(9), Err(Error::Truncated { what: "test", bit: 8 }));
    }

    #[test]
    fn emulation_prevention_is_removed() {
        assert_eq!(without_emulation_prevention(&[1, 0, 0, 3, 0, 0, 3, 1, 3]), [1, 0, 0, 0, 0, 1, 3]);
    }
}
