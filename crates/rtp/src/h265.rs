//! H.265 (RFC 7798): single units, aggregation packets and fragmentation units, without decoding order numbers.

use bytes::Bytes;

use crate::Error;
use crate::nal::{Builder, Units};
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
const START: u8 = 0x80;
const END: u8 = 0x40;

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
        let last = index.saturating_add(1) == units.len();
        if unit.len() <= limit {
            emit.packet(&[unit], last);
        } else {
            fragment(unit, limit, last, emit);
        }
    }
}

/// RFC 7798 section 4.4.3.
fn fragment(unit: &[u8], limit: usize, last: bool, emit: &mut dyn Emit) {
    let Some((&[first, second], body)) = unit.split_first_chunk() else { return };
    let pieces = body.chunks(limit.saturating_sub(3).max(1));
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        let ends = index.saturating_add(1) == count;
        let flags = if index == 0 { START } else { 0 } | if ends { END } else { 0 };
        let header = [first & 0x81 | FRAGMENTATION << 1, second, flags | kind(unit)];
        emit.packet(&[&header, piece], ends && last);
    }
}

/// Takes one payload into an access unit.
pub(crate) fn depacketize(payload: &[u8], unit: &mut Builder) -> Result<(), Error> {
    let truncated = || Error::Truncated { codec: CODEC };
    let (&[first, second], body) = payload.split_first_chunk().ok_or_else(truncated)?;
    match kind(payload) {
        AGGREGATION => {
            let mut rest = body;
            while !rest.is_empty() {
                let (length, after) = rest.split_first_chunk().ok_or_else(truncated)?;
                let length = usize::from(u16::from_be_bytes(*length));
                let (one, after) = after.split_at_checked(length).ok_or_else(truncated)?;
                add(one, unit);
                rest = after;
            }
        }
        FRAGMENTATION => {
            let (&flags, piece) = body.split_first().ok_or_else(truncated)?;
            if flags & START != 0 {
                unit.begin(&[first & 0x81 | (flags & 0x3f) << 1, second], piece);
                return Ok(());
            }
            if let Some(whole) = unit.extend(piece, flags & END != 0, CODEC)? {
                add(&whole, unit);
            }
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
