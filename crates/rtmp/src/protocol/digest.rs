//! The digests that some peers put into their handshake.
//!
//! A packet of 1,536 bytes hides 32 bytes of HMAC-SHA256 over all the others, at a place that four of its bytes tell. A
//! peer that finds ours right answers with one more, over its own packet, keyed by what it found. Nothing is secret about
//! it: the keys are two well-known sentences and a well-known tail.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::handshake::PACKET_BYTES;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;
/// Where the four bytes that tell the place may lie; the place is 4 behind them at least, and below 728 more.
const GAPS: [usize; 2] = [8, 772];
const TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e, 0xec, 0x5d,
    0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    const fn sentence(self) -> &'static [u8] {
        match self {
            Self::Client => b"Genuine Adobe Flash Player 001",
            Self::Server => b"Genuine Adobe Flash Media Server 001",
        }
    }

    fn long_key(self) -> Vec<u8> {
        [self.sentence(), &TAIL].concat()
    }
}

type Packet = [u8; PACKET_BYTES];
type Digest = [u8; DIGEST_BYTES];

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else { return [0; DIGEST_BYTES] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Where the digest lies whose place the bytes at `gap` tell.
fn place(packet: &Packet, gap: usize) -> usize {
    let told = packet.get(gap..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
    let sum: usize = told.iter().map(|byte| usize::from(*byte)).sum();
    sum.checked_rem(728).unwrap_or_default().saturating_add(gap).saturating_add(4)
}

fn digest_at(packet: &Packet, place: usize, side: Side) -> Option<(Digest, Digest)> {
    let (front, rest) = packet.split_at_checked(place)?;
    let (found, back) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    Some((*found, hmac(side.sentence(), &[front, back])))
}

/// The digest in `packet` if `side` has put one there, and the gap by which it was found.
pub(super) fn find(packet: &Packet, side: Side) -> Option<(Digest, usize)> {
    GAPS.into_iter().find_map(|gap| {
        let (found, right) = digest_at(packet, place(packet, gap), side)?;
        (found == right).then_some((found, gap))
    })
}

/// Puts a digest into a packet of chance. Its first eight bytes, time and version, must be there.
pub(super) fn sign(packet: &mut Packet, gap: usize, side: Side) {
    let place = place(packet, gap);
    let Some((_, right)) = digest_at(packet, place, side) else { return };
    if let Some(slot) = packet.get_mut(place..).and_then(<[u8]>::first_chunk_mut::<DIGEST_BYTES>) {
        *slot = right;
    }
}

/// Ends a packet of chance with the answer to the other side's digest.
pub(super) fn answer(packet: &mut Packet, to: &Digest, side: Side) {
    let key = hmac(&side.long_key(), &[to]);
    if let Some((body, end)) = packet.split_last_chunk_mut::<DIGEST_BYTES>() {
        *end = hmac(&key, &[body]);
    }
}

/// Whether `packet` answers the digest `to`.
#[cfg(test)]
pub(super) fn answers(packet: &Packet, to: &Digest, side: Side) -> bool {
    let mut right = *packet;
    answer(&mut right, to, side);
    right == *packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_where_it_was_put() {
        for gap in GAPS {
            for fill in [0_u8, 7, 250] {
                let mut packet = [fill; PACKET_BYTES];
                assert_eq!(find(&packet, Side::Client), None);
                sign(&mut packet, gap, Side::Client);
                assert_eq!(find(&packet, Side::Client).map(|(_, at)| at), Some(gap), "{fill}");
                assert_eq!(find(&packet, Side::Server), None);
                packet[1_535] ^= 1;
                assert_eq!(find(&packet, Side::Client), None);
            }
        }
    }

    #[test]
    fn an_answer_fits_one_digest_only() {
        let mut packet = [3; PACKET_BYTES];
        answer(&mut packet, &[1; 32], Side::Server);
        assert!(answers(&packet, &[1; 32], Side::Server));
        assert!(!answers(&packet, &[2; 32], Side::Server) && !answers(&packet, &[1; 32], Side::Client));
    }
}
