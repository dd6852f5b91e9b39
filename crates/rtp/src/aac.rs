//! AAC as MPEG4-GENERIC in mode `AAC-hbr` (RFC 3640 sections 3.2 and 3.3.6): 13 bits of size and 3 of index for each
//! access unit, no interleaving.

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::depacketizer::Unit;
use crate::pack::Emit;
use crate::{Error, Packet};

const CODEC: &str = "AAC";
/// `AU-headers-length` and one AU header.
const HEAD: usize = 4;
/// Bits of one AU header: `sizeLength=13;indexLength=3;indexDeltaLength=3`.
const HEADER_BITS: u16 = 16;
/// Samples of an access unit, which is also its length in ticks of the clock.
const SAMPLES: u32 = 1_024;
/// What 13 bits can tell.
const MAX_UNIT: usize = 0x1fff;

/// Makes the packets of one access unit. Each carries the size of the whole unit, and the last has the marker.
pub(crate) fn packetize(unit: &[u8], limit: usize, emit: &mut dyn Emit) {
    let Some(size) = u16::try_from(unit.len()).ok().filter(|_| unit.len() <= MAX_UNIT) else { return };
    let ([a, b], [c, d]) = (HEADER_BITS.to_be_bytes(), (size << 3).to_be_bytes());
    let pieces = unit.chunks(limit.saturating_sub(HEAD).max(1));
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        emit.packet(&[&[a, b, c, d], piece], index.saturating_add(1) == count);
    }
}

/// An access unit of which more packets are to come.
#[derive(Debug)]
struct Open {
    timestamp: u32,
    size: usize,
    bytes: BytesMut,
}

/// Takes packets apart; the access units of one packet are cut from it.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    open: Option<Open>,
}

impl Builder {
    /// Packets are missing.
    pub(crate) fn gap(&mut self) {
        self.open = None;
    }

    /// The access units that a packet completes.
    pub(crate) fn depacketize(&mut self, packet: &Packet) -> SmallVec<[Result<Unit, Error>; 2]> {
        match self.units(packet) {
            Ok(units) => units.into_iter().map(Ok).collect(),
            Err(error) => {
                self.open = None;
                SmallVec::from_iter([Err(error)])
            }
        }
    }

    fn units(&mut self, packet: &Packet) -> Result<SmallVec<[Unit; 2]>, Error> {
        let truncated = || Error::Truncated { codec: CODEC };
        let mut data = packet.payload.clone();
        let bits = data.try_get_u16().map_err(|_| truncated())?;
        if bits == 0 || bits % HEADER_BITS != 0 {
            return Err(Error::Unsupported { codec: CODEC, got: bits.to_be_bytes()[1] });
        }
        let length = usize::from(bits / 8);
        if data.len() < length {
            return Err(truncated());
        }
        let mut headers = data.split_to(length);
        let mut units = SmallVec::new();
        let mut timestamp = packet.timestamp;
        let mut first = true;
        while let Ok(header) = headers.try_get_u16() {
            let (size, index) = (usize::from(header >> 3), u32::from(header & 0x07));
            if std::mem::take(&mut first) {
                if size > data.len() {
                    return Ok(self.fragment(packet.timestamp, size, &data)?.into_iter().collect());
                }
                // What was open has not come to its end.
                self.open = None;
            } else {
                let ahead = SAMPLES.wrapping_mul(index.saturating_add(1));
                timestamp = timestamp.wrapping_add(ahead);
            }
            if size > data.len() {
                return Err(truncated());
            }
            units.push(Unit { timestamp, key: true, payload: data.split_to(size), configuration: None });
        }
        Ok(units)
    }

    fn fragment(&mut self, timestamp: u32, size: usize, piece: &Bytes) -> Result<Option<Unit>, Error> {
        let fits = |open: &Open| open.timestamp == timestamp && open.size == size;
        let mut open = match self.open.take().filter(fits) {
            Some(open) => open,
            None => Open { timestamp, size, bytes: BytesMut::with_capacity(size) },
        };
        open.bytes.extend_from_slice(piece);
        if open.bytes.len() > size {
            return Err(Error::TooLong { limit: size });
        }
        if open.bytes.len() == size {
            return Ok(Some(Unit { timestamp, key: true, payload: open.bytes.freeze(), configuration: None }));
        }
        self.open = Some(open);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(builder: &mut Builder, timestamp: u32, payload: &'static [u8]) -> Vec<(u32, Bytes)> {
        let packet = Packet { sequence: 0, timestamp, marker: true, payload: Bytes::from_static(payload) };
        builder
            .depacketize(&packet)
            .into_iter()
            .map(|unit| unit.unwrap())
            .map(|unit| (unit.timestamp, unit.payload))
            .collect()
    }

    #[test]
    fn several_units_of_one_packet() {
        // AU-headers-length 32 bits; sizes 2 and 1; then the units.
        let packet = b"\0\x20\0\x10\0\x08abc";
        let expected = [(7, Bytes::from_static(b"ab")), (1_031, Bytes::from_static(b"c"))];
        assert_eq!(units(&mut Builder::default(), 7, packet), expected);
    }

    #[test]
    fn a_unit_over_several_packets_and_one_whose_middle_is_lost() {
        let mut builder = Builder::default();
        assert_eq!(units(&mut builder, 7, b"\0\x10\0\x28abc"), []);
        assert_eq!(units(&mut builder, 7, b"\0\x10\0\x28de"), [(7, Bytes::from_static(b"abcde"))]);
        assert_eq!(units(&mut builder, 8, b"\0\x10\0\x28abc"), []);
        builder.gap();
        assert_eq!(units(&mut builder, 8, b"\0\x10\0\x28e"), []);
        assert_eq!(units(&mut builder, 9, b"\0\x10\0\x08x"), [(9, Bytes::from_static(b"x"))]);
    }

    #[test]
    fn damage_is_told() {
        let mut builder = Builder::default();
        for payload in [&b""[..], b"\0", b"\0\0", b"\0\x0d\0\x08", b"\0\x20\0\x08a", b"\0\x20\0\x08\0\x10ab"] {
            let packet = Packet { sequence: 0, timestamp: 0, marker: true, payload: Bytes::from_static(payload) };
            assert!(builder.depacketize(&packet).iter().any(Result::is_err), "{payload:?}");
        }
    }
}
