//! Paths by TCP (RFC 6544): this end accepts connections, and a session takes one only when UDP does not work.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::RtcSession;
use crate::Error;

/// How long UDP has after the first check by TCP. The stack keeps the path that the peer names first, and a browser names
/// whichever answers first, so that one lost datagram would put a session on TCP for good.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether a session takes what comes by TCP.
#[derive(Debug, Default)]
pub(super) struct Passive {
    /// Addresses announced so far.
    addresses: usize,
    first: Option<Instant>,
    taken: bool,
}

impl Passive {
    /// Whether a frame is to be taken, `connected` where ICE has a path. A check that is not taken comes again.
    pub(super) fn admits(&mut self, now: Instant, connected: bool) -> bool {
        let first = *self.first.get_or_insert(now);
        self.taken |= !connected && now >= first + PATIENCE;
        self.taken
    }
}

/// For the stack the candidate has no `tcptype`: a passive one would pair only with what the peer announces as active,
/// and never with the port from which it connects. Our descriptions say `passive`, see `description.rs`.
fn candidate(order: usize, address: SocketAddr, base: Option<SocketAddr>) -> String {
    // RFC 8445 section 5.1.2.1 with the type preference 90 of browsers, below all of UDP but relays; the local preference
    // by RFC 6544 section 4.2 with the direction preference 4.
    let other = 8_191_u32.saturating_sub(u32::try_from(order).unwrap_or(u32::MAX));
    let priority = (90 << 24) + (((4 << 13) + other) << 8) + 255;
    let kind = base.map_or("host".to_owned(), |base| format!("srflx raddr {} rport {}", base.ip(), base.port()));
    format!("candidate:{} 1 tcp {priority} {} {} typ {kind}", order + 200, address.ip(), address.port())
}

impl RtcSession {
    pub(super) fn announce_passive(&mut self, address: SocketAddr, base: Option<SocketAddr>) -> Result<(), Error> {
        let order = self.passive.addresses;
        self.passive.addresses += 1;
        self.announce(candidate(order, address, base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_has_half_a_second() {
        let now = Instant::now();
        let mut passive = Passive::default();
        assert!(!passive.admits(now, false));
        assert!(!passive.admits(now + PATIENCE / 2, false));
        assert!(passive.admits(now + PATIENCE, false));
        assert!(passive.admits(now + PATIENCE, true));
        let mut late = Passive::default();
        assert!(!late.admits(now, true));
        assert!(!late.admits(now + 2 * PATIENCE, true));
    }

    #[test]
    fn any_path_by_udp_is_preferred() {
        let priority = |line: &str| line.split(' ').nth(3).and_then(|priority| priority.parse::<u32>().ok());
        let address = "192.0.2.1:8443".parse().unwrap();
        assert_eq!(candidate(0, address, None), "candidate:200 1 tcp 1520435199 192.0.2.1 8443 typ host");
        // Server-reflexive addresses have the type preference 100.
        assert!(priority(&candidate(0, address, None)) < Some(100 << 24));
        assert!(priority(&candidate(1, address, None)) < priority(&candidate(0, address, None)));
        let public = candidate(1, "203.0.113.7:8443".parse().unwrap(), Some(address));
        assert!(public.ends_with(" 203.0.113.7 8443 typ srflx raddr 192.0.2.1 rport 8443"), "{public}");
    }
}
