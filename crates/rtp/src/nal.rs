//! NAL units between a length prefix and RTP: what H.264 (RFC 6184) and H.265 (RFC 7798) share.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::Error;
use crate::pack::Emit;

/// The first fragment of a unit, in the header of fragments that both codecs have.
const START: u8 = 0x80;
/// The last one.
const END: u8 = 0x40;

/// The slices of one access unit.
pub(crate) type Units<'a> = SmallVec<[&'a [u8]; 8]>;

/// Cuts an access unit at its length prefixes; what is damaged ends it.
pub(crate) fn split(payload: &[u8], prefix: u8) -> Units<'_> {
    let mut rest = payload;
    let mut units = Units::new();
    while let Some((length, after)) = rest.split_at_checked(usize::from(prefix)) {
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let Some((unit, after)) = after.split_at_checked(length) else { break };
        if !unit.is_empty() {
            units.push(unit);
        }
        rest = after;
    }
    units
}

/// Sends a unit whole where it fits into a packet, and else in fragments (RFC 6184 section 5.8, RFC 7798 section 4.4.3).
/// `header` makes a fragment's first bytes, of which the last one carries `flags`; the unit's own header of `skip` bytes
/// stays away.
pub(crate) fn send(
    unit: &[u8],
    skip: usize,
    limit: usize,
    last: bool,
    emit: &mut dyn Emit,
    header: impl Fn(u8) -> Header,
) {
    if unit.len() <= limit {
        emit.packet(&[unit], last);
        return;
    }
    let Some((_, body)) = unit.split_at_checked(skip) else { return };
    let pieces = body.chunks(limit.saturating_sub(header(0).len()).max(1));
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        let ends = index.saturating_add(1) == count;
        let flags = if index == 0 { START } else { 0 } | if ends { END } else { 0 };
        emit.packet(&[&header(flags), piece], ends && last);
    }
}

/// A fragment's first bytes: the payload's header and the fragment's own.
pub(crate) type Header = SmallVec<[u8; 3]>;

/// Takes an aggregation packet apart: units behind lengths of 16 bits (RFC 6184 section 5.7.1, RFC 7798 section 4.4.2).
pub(crate) fn aggregated(body: &[u8], codec: &'static str, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
    let truncated = || Error::Truncated { codec };
    let mut rest = body;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or_else(truncated)?;
        let (one, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(truncated)?;
        each(one);
        rest = after;
    }
    Ok(())
}

/// Parameter sets that come in band, in the order of a configuration's classes: VPS, SPS, PPS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sets {
    pub(crate) vps: Option<Bytes>,
    pub(crate) sps: Option<Bytes>,
    pub(crate) pps: Vec<Bytes>,
}

/// Picture parameter sets that are kept. Encoders use one or two.
const MAX_PPS: usize = 16;

impl Sets {
    pub(crate) fn add_pps(&mut self, pps: Bytes) {
        if !self.pps.contains(&pps) && self.pps.len() < MAX_PPS {
            self.pps.push(pps);
        }
    }

    /// Takes over the sets of a newer access unit.
    pub(crate) fn update(&mut self, newer: Self) {
        let anew = newer.sps.is_some();
        self.vps = newer.vps.or(self.vps.take());
        self.sps = newer.sps.or(self.sps.take());
        if anew && !newer.pps.is_empty() {
            self.pps = newer.pps;
        } else {
            newer.pps.into_iter().for_each(|pps| self.add_pps(pps));
        }
    }
}

/// An access unit in the making, NAL units behind lengths of 4 bytes.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    out: BytesMut,
    /// The unit that is being put together of fragments.
    fragment: Option<BytesMut>,
    pub(crate) sets: Sets,
    pub(crate) key: bool,
}

impl Builder {
    pub(crate) fn len(&self) -> usize {
        self.out.len().saturating_add(self.fragment.as_ref().map_or(0, BytesMut::len))
    }

    /// Adds a slice.
    pub(crate) fn put(&mut self, unit: &[u8]) {
        self.out.put_u32(u32::try_from(unit.len()).unwrap_or(u32::MAX));
        self.out.put_slice(unit);
    }

    /// Takes a fragment, and returns the unit when it is whole. `header` makes the unit's header of the fragment's.
    pub(crate) fn fragment<const N: usize>(
        &mut self,
        body: &[u8],
        codec: &'static str,
        header: impl Fn(u8) -> [u8; N],
    ) -> Result<Option<Bytes>, Error> {
        let (&flags, piece) = body.split_first().ok_or(Error::Truncated { codec })?;
        if flags & START != 0 {
            let mut unit = BytesMut::with_capacity(piece.len().saturating_mul(4));
            unit.put_slice(&header(flags));
            unit.put_slice(piece);
            self.fragment = Some(unit);
            return Ok(None);
        }
        self.fragment.as_mut().ok_or(Error::Fragment { codec })?.put_slice(piece);
        Ok(if flags & END != 0 { self.fragment.take().map(BytesMut::freeze) } else { None })
    }

    /// The access unit.
    pub(crate) fn finish(self, codec: &'static str) -> Result<Bytes, Error> {
        if self.fragment.is_some() { Err(Error::Truncated { codec }) } else { Ok(self.out.freeze()) }
    }
}
