//! How many sources of packets a peer may seem to have.

use std::collections::BTreeSet;

/// Sources of packets, and of reports, of one session. A peer has a few; forged ones beyond this are not looked at, and
/// neither are its own that begin after them.
const MAX_SOURCES: usize = 256;

/// The sources of what has come. The stack makes a state of its own for each, also where the packet is forged, and keeps it.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeSet<(bool, [u8; 4])>);

impl Sources {
    /// Whether the stack is to get a packet.
    pub(super) fn admits(&mut self, packet: &[u8]) -> bool {
        // RFC 5761 section 4; RFC 3550 sections 5.1 and 6.4.1.
        let is_report = packet.get(1).is_some_and(|kind| (192..=223).contains(kind));
        let source = packet.get(if is_report { 4.. } else { 8.. }).and_then(|rest| rest.first_chunk());
        let Some(source) = source.map(|source| (is_report, *source)) else { return false };
        self.0.contains(&source) || (self.0.len() < MAX_SOURCES && self.0.insert(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_are_known_go_on_and_others_are_bounded() {
        let mut sources = Sources::default();
        let packet = |kind: u8, source: u32| {
            let (zeros, source) = ([0; 4], source.to_be_bytes());
            let parts = if kind == 200 { [zeros, source, zeros] } else { [zeros, zeros, source] };
            let mut packet = parts.concat();
            (packet[0], packet[1]) = (0x80, kind);
            packet
        };
        for kind in [96, 200, 96 | 0x80] {
            assert!(sources.admits(&packet(kind, 7)), "{kind}");
        }
        assert_eq!(sources.0.len(), 2, "the marker makes no other");
        let admitted = (0..10_000).filter(|source| sources.admits(&packet(111, *source))).count();
        assert_eq!((admitted, sources.0.len()), (MAX_SOURCES - 1, MAX_SOURCES), "7 was known");
        assert!(sources.admits(&packet(96, 7)) && sources.admits(&packet(200, 7)) && !sources.admits(&packet(200, 8)));
        assert!((0..12).all(|length| !sources.admits(&packet(96, 7)[..length])));
    }
}
