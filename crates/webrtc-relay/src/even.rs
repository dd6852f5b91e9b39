//! Sound without seams, where what it came in tells times in whole milliseconds only.

use std::sync::Arc;

use sluicegate_media::{Codec, Timestamp};
use sluicegate_rtc_driver::media::RtpPacket;

/// A packet that is further than this from the end of the one before it stands where it says: there is a gap, or the
/// sender's clock has gone on by so much. Half of the usual packet.
const TOLERANCE: Timestamp = Timestamp::from_millis(10);
/// Ticks of 48 kHz in 2.5 ms, the shortest frame of Opus.
const SHORTEST: u32 = 120;

/// Puts each packet of a track behind the one before it. Receivers play sound by RTP timestamps to the sample: of packets of
/// 20 ms that FLV and Matroska tell to be 19 or 21 ms apart, Chromium throws away every third and makes up for it.
#[derive(Debug, Default)]
pub(crate) struct Even {
    /// Where the next packet begins.
    next: Option<u32>,
}

impl Even {
    /// Packets with their places; those that came in where they have them already.
    pub(crate) fn of(&mut self, codec: Codec, packets: Arc<[RtpPacket]>) -> Arc<[RtpPacket]> {
        let places: Vec<u32> = packets.iter().map(|packet| self.place(codec, packet)).collect();
        if packets.iter().zip(&places).all(|(packet, place)| packet.timestamp == *place) {
            return packets;
        }
        packets.iter().zip(places).map(|(packet, timestamp)| RtpPacket { timestamp, ..packet.clone() }).collect()
    }

    fn place(&mut self, codec: Codec, packet: &RtpPacket) -> u32 {
        let Some(length) = length(codec, &packet.payload) else { return packet.timestamp };
        let tolerance = sluicegate_rtp::timestamp(codec, TOLERANCE);
        let near = |next: &u32| packet.timestamp.wrapping_sub(*next).cast_signed().unsigned_abs() <= tolerance;
        let place = self.next.filter(near).unwrap_or(packet.timestamp);
        self.next = Some(place.wrapping_add(length));
        place
    }
}

/// How long a packet is heard, in ticks of its codec; `None` for those of which it is not known here.
fn length(codec: Codec, payload: &[u8]) -> Option<u32> {
    match codec {
        Codec::Opus => opus(payload),
        Codec::G711A | Codec::G711U => u32::try_from(payload.len()).ok(),
        _ => None,
    }
}

/// RFC 6716 section 3.1, table 2 (length of a frame by configuration), and section 3.2 (how many there are).
fn opus(payload: &[u8]) -> Option<u32> {
    let (head, rest) = payload.split_first()?;
    let units = match head >> 3 {
        config @ 0..12 => [4, 8, 16, 24].get(usize::from(config % 4)),
        config @ 12..16 => [4, 8].get(usize::from(config % 2)),
        config => [1, 2, 4, 8].get(usize::from(config % 4)),
    };
    let frames = match head & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    Some(SHORTEST * units? * frames)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// 20 ms, as browsers send it.
    const OPUS: &[u8] = &[0x78, 1, 2];

    fn packets(payload: &'static [u8], timestamps: impl IntoIterator<Item = u32>) -> Arc<[RtpPacket]> {
        let packet =
            |timestamp| RtpPacket { sequence: 0, timestamp, marker: false, payload: Bytes::from_static(payload) };
        timestamps.into_iter().map(packet).collect()
    }

    fn times(packets: &[RtpPacket]) -> Vec<u32> {
        packets.iter().map(|packet| packet.timestamp).collect()
    }

    #[test]
    fn whole_milliseconds_are_made_even_across_the_end_of_the_clock() {
        let (mut even, start) = (Even::default(), u32::MAX - 48_000);
        let told = |index: u32| start.wrapping_add(48 * (20 * index + [0, 1, 0, 0, 1][index as usize % 5]));
        for index in 0..200 {
            let out = even.of(Codec::Opus, packets(OPUS, [told(index)]));
            assert_eq!(times(&out), [start.wrapping_add(index * 960)], "{index}");
        }
    }

    #[test]
    fn what_is_even_is_shared_and_a_gap_stays_one() {
        let mut even = Even::default();
        let exact = packets(OPUS, [0, 960, 1_920]);
        assert!(Arc::ptr_eq(&exact, &even.of(Codec::Opus, Arc::clone(&exact))));
        assert_eq!(times(&even.of(Codec::Opus, packets(OPUS, [4_000, 4_940]))), [4_000, 4_960]);
        // Back by a second: another publisher.
        assert_eq!(times(&even.of(Codec::Opus, packets(OPUS, [0_u32.wrapping_sub(48_000)]))), [u32::MAX - 47_999]);
        // What cannot be told stays as it is.
        assert_eq!(times(&even.of(Codec::Opus, packets(&[], [5]))), [5]);
        assert_eq!(times(&Even::default().of(Codec::Aac, packets(OPUS, [5, 7]))), [5, 7]);
        let pcm = packets(&[0; 160], [0, 168, 320]);
        assert_eq!(times(&Even::default().of(Codec::G711A, pcm)), [0, 160, 320]);
    }

    #[test]
    fn lengths_of_opus() {
        let cases: [(&[u8], u32); 7] = [
            (&[0b0000_0000], 480),
            (&[0b0001_1001], 2 * 2_880),
            (&[0b0110_1010], 2 * 960),
            (&[0b1000_0000], 120),
            (&[0b1111_1100], 960),
            (&[0b1111_1011, 0b1100_0110], 6 * 960),
            (&[0b1111_1011, 0], 0),
        ];
        for (payload, ticks) in cases {
            assert_eq!(opus(payload), Some(ticks), "{payload:?}");
        }
        assert_eq!((opus(&[]), opus(&[3])), (None, None));
    }
}
