//! RTP and RTCP packets (RFC 3550 sections 5.1 and 6.4.1) as far as a sender and a receiver of one track need them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sluicegate_media::Timestamp;

/// Bytes of an RTP header without contributing sources.
pub(crate) const HEADER: usize = 12;
/// RTCP: sender report, source description, goodbye.
const SENDER_REPORT: u8 = 200;
const DESCRIPTION: u8 = 202;
/// From 1900, the beginning of NTP's time, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// The header of a packet whose number and source are still to be set.
pub(crate) fn header(payload_type: u8, marker: bool, timestamp: u32) -> [u8; HEADER] {
    let [a, b, c, d] = timestamp.to_be_bytes();
    [0x80, payload_type & 0x7f | if marker { 0x80 } else { 0 }, 0, 0, a, b, c, d, 0, 0, 0, 0]
}

/// Sets the number of a packet.
pub(crate) fn set_number(header: &mut [u8; HEADER], number: u16) {
    let [_, _, a, b, ..] = header;
    [*a, *b] = number.to_be_bytes();
}

/// Sets the source of a packet.
pub(crate) fn set_source(header: &mut [u8; HEADER], ssrc: u32) {
    let [.., a, b, c, d] = header;
    [*a, *b, *c, *d] = ssrc.to_be_bytes();
}

/// What a receiver has been sent of one track.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) ssrc: u32,
    packets: u32,
    octets: u32,
}

impl Source {
    pub(crate) fn new(ssrc: u32) -> Self {
        Self { ssrc, packets: 0, octets: 0 }
    }

    /// So many packets with so many bytes of payload were sent.
    pub(crate) fn count(&mut self, packets: u32, octets: u32) {
        self.packets = self.packets.wrapping_add(packets);
        self.octets = self.octets.wrapping_add(octets);
    }

    /// A sender report with the name that RTCP demands: the wall clock `ntp` is at `timestamp`.
    pub(crate) fn report(&self, ntp: u64, timestamp: u32) -> Bytes {
        const NAME: &[u8] = b"sluicegate";
        let mut out = BytesMut::with_capacity(52);
        out.put_slice(&[0x80, SENDER_REPORT, 0, 6]);
        out.put_u32(self.ssrc);
        out.put_u64(ntp);
        out.put_u32(timestamp);
        out.put_u32(self.packets);
        out.put_u32(self.octets);
        // CNAME behind its kind and length, then zeros to a multiple of four.
        out.put_slice(&[0x81, DESCRIPTION, 0, 5]);
        out.put_u32(self.ssrc);
        out.put_slice(&[1, 10]);
        out.put_slice(NAME);
        out.put_slice(&[0; 4]);
        out.freeze()
    }
}

/// 32.32 fixed point seconds since 1900, at a time since 1970.
pub(crate) fn ntp(since_1970: Timestamp) -> u64 {
    let nanos = u64::try_from(since_1970.nanos()).unwrap_or_default();
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let fraction = (rest << 32) / 1_000_000_000;
    seconds.wrapping_add(NTP_EPOCH) << 32 | fraction
}

/// A packet that arrives: its payload type, and the rest.
pub(crate) fn parse(mut packet: Bytes) -> Option<(u8, sluicegate_rtp::Packet)> {
    let (flags, kind) = (packet.try_get_u8().ok()?, packet.try_get_u8().ok()?);
    let (sequence, timestamp) = (packet.try_get_u16().ok()?, packet.try_get_u32().ok()?);
    packet.try_get_u32().ok()?;
    let sources = usize::from(flags & 0x0f).saturating_mul(4);
    skip(&mut packet, sources)?;
    if flags & 0x10 != 0 {
        packet.try_get_u16().ok()?;
        let words = usize::from(packet.try_get_u16().ok()?);
        skip(&mut packet, words.saturating_mul(4))?;
    }
    if flags & 0x20 != 0 {
        let padding = usize::from(*packet.last()?);
        packet.truncate(packet.len().checked_sub(padding)?);
    }
    let whole = sluicegate_rtp::Packet { sequence, timestamp, marker: kind & 0x80 != 0, payload: packet };
    (flags >> 6 == 2).then_some((kind & 0x7f, whole))
}

fn skip(packet: &mut Bytes, count: usize) -> Option<()> {
    (packet.len() >= count).then(|| packet.advance(count))
}

/// The wall clock and the timestamp of the first sender report in a compound packet.
pub(crate) fn report(mut packet: &[u8]) -> Option<(u64, u32)> {
    while packet.len() >= 4 {
        let (_, kind) = (packet.get_u8(), packet.get_u8());
        let length = usize::from(packet.get_u16()).saturating_mul(4);
        let (mut body, rest) = packet.split_at_checked(length)?;
        if kind == SENDER_REPORT {
            body.try_get_u32().ok()?;
            return Some((body.try_get_u64().ok()?, body.try_get_u32().ok()?));
        }
        packet = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut header = header(96, true, 90_000);
        set_number(&mut header, 65_535);
        set_source(&mut header, 0x1234_5678);
        assert_eq!(header[8..], 0x1234_5678_u32.to_be_bytes());
        let (kind, packet) = parse([&header[..], b"abc"].concat().into()).unwrap();
        assert_eq!((kind, packet.sequence, packet.timestamp, packet.marker), (96, 65_535, 90_000, true));
        assert_eq!(packet.payload, b"abc"[..]);
        let mut source = Source::new(0x1234_5678);
        source.count(3, 4_000);
        // The first of 1970, half a second later.
        let at = ntp(Timestamp::from_millis(500));
        assert_eq!((at >> 32, at & 0xffff_ffff), (NTP_EPOCH, 1 << 31));
        let compound = source.report(at, 7);
        assert_eq!((compound.len() % 4, report(&compound)), (0, Some((at, 7))));
        assert_eq!(compound[20..28], [0, 0, 0, 3, 0, 0, 15, 160]);
    }

    #[test]
    fn extensions_sources_and_padding_are_skipped() {
        let head = b"\xb1\x60\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04";
        let packet = [&head[..], b"\xbe\xde\0\x01\x10\0\0\0", b"abc", b"\0\0\x03"].concat();
        assert_eq!(parse(packet.into()).unwrap().1.payload, b"abc"[..]);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = report(&bytes);
            let _ = parse(bytes.into());
        }
    }
}
