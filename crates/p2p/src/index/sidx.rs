//! The `sidx` box (ISO/IEC 14496-12, 8.16.3).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{IndexError, MAX_SEGMENTS};

/// The size of a reference has 31 bits; the bit before says what it is.
const SIZE_BITS: u32 = 0x7fff_ffff;
/// A stream access point of type 1 at the beginning.
const STARTS_WITH_SAP: u32 = 0x9000_0000;

/// One `sidx` box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidx {
    /// Ticks a second of the durations.
    pub timescale: u32,
    /// When the first reference is presented, in ticks.
    pub earliest: u64,
    /// Bytes between the end of the box and the first reference.
    pub first_offset: u64,
    /// What it references; each begins where the one before ends.
    pub references: Vec<Reference>,
}

/// What a `sidx` box references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Whether it is a further `sidx` box with what belongs to it, and not media.
    pub is_index: bool,
    /// Bytes, below 2^31.
    pub size: u32,
    /// Ticks.
    pub duration: u32,
}

/// The head of a box: its type, its bytes with the head, and the bytes of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxHead {
    pub(crate) kind: [u8; 4],
    /// `None` when the box goes to the end of the file.
    pub(crate) size: Option<u64>,
    pub(crate) head: u64,
}

impl BoxHead {
    /// Reads the head of a box: 8 bytes, or 16 with a 64-bit size.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self, IndexError> {
        let short = |_| IndexError::Short("the head of a box");
        let small = bytes.try_get_u32().map_err(short)?;
        let kind = bytes.try_get_u32().map_err(short)?.to_be_bytes();
        let (size, head) = match small {
            0 => (None, 8),
            1 => (Some(bytes.try_get_u64().map_err(short)?), 16),
            small => (Some(u64::from(small)), 8),
        };
        if size.is_some_and(|size| size < head) {
            return Err(IndexError::Wrong("a box is smaller than its head"));
        }
        Ok(Self { kind, size, head })
    }
}

impl Sidx {
    /// Reads what follows the head of the box, to its end.
    ///
    /// # Errors
    /// It is cut short, or has more than [`MAX_SEGMENTS`] references.
    pub fn parse(mut body: &[u8]) -> Result<Self, IndexError> {
        let short = |_| IndexError::Short("a sidx box");
        let version = body.try_get_u32().map_err(short)? >> 24;
        let _reference_id = body.try_get_u32().map_err(short)?;
        let timescale = body.try_get_u32().map_err(short)?;
        let (earliest, first_offset) = match version {
            0 => (body.try_get_u32().map_err(short)?.into(), body.try_get_u32().map_err(short)?.into()),
            1 => (body.try_get_u64().map_err(short)?, body.try_get_u64().map_err(short)?),
            _ => return Err(IndexError::Wrong("a sidx box of an unknown version")),
        };
        let count = usize::from(u16::try_from(body.try_get_u32().map_err(short)? & 0xffff).unwrap_or(u16::MAX));
        // 16 bits of it; the limit is of the whole index.
        let mut references = Vec::with_capacity(count.min(MAX_SEGMENTS).min(body.remaining() / 12));
        for _ in 0..count {
            let first = body.try_get_u32().map_err(short)?;
            let duration = body.try_get_u32().map_err(short)?;
            let _sap = body.try_get_u32().map_err(short)?;
            references.push(Reference { is_index: first > SIZE_BITS, size: first & SIZE_BITS, duration });
        }
        Ok(Self { timescale, earliest, first_offset, references })
    }
}

/// Writes a `sidx` box of version 1 that references media, each segment beginning with a stream access point.
///
/// # Errors
/// There are more than 65,535 references, or one has 2^31 bytes.
pub fn write(sidx: &Sidx) -> Result<Bytes, IndexError> {
    let limit = usize::from(u16::MAX);
    let many = |_| IndexError::TooMany { what: "references in a sidx box", limit };
    let count = u16::try_from(sidx.references.len()).map_err(many)?;
    if sidx.references.iter().any(|reference| reference.size > SIZE_BITS) {
        return Err(IndexError::Wrong("a segment of 2 GiB"));
    }
    let size = 40 + 12 * u32::from(count);
    let mut out = BytesMut::with_capacity(40 + 12 * usize::from(count));
    out.put_u32(size);
    out.put_slice(b"sidx");
    out.put_u32(1 << 24);
    out.put_u32(1);
    out.put_u32(sidx.timescale);
    out.put_u64(sidx.earliest);
    out.put_u64(sidx.first_offset);
    out.put_u16(0);
    out.put_u16(count);
    for reference in &sidx.references {
        out.put_u32(reference.size);
        out.put_u32(reference.duration);
        out.put_u32(STARTS_WITH_SAP);
    }
    Ok(out.freeze())
}
