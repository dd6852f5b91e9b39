//! VP9 (RFC 9628).

use crate::Error;
use crate::pack::Emit;

const CODEC: &str = "VP9";
const PICTURE_ID: u8 = 0x80;
const INTER: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGIN: u8 = 0x08;
const END: u8 = 0x04;
const STRUCTURE: u8 = 0x02;

/// Makes the packets of a frame, without picture identifiers.
pub(crate) fn packetize(frame: &[u8], key: bool, limit: usize, emit: &mut dyn Emit) {
    let pieces = frame.chunks(limit.saturating_sub(1).max(1));
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        let ends = index.saturating_add(1) == count;
        let mut descriptor = if key { 0 } else { INTER };
        descriptor |= if index == 0 { BEGIN } else { 0 };
        descriptor |= if ends { END } else { 0 };
        emit.packet(&[&[descriptor], piece], ends);
    }
}

/// The payload behind the descriptor (RFC 9628 section 4.2), whether it begins a frame, and whether that is a key frame.
pub(crate) fn depacketize(payload: &[u8]) -> Result<(&[u8], bool, bool), Error> {
    let truncated = || Error::Truncated { codec: CODEC };
    let (&first, mut rest) = payload.split_first().ok_or_else(truncated)?;
    let mut next = || {
        let (&byte, after) = rest.split_first().ok_or_else(truncated)?;
        rest = after;
        Ok::<_, Error>(byte)
    };
    if first & PICTURE_ID != 0 && next()? & 0x80 != 0 {
        next()?;
    }
    let mut layer = 0;
    if first & LAYERS != 0 {
        layer = next()? >> 1 & 0x07;
        if first & FLEXIBLE == 0 {
            next()?;
        }
    }
    if first & FLEXIBLE != 0 && first & INTER != 0 {
        // At most three references; the last has its N bit clear.
        for _ in 0..3 {
            if next()? & 1 == 0 {
                break;
            }
        }
    }
    if first & STRUCTURE != 0 {
        skip_structure(&mut next)?;
    }
    Ok((rest, first & BEGIN != 0 && layer == 0, first & INTER == 0 && layer == 0))
}

/// RFC 9628 section 4.2.1.
fn skip_structure(next: &mut impl FnMut() -> Result<u8, Error>) -> Result<(), Error> {
    let head = next()?;
    if head & 0x10 != 0 {
        for _ in 0..u16::from(head >> 5).saturating_add(1).saturating_mul(4) {
            next()?;
        }
    }
    if head & 0x08 != 0 {
        for _ in 0..next()? {
            let references = next()? >> 2 & 0x03;
            for _ in 0..references {
                next()?;
            }
        }
    }
    Ok(())
}
