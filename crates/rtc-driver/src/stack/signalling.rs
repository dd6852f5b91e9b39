//! Descriptions and candidates, within their limits.

use std::net::SocketAddr;
use std::time::Instant;

use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;

use super::build::refused;
use super::description::tidied;
use super::{Phase, RtcSession};
use crate::Error;

const ANSWER: &str = "the answer";
const OFFER: &str = "the offer";

impl RtcSession {
    fn begin(&mut self, now: Instant) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.forget_way();
        if self.phase == Phase::Ended { Err(Error::Closed) } else { Ok(()) }
    }

    /// Checks a description's length and the number of candidates, before the stack spends anything on it.
    fn admit_description(&mut self, sdp: &str) -> Result<(), Error> {
        let limit = self.config.max_description;
        if sdp.len() > limit {
            return Err(Error::DescriptionTooLong { got: sdp.len(), limit });
        }
        self.admit_candidates(sdp.lines().filter(|line| line.starts_with("a=candidate:")).count())
    }

    fn admit_candidates(&mut self, more: usize) -> Result<(), Error> {
        let limit = self.config.max_candidates;
        self.candidates = self.candidates.saturating_add(more);
        if self.candidates > limit { Err(Error::TooManyCandidates { limit }) } else { Ok(()) }
    }

    /// The description of ours that counts, with all candidates; notes the fragment that peers will name.
    fn local_description(&mut self, what: &'static str) -> Result<String, Error> {
        let missing = || Error::Refused { what, said: "no local description".to_owned() };
        let sdp = tidied(&self.stack.local_description().ok_or_else(missing)?.sdp);
        let fragment = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap_or_default();
        fragment.trim().clone_into(&mut self.fragment);
        Ok(sdp)
    }

    pub(super) fn offer(&mut self, now: Instant, restart: bool) -> Result<String, Error> {
        self.begin(now)?;
        self.add_tracks(true)?;
        let offer = self.stack.create_offer(Some(RTCOfferOptions { ice_restart: restart })).map_err(refused(OFFER))?;
        self.stack.set_local_description(now, offer).map_err(refused(OFFER))?;
        if self.phase == Phase::New {
            self.enter(Phase::Offered);
        }
        if restart {
            self.candidates = 0;
        }
        self.announce(String::new())?;
        self.local_description(OFFER)
    }

    pub(super) fn answered(&mut self, now: Instant, answer: &str) -> Result<(), Error> {
        self.begin(now)?;
        self.admit_description(answer)?;
        let answer = RTCSessionDescription::answer(answer.to_owned()).map_err(refused(ANSWER))?;
        self.stack.set_remote_description(now, answer).map_err(refused(ANSWER))?;
        self.described(now);
        Ok(())
    }

    pub(super) fn answer(&mut self, now: Instant, offer: &str) -> Result<String, Error> {
        self.begin(now)?;
        if self.phase != Phase::New {
            // A later offer brings its candidates anew.
            self.candidates = 0;
        }
        self.admit_description(offer)?;
        let offer = RTCSessionDescription::offer(offer.to_owned()).map_err(refused(OFFER))?;
        self.stack.set_remote_description(now, offer).map_err(refused(OFFER))?;
        self.add_tracks(false)?;
        let answer = self.stack.create_answer(None).map_err(refused(OFFER))?;
        self.stack.set_local_description(now, answer).map_err(refused(OFFER))?;
        self.announce(String::new())?;
        let answer = self.local_description(OFFER)?;
        self.described(now);
        Ok(answer)
    }

    fn described(&mut self, now: Instant) {
        self.agree_tracks();
        if matches!(self.phase, Phase::New | Phase::Offered) {
            self.enter(Phase::Checking);
        }
        // The first checks go out at once instead of at the next tick.
        self.run_timers(now);
    }

    pub(super) fn trickled(&mut self, now: Instant, candidate: &str) -> Result<(), Error> {
        self.begin(now)?;
        let candidate = candidate.trim().trim_start_matches("a=");
        if candidate.is_empty() {
            return Ok(());
        }
        self.admit_candidates(1)?;
        let candidate = RTCIceCandidateInit { candidate: candidate.to_owned(), ..RTCIceCandidateInit::default() };
        self.stack.add_remote_candidate(candidate).map_err(refused("the candidate"))?;
        self.run_timers(now);
        Ok(())
    }

    pub(super) fn mapped(&mut self, now: Instant, base: SocketAddr, mapped: SocketAddr) -> Result<(), Error> {
        self.begin(now)?;
        // RFC 8445 section 5.1.2.1 with type preference 100.
        let priority = (100_u32 << 24) + (65_535 << 8) + 255;
        let (ip, port) = (mapped.ip(), mapped.port());
        let related = format!("raddr {} rport {}", base.ip(), base.port());
        self.announce(format!("candidate:100 1 udp {priority} {ip} {port} typ srflx {related}"))
    }

    pub(super) fn relayed(&mut self, now: Instant, address: SocketAddr) -> Result<(), Error> {
        self.begin(now)?;
        // RFC 8445 section 5.1.2.1 with type preference 0. The address that the server sees is nobody's business (section
        // 5.3 of RFC 8839 has this form for it), and the stack would take it for one of ours.
        let (priority, ip, port) = ((65_535_u32 << 8) + 255, address.ip(), address.port());
        let family = if address.is_ipv4() { "0.0.0.0" } else { "::" };
        self.announce(format!("candidate:300 1 udp {priority} {ip} {port} typ relay raddr {family} rport 9"))
    }
}
