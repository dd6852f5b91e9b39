//! H.265 (RFC 7798): single units, aggregation packets and fragmentation units, without decoding order numbers.

use bytes::Bytes;
use smallvec::smallvec;

use crate::Error;
use crate::nal::{Builder, Units, aggregated, send};
use crate::pack::Emit;

const CODEC: &str = "H265";
/// Pictures that decoding can start at (ITU-T H.265 table 7-1, IRAP).
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const FILLER: u8 = 38;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header >> 1 & 0x3f)
}

/// Makes the packets of an access unit. `sets` go before it.
pub(crate) fn packetize(sets: &Units<'_>, units: &Units<'_>, limit: usize, emit: &mut dyn Emit) {
    let wanted = |unit: &&[u8]| {
        let repeated = !sets.is_empty() && matches!(kind(unit), VPS | SPS | PPS);
        !matches!(kind(unit), DELIMITER | FILLER) && !repeated
    };
    let units: Units<'_> = sets.iter().chain(units.iter().filter(|unit| wanted(unit))).copied().collect();
    for (index, unit) in units.iter().enumerate() {
        put(unit, limit, index.saturating_add(1) == units.len(), emit);
    }
}

/// One unit, in fragmentation units where it is longer than a packet.
fn put(unit: &[u8], limit: usize, last: bool, emit: &mut dyn Emit) {
    let [first, second] = unit.first_chunk().copied().unwrap_or_default();
    let header = |flags| smallvec![first & 0x81 | FRAGMENTATION << 1, second, flags | kind(unit)];
    send(unit, 2, limit, last, emit, header);
}

/// Takes one payload into an access unit.
pub(crate) fn depacketize(payload: &[u8], unit: &mut Builder) -> Result<(), Error> {
    let (&[first, second], body) = payload.split_first_chunk().ok_or(Error::Truncated { codec: CODEC })?;
    match kind(payload) {
        AGGREGATION => aggregated(body, CODEC, |one| add(one, unit))?,
        FRAGMENTATION => {
            let whole = unit.fragment(body, CODEC, |flags| [first & 0x81 | (flags & 0x3f) << 1, second])?;
            whole.iter().for_each(|whole| add(whole, unit));
        }
        0..AGGREGATION => add(payload, unit),
        got => return Err(Error::Unsupported { codec: CODEC, got }),
    }
    Ok(())
}

fn add(one: &[u8], unit: &mut Builder) {
    match kind(one) {
        VPS => unit.sets.vps = Some(Bytes::copy_from_slice(one)),
        SPS => unit.sets.sps = Some(Bytes::copy_from_slice(one)),
        PPS => unit.sets.add_pps(Bytes::copy_from_slice(one)),
        DELIMITER | FILLER => {}
        other => {
            unit.key |= RANDOM_ACCESS.contains(&other);
            if one.len() > 2 {
                unit.put(one);
            }
        }
    }
}
