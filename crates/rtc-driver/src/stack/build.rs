//! Making sessions: one certificate for all of them, settings from the configuration.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::crypto::{self, RTCCryptoProvider, SignatureScheme};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::ice::network_type::NetworkType;
use rtc::peer_connection::RTCPeerConnectionBuilder;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::state::RTCIceConnectionState;
use rtc::peer_connection::transport::{RTCDtlsRole, RTCIceCandidateInit};

use super::keys::{Keys, PROFILES};
use super::{Phase, RtcSession, interceptors, media};
use crate::media::Track;
use crate::{Config, Error};

/// Packets that may come late and still be taken, among them those sent again on request. The stack's own 64 are what a
/// stream of 10 Mbit/s sends in 60 ms; browsers use 1,024.
const REPLAY_WINDOW: usize = 1024;

/// What all sessions of a driver share.
pub(crate) struct Stack {
    config: Arc<Config>,
    crypto: Arc<dyn RTCCryptoProvider>,
    certificate: RTCCertificate,
}

impl fmt::Debug for Stack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stack").finish_non_exhaustive()
    }
}

/// The stack's own words for an error.
pub(super) fn refused(what: &'static str) -> impl FnOnce(rtc::shared::error::Error) -> Error {
    move |error| Error::Refused { what, said: error.to_string() }
}

impl Stack {
    /// Makes the certificate: ECDSA on P-256, as browsers do.
    pub(crate) fn new(config: Arc<Config>) -> Result<Self, Error> {
        let what = "the certificate";
        let said = |said: String| Error::Refused { what, said };
        let crypto = crypto::default_provider().map_err(|error| said(error.to_string()))?;
        let params = CertificateParams::new(vec!["sluicegate".to_owned()]).map_err(|error| said(error.to_string()))?;
        let certificate = RTCCertificate::generate(crypto.crypto(), SignatureScheme::EcdsaP256Sha256, params);
        Ok(Self { config, crypto, certificate: certificate.map_err(refused(what))? })
    }

    /// Makes a session that announces the given addresses, the best first.
    pub(crate) fn session(&self, now: Instant, locals: &[SocketAddr], tracks: &[Track]) -> Result<RtcSession, Error> {
        let mut engine = media::engine(tracks)?;
        let receives = tracks.iter().any(|track| matches!(track, Track::Receive(_)));
        let registry = interceptors::registry(&mut engine, receives).map_err(refused("a new session"))?;
        let certificates = vec![self.certificate.clone()];
        let keys = Arc::new(Keys::new(Arc::clone(&self.crypto)));
        let built = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_certificates(certificates).build())
            .with_setting_engine(self.settings(Arc::clone(&keys)))
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .build(now);
        let mut session = RtcSession {
            stack: built.map_err(refused("a new session"))?,
            config: Arc::clone(&self.config),
            fragment: String::new(),
            phase: Phase::New,
            deadline: None,
            now,
            ice: RTCIceConnectionState::New,
            state: None,
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            channels: BTreeMap::new(),
            media: media::Media::new(tracks),
            outgoing: super::sending::Outgoing::new(now),
            keys,
            candidates: 0,
            handshake_bytes: 0,
            handshake: super::handshake::Handshake::default(),
            sources: super::sources::Sources::default(),
            early: Vec::new(),
            passive: super::passive::Passive::default(),
            look_for_goodbye: false,
        };
        for (order, local) in locals.iter().enumerate() {
            session.announce(host_candidate(order, *local))?;
        }
        Ok(session)
    }

    fn settings(&self, keys: Arc<Keys>) -> SettingEngine {
        let config = &self.config;
        let times = (config.disconnected_after, config.failed_after, config.keep_alive);
        SettingEngineBuilder::new()
            .with_crypto_provider(keys)
            .with_srtp_protection_profiles(PROFILES.to_vec())
            .with_ice_timeouts(Some(times.0), Some(times.1), Some(times.2))
            // A browser that hides its addresses is reachable as peer-reflexive only: nothing better is to be awaited.
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            // Names under `.local` would need multicast on every interface; such peers reach us by their own checks.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_network_types(network_types(config))
            .with_srtp_replay_protection_window(REPLAY_WINDOW)
            .with_lite(config.ice_lite)
            // The stack's handshake survives loss better in this role.
            .with_answering_dtls_role(RTCDtlsRole::Client)
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(
                u32::try_from(config.max_message).unwrap_or(SctpMaxMessageSize::MAX_MESSAGE_SIZE),
            ))
            .with_sctp_max_receive_buffer_size(config.receive_window)
            .build()
    }
}

fn network_types(config: &Config) -> Vec<NetworkType> {
    let tcp = if config.tcp_listen.is_empty() { &[][..] } else { &[NetworkType::Tcp4, NetworkType::Tcp6][..] };
    [&[NetworkType::Udp4, NetworkType::Udp6], tcp].concat()
}

/// RFC 8445 section 5.1.2.1 with type preference 126; the earlier addresses are preferred.
fn host_candidate(order: usize, address: SocketAddr) -> String {
    let preference = 65_535_u32.saturating_sub(u32::try_from(order).unwrap_or(u32::MAX));
    let priority = (126 << 24) + (preference << 8) + 255;
    format!("candidate:{} 1 udp {priority} {} {} typ host", order + 1, address.ip(), address.port())
}

impl RtcSession {
    /// Announces a candidate of ours.
    pub(super) fn announce(&mut self, candidate: String) -> Result<(), Error> {
        let candidate = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
        self.stack.add_local_candidate(candidate).map_err(refused("a local candidate"))
    }
}
