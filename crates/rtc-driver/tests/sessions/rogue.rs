//! A peer that agrees on keys as it should and then sends SCTP as it should not. Its session may end; nobody else's does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto;
use rtc::dtls::config::{ClientAuthType, ConfigBuilder};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint as Dtls, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::shared::TransportProtocol;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_SUCCESS, Message as Stun};
use rtc::stun::xoraddr::XorMappedAddress;
use sluicegate_rtc_driver::{Options, SessionId, State};

use crate::stage::{Flying, Stage, address, binary};

const PASSWORD: &str = "roguepasswordroguepassword";
const TAG: u32 = 0x0BAD_CAFE;

/// What the rogue sends, and when.
#[derive(Debug, Clone)]
enum Attack {
    /// Instead of answering the association's first message.
    AtOnce(Vec<u8>),
    /// When the association stands: chunks.
    Later(Vec<u8>),
}

struct Rogue {
    dtls: Dtls,
    address: SocketAddr,
    victim: SocketAddr,
    fingerprint: String,
    attack: Attack,
    /// The victim's verification tag.
    tag: u32,
    done: bool,
}

/// The `CRC32c` checksum (RFC 9260 appendix A), bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82F6_3B78 } else { sum >> 1 };
        }
    }
    !sum
}

/// An SCTP packet (RFC 9260 section 3).
fn packet(tag: u32, chunks: &[u8]) -> Vec<u8> {
    let mut packet =
        [&5000_u16.to_be_bytes()[..], &5000_u16.to_be_bytes(), &tag.to_be_bytes(), &[0; 4], chunks].concat();
    let sum = checksum(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&sum);
    packet
}

/// A chunk, padded (RFC 9260 section 3.2).
fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap().to_be_bytes();
    let mut chunk = [&[kind, flags], &length[..], value].concat();
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// A whole message of the data channel protocol (RFC 8832) on stream 1.
fn dcep(message: &[u8]) -> Vec<u8> {
    let head =
        [1_u32.to_be_bytes().as_slice(), &1_u16.to_be_bytes(), &0_u16.to_be_bytes(), &50_u32.to_be_bytes()].concat();
    chunk(0, 3, &[&head, message].concat())
}

impl Rogue {
    fn new(attack: Attack) -> Self {
        let provider = crypto::default_provider().unwrap();
        let certificate = Certificate::generate_self_signed(vec!["rogue".to_owned()], provider.crypto()).unwrap();
        let hash = provider.crypto().hash(crypto::HashAlgorithm::Sha256, &certificate.certificate[0]).unwrap();
        let fingerprint = hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .build(false, None)
            .unwrap();
        let (own, victim) = (address(66), address(1));
        let dtls = Dtls::new(own, TransportProtocol::UDP, Some(config.into()));
        Self { dtls, address: own, victim, fingerprint, attack, tag: 0, done: false }
    }

    fn answer(&self) -> String {
        let (ip, port, fingerprint) = (self.address.ip(), self.address.port(), &self.fingerprint);
        format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
             c=IN IP4 0.0.0.0\r\na=setup:passive\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:65536\r\n\
             a=ice-ufrag:rogue\r\na=ice-pwd:{PASSWORD}\r\na=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\n"
        )
    }

    fn fly(&self, data: &[u8]) -> Flying {
        Flying { from: self.address, to: self.victim, data: BytesMut::from(data) }
    }

    fn take(&mut self, now: Instant, data: &BytesMut) -> Vec<Flying> {
        if data[0] < 4 {
            return if data[..2] == [0, 1] { vec![self.fly(&self.check_answered(data))] } else { Vec::new() };
        }
        let events = self.dtls.read(now, self.victim, None, data.clone()).unwrap_or_default();
        for event in events {
            if let EndpointEvent::ApplicationData(sctp) = event
                && let Some(reply) = self.sctp(&sctp)
            {
                self.dtls.write(now, self.victim, &reply).unwrap();
            }
        }
        let sent: Vec<_> = std::iter::from_fn(|| self.dtls.poll_transmit()).collect();
        sent.iter().map(|transmit| self.fly(&transmit.message)).collect()
    }

    fn check_answered(&self, data: &[u8]) -> Vec<u8> {
        let mut request = Stun::new();
        request.unmarshal_binary(data).unwrap();
        let provider = crypto::default_provider().unwrap();
        let mapped = XorMappedAddress { ip: self.victim.ip(), port: self.victim.port() };
        let integrity =
            MessageIntegrity::new_short_term_integrity_with_provider(PASSWORD.to_owned(), provider.crypto());
        let mut answer = Stun::new();
        let parts: [Box<dyn rtc::stun::message::Setter>; 5] = [
            Box::new(request),
            Box::new(BINDING_SUCCESS),
            Box::new(mapped),
            Box::new(integrity),
            Box::new(FINGERPRINT),
        ];
        answer.build(&parts).unwrap();
        answer.raw
    }

    /// The server's side of the association's four messages (RFC 9260 section 5.1).
    fn sctp(&mut self, packet_: &[u8]) -> Option<Vec<u8>> {
        const INIT: u8 = 1;
        const COOKIE_ECHO: u8 = 10;
        match packet_[12] {
            INIT => {
                self.tag = u32::from_be_bytes(packet_[16..20].try_into().unwrap());
                if let Attack::AtOnce(chunks) = &self.attack {
                    self.done = true;
                    return Some(packet(self.tag, chunks));
                }
                let streams = 1000_u16.to_be_bytes();
                let numbers =
                    [&TAG.to_be_bytes()[..], &100_000_u32.to_be_bytes(), &streams, &streams, &1_u32.to_be_bytes()];
                let cookie = [0, 7, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8];
                Some(packet(self.tag, &chunk(2, 0, &[&numbers.concat()[..], &cookie].concat())))
            }
            COOKIE_ECHO => {
                let Attack::Later(chunks) = &self.attack else { return None };
                self.done = true;
                Some(packet(self.tag, &[&chunk(11, 0, &[])[..], chunks].concat()))
            }
            _ => None,
        }
    }
}

