//! NAL units between a length prefix and RTP: what H.264 and H.265 share.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::Error;

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

    /// Begins a fragmented unit with its header.
    pub(crate) fn begin(&mut self, header: &[u8], part: &[u8]) {
        let mut unit = BytesMut::with_capacity(part.len().saturating_mul(4));
        unit.put_slice(header);
        unit.put_slice(part);
        self.fragment = Some(unit);
    }

    /// Adds to the fragmented unit, and returns it when it is whole.
    pub(crate) fn extend(&mut self, part: &[u8], last: bool, codec: &'static str) -> Result<Option<Bytes>, Error> {
        self.fragment.as_mut().ok_or(Error::Fragment { codec })?.put_slice(part);
        Ok(if last { self.fragment.take().map(BytesMut::freeze) } else { None })
    }

    /// The access unit.
    pub(crate) fn finish(self, codec: &'static str) -> Result<Bytes, Error> {
        if self.fragment.is_some() { Err(Error::Truncated { codec }) } else { Ok(self.out.freeze()) }
    }
}
