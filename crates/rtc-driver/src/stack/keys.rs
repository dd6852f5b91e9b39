//! The keys of what a session sends, taken from the stack where they are made.
//!
//! The stack asks a provider of cryptography for all that it encrypts, and each session has one of its own here. When the
//! stack makes its cipher for outgoing RTP, that cipher becomes the session's [`Sealer`], and the stack gets one that
//! refuses: no two counters can ever run under one key. RTCP and all that is received stay the stack's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SecretVec, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm, constant_time_eq,
};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::srtp::{Label, Master, SALT, Sealer};

/// What is agreed on for RTP. The stack's fourth, tags of 32 bits, cannot be told from those of 80 by its keys; all peers
/// have to know the last of these (RFC 8827 section 6.5).
pub(super) const PROFILES: [SrtpProtectionProfile; 3] = [
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
];

/// What was seen of the keys.
enum Seen {
    Nothing,
    /// The first master key that session keys were derived from, which is that of what we send.
    Master(Master),
    /// The key of outgoing RTP, and what encrypts by it until it is taken.
    Session(SecretVec, Option<Sealer>),
}

/// The cryptography of one session.
pub(super) struct Keys {
    inner: Arc<dyn RTCCryptoProvider>,
    seen: Mutex<Seen>,
}

/// The stack's cipher for outgoing RTP, which it has no use for.
struct Refusing;

const REFUSED: CryptoError = CryptoError::AuthenticationFailed;

impl Keys {
    pub(super) fn new(inner: Arc<dyn RTCCryptoProvider>) -> Self {
        Self { inner, seen: Mutex::new(Seen::Nothing) }
    }

    /// What encrypts outgoing RTP, once, after the handshake.
    pub(super) fn take(&self) -> Option<Sealer> {
        match &mut *self.seen() {
            Seen::Session(_, sealer) => sealer.take(),
            Seen::Nothing | Seen::Master(_) => None,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Each change is one assignment.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a cipher is the one for outgoing RTP. The first time it is made with `make`, and kept.
    fn is_ours(
        &self,
        key: &[u8],
        make: impl FnOnce(&dyn RTCCrypto, &Master) -> Result<Sealer, CryptoError>,
    ) -> Result<bool, CryptoError> {
        let mut seen = self.seen();
        let session = match &*seen {
            Seen::Nothing => return Ok(false),
            Seen::Session(known, _) => return Ok(constant_time_eq(known.as_ref(), key)),
            Seen::Master(master) => {
                let crypto = self.inner.crypto();
                let session = master.derive(crypto, Label::Key, key.len())?;
                if !constant_time_eq(session.as_ref(), key) {
                    return Ok(false);
                }
                Seen::Session(session, Some(make(crypto, master)?))
            }
        };
        *seen = session;
        Ok(true)
    }
}

impl RTCCryptoProvider for Keys {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }

    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

impl RTCCrypto for Keys {
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.inner.crypto().supports(algorithm)
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }

    /// Only session keys are derived by this. The first block is the salt, for the label of the key for RTP is 0.
    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        let mut seen = self.seen();
        if let (Seen::Nothing, Some(salt)) = (&*seen, block.first_chunk::<SALT>()) {
            *seen = Seen::Master(Master { algorithm, key: SecretVec::new(key.to_vec()), salt: *salt });
        }
        drop(seen);
        self.inner.crypto().block_encrypt(algorithm, key, block)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        if self.is_ours(key, |crypto, master| Sealer::counter(crypto, master, algorithm, key))? {
            return Ok(Box::new(Refusing));
        }
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        if self.is_ours(key, |crypto, master| Sealer::gcm(crypto, master, algorithm, key))? {
            return Ok(Box::new(Refusing));
        }
        self.inner.crypto().new_aead(algorithm, key)
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.inner.crypto().new_cbc(algorithm, key)
    }

    fn start_key_exchange(&self, algorithm: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(&self, scheme: SignatureScheme, der: &[u8]) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, der)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, key, message, signature)
    }
}

impl StreamCipher for Refusing {
    fn apply_keystream(&mut self, _: &[u8], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(REFUSED)
    }
}

impl AeadCipher for Refusing {
    fn tag_len(&self) -> usize {
        16
    }

    fn seal_in_place(&mut self, _: &[u8], _: &[u8], _: &mut [u8], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(REFUSED)
    }

    fn open_in_place(&mut self, _: &[u8], _: &[u8], _: &mut [u8], _: &[u8]) -> Result<(), CryptoError> {
        Err(REFUSED)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rtc::crypto::default_provider;
    use rtc::rtcp::packet::marshal;
    use rtc::rtcp::receiver_report::ReceiverReport;
    use rtc::srtp::context::Context;
    use rtc::srtp::protection_profile::ProtectionProfile;

    use super::super::srtp::Head;
    use super::*;

    #[test]
    fn the_stack_cannot_encrypt_rtp_and_we_can() {
        for (profile, length, salt) in [
            (ProtectionProfile::AeadAes128Gcm, 16, 12),
            (ProtectionProfile::AeadAes256Gcm, 32, 12),
            (ProtectionProfile::Aes128CmHmacSha1_80, 16, 14),
        ] {
            let inner = default_provider().unwrap();
            let keys = Keys::new(Arc::clone(&inner));
            assert!(keys.take().is_none());
            let context = |key: u8, crypto: &dyn RTCCrypto| {
                Context::new(&vec![key; length], &vec![3; salt], profile, None, None, crypto).unwrap()
            };
            // The stack makes its contexts in this order, and it may do so again.
            let (mut local, mut remote) = (context(1, &keys), context(2, &keys));
            let mut sealer = keys.take().unwrap();
            assert!(keys.take().is_none());
            let again = context(1, &keys);
            assert!(keys.take().is_none());
            let (mut peers_local, mut peers_remote) = (context(2, inner.crypto()), context(1, inner.crypto()));

            let index = sealer.claim(7, 8, 1).unwrap();
            let head = Head { source: 7, payload_type: 96, marker: true, timestamp: 5 };
            let mut sealed = BytesMut::new();
            sealer.seal(index, head, [b"pic", b"ture"], &mut sealed).unwrap();
            let packet = peers_remote.decrypt_rtp(&sealed).unwrap();
            for stack in [&mut local, &mut { again }] {
                assert!(stack.encrypt_rtp(&packet).is_err(), "{profile:?}");
                let reports = marshal(&[Box::new(ReceiverReport::default())]).unwrap();
                assert!(peers_remote.decrypt_rtcp(&stack.encrypt_rtcp(&reports).unwrap()).is_ok());
            }
            assert!(remote.decrypt_rtp(&peers_local.encrypt_rtp(&packet).unwrap()).is_ok());
        }
    }
}
