//! Where packets go that do not pass the stack: the pair of candidates that it has chosen last.

use std::net::SocketAddr;

use bytes::BytesMut;
use rtc::peer_connection::transport::{RTCIceCandidate, RTCIceCandidateType, RTCIceProtocol};
use rtc::rtp_transceiver::RTCRtpSenderId;

use super::RtcSession;
use crate::session::{Carrier, Transmit};

/// The two ends of a session's path, and what carries it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) carrier: Carrier,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Way {
    pub(super) fn carry(self, data: BytesMut) -> Transmit {
        let Self { carrier, local, remote } = self;
        Transmit { carrier, local, remote, data }
    }
}

fn address(ip: &str, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.parse().ok()?, port))
}

/// The address that a candidate of ours leaves from: a reflexive one is that of a NAT (RFC 8445 section 5.1.1).
fn base(candidate: &RTCIceCandidate) -> Option<SocketAddr> {
    let reflexive = matches!(candidate.typ, RTCIceCandidateType::Srflx | RTCIceCandidateType::Prflx);
    let related = || address(&candidate.related_address, candidate.related_port);
    reflexive.then(related).flatten().or_else(|| address(&candidate.address, candidate.port))
}

impl RtcSession {
    /// Where packets go now; nowhere while ICE has no path.
    pub(super) fn way(&mut self) -> Option<Way> {
        if self.outgoing.way.is_none() {
            let track = self.outgoing.tracks.keys().next()?.0;
            let sender = self.stack.rtp_sender(RTCRtpSenderId::from(track))?;
            let pair = sender.transport()?.ice_transport().get_selected_candidate_pair()?;
            let carrier = if pair.local().protocol == RTCIceProtocol::Tcp { Carrier::Tcp } else { Carrier::Udp };
            let (local, remote) = (base(pair.local())?, address(&pair.remote().address, pair.remote().port)?);
            self.outgoing.way = Some(Way { carrier, local, remote });
        }
        self.outgoing.way
    }

    /// Packets may go another way from now on: a check or its answer has come, time has passed, or a description.
    pub(super) fn forget_way(&mut self) {
        self.outgoing.way = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reflexive_candidate_leaves_from_its_base() {
        let of = |typ: RTCIceCandidateType, related: &str| {
            let candidate = RTCIceCandidate {
                address: "203.0.113.7".to_owned(),
                port: 7,
                typ,
                related_address: related.to_owned(),
                related_port: 5,
                ..RTCIceCandidate::default()
            };
            base(&candidate).map(|address| address.to_string())
        };
        let (own, inner) = (Some("203.0.113.7:7".to_owned()), Some("192.0.2.1:5".to_owned()));
        assert_eq!(of(RTCIceCandidateType::Srflx, "192.0.2.1"), inner);
        assert_eq!(of(RTCIceCandidateType::Prflx, "192.0.2.1"), inner);
        assert_eq!(of(RTCIceCandidateType::Prflx, ""), own);
        assert_eq!(of(RTCIceCandidateType::Host, "192.0.2.1"), own);
        assert_eq!(of(RTCIceCandidateType::Relay, "0.0.0.0"), own);
    }
}
