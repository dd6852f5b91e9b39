//! VP8 (RFC 7741).

use crate::Error;
use crate::pack::Emit;

const CODEC: &str = "VP8";
/// `X`: an extension follows; `S`: a partition begins.
const EXTENDED: u8 = 0x80;
const START: u8 = 0x10;

/// Makes the packets of a frame, without picture identifiers.
pub(crate) fn packetize(frame: &[u8], limit: usize, emit: &mut dyn Emit) {
    let pieces = frame.chunks(limit.saturating_sub(1).max(1));
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        let descriptor = if index == 0 { START } else { 0 };
        emit.packet(&[&[descriptor], piece], index.saturating_add(1) == count);
    }
}

/// The payload behind the descriptor (RFC 7741 section 4.2), and whether it begins a frame.
pub(crate) fn depacketize(payload: &[u8]) -> Result<(&[u8], bool), Error> {
    let truncated = || Error::Truncated { codec: CODEC };
    let (&first, mut rest) = payload.split_first().ok_or_else(truncated)?;
    let begins = first & START != 0 && first & 0x07 == 0;
    if first & EXTENDED != 0 {
        let (&extension, after) = rest.split_first().ok_or_else(truncated)?;
        rest = after;
        if extension & 0x80 != 0 {
            let wide = rest.first().ok_or_else(truncated)? & 0x80 != 0;
            rest = rest.get(if wide { 2 } else { 1 }..).ok_or_else(truncated)?;
        }
        // TL0PICIDX, then TID and KEYIDX in one byte.
        let more = usize::from(extension & 0x40 != 0).saturating_add(usize::from(extension & 0x30 != 0));
        rest = rest.get(more..).ok_or_else(truncated)?;
    }
    Ok((rest, begins))
}

/// Whether a frame is a key frame (RFC 6386 section 9.1).
pub(crate) fn is_key(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 0)
}