/// Connects host 0 with an honest host and with the rogue; tells how it stands with the rogue.
fn meet(attack: &Attack) -> (Stage, SessionId) {
    let mut stage = Stage::pair();
    let honest = stage.connected();
    stage.log = Some(Vec::new());
    let mut rogue = Rogue::new(attack.clone());
    let (met, _) = stage.hosts[0].endpoint.offer(stage.now, &Options::channel("rogue")).unwrap();
    stage.hosts[0].endpoint.accept_answer(stage.now, met, &rogue.answer()).unwrap();
    for _ in 0..300 {
        stage.pass(Duration::from_millis(2));
        for flying in stage.log.replace(Vec::new()).unwrap() {
            if flying.to == rogue.address {
                for reply in rogue.take(stage.now, &flying.data) {
                    stage.inject(reply);
                }
            }
        }
    }
    assert!(rogue.done, "never came to {attack:?}: {:?}", stage.seen(0, met).states);
    stage.log = None;
    stage.send(0, honest.0, binary(b"still there?")).unwrap();
    let arrived = |stage: &Stage| !stage.seen(1, honest.1.0).messages.is_empty();
    assert!(stage.run(Duration::from_secs(5), arrived), "{attack:?} broke another session");
    assert_eq!(stage.state(0, honest.0.0), Some(State::Connected));
    (stage, met)
}

/// The bare stack panics on some of these.
#[test]
fn broken_aborts_and_errors_cost_one_session() {
    const ABORT: u8 = 6;
    const ERROR: u8 = 9;
    let mut panics = 0;
    for kind in [ABORT, ERROR] {
        for cause in
            [&[0, 12, 1, 0, 1, 2, 3, 4][..], &[0, 12, 0, 4, 0, 12, 255, 255], &[0, 12, 0, 0], &[0, 12, 0, 5, 9, 9]]
        {
            let (stage, met) = meet(&Attack::AtOnce(chunk(kind, 0, cause)));
            let counters = stage.hosts[0].endpoint.counters();
            panics += counters.panics;
            if counters.panics > 0 {
                assert!(matches!(stage.state(0, met), Some(State::Closed(_))));
            }
        }
    }
    // Where this fails, the stack has been mended: the trap can be struck from the page.
    assert!(panics > 0);
}

/// The bare stack panics on some of these too.
#[test]
fn broken_channel_messages_cost_one_session() {
    let open = |length: u8| [&[3, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0][..], b"label"].concat();
    let mut attacks =
        vec![vec![], vec![0], vec![3], vec![3, 0], vec![2, 2, 2], vec![1], vec![4, 1], vec![255], vec![0, 1, 2, 3]];
    attacks.extend((1..12).map(|length| open(5)[..length].to_vec()));
    attacks.extend([open(5), open(200), open(0)]);
    let met = attacks.iter().map(|attack| meet(&Attack::Later(dcep(attack))));
    let panics: u64 = met.map(|(stage, _)| stage.hosts[0].endpoint.counters().panics).sum();
    assert!(panics > 0, "the stack has been mended");
}
