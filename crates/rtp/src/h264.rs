//! H.264 in packetization mode 1 (RFC 6184): single units, STAP-A and FU-A.

use bytes::Bytes;
use smallvec::smallvec;

use crate::Error;
use crate::nal::{Builder, Units, aggregated, send};
use crate::pack::Emit;

const CODEC: &str = "H264";
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const TYPE: u8 = 0x1f;
/// `F` and `NRI` of a NAL unit's header.
const IMPORTANCE: u8 = 0xe0;

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & TYPE)
}

/// Makes the packets of an access unit. `sets` go before it, aggregated.
pub(crate) fn packetize(sets: &Units<'_>, units: &Units<'_>, limit: usize, emit: &mut dyn Emit) {
    // What viewers do without: delimiters, filler, and the sets that come from the configuration already.
    let wanted = |unit: &&[u8]| {
        let repeated = !sets.is_empty() && matches!(kind(unit), SPS | PPS);
        !matches!(kind(unit), DELIMITER | FILLER) && !repeated
    };
    let units: Units<'_> = units.iter().copied().filter(wanted).collect();
    aggregate(sets, limit, emit);
    for (index, unit) in units.iter().enumerate() {
        put(unit, limit, index.saturating_add(1) == units.len(), emit);
    }
}

/// RFC 6184 section 5.7.1; sets too long for one packet go alone.
fn aggregate(sets: &Units<'_>, limit: usize, emit: &mut dyn Emit) {
    let total = sets.iter().fold(1_usize, |total, set| total.saturating_add(set.len()).saturating_add(2));
    if sets.len() < 2 || total > limit {
        sets.iter().for_each(|set| put(set, limit, false, emit));
        return;
    }
    let importance = sets.iter().filter_map(|set| set.first()).map(|header| header & 0x60).max().unwrap_or_default();
    let mut packet = vec![importance | STAP_A];
    for set in sets {
        packet.extend_from_slice(&u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
        packet.extend_from_slice(set);
    }
    emit.packet(&[&packet], false);
}

/// One unit, in FU-A where it is longer than a packet.
fn put(unit: &[u8], limit: usize, last: bool, emit: &mut dyn Emit) {
    let header = unit.first().copied().unwrap_or_default();
    send(unit, 1, limit, last, emit, |flags| smallvec![header & IMPORTANCE | FU_A, flags | header & TYPE]);
}

/// Takes one payload into an access unit.
pub(crate) fn depacketize(payload: &[u8], unit: &mut Builder) -> Result<(), Error> {
    let (&header, body) = payload.split_first().ok_or(Error::Truncated { codec: CODEC })?;
    match header & TYPE {
        STAP_A => aggregated(body, CODEC, |one| add(one, unit))?,
        FU_A => {
            let whole = unit.fragment(body, CODEC, |flags| [header & IMPORTANCE | flags & TYPE])?;
            whole.iter().for_each(|whole| add(whole, unit));
        }
        1..STAP_A => add(payload, unit),
        got => return Err(Error::Unsupported { codec: CODEC, got }),
    }
    Ok(())
}

fn add(one: &[u8], unit: &mut Builder) {
    match kind(one) {
        SPS => unit.sets.sps = Some(Bytes::copy_from_slice(one)),
        PPS => unit.sets.add_pps(Bytes::copy_from_slice(one)),
        DELIMITER | FILLER => {}
        other => {
            unit.key |= other == IDR;
            if !one.is_empty() {
                unit.put(one);
            }
        }
    }
}
