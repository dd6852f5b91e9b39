//! RTP of a session encrypted straight into the buffer that leaves (RFC 3711, RFC 7714). Through the stack each
//! packet would pass eight handlers with a queue each, and its bytes be copied three times.
//!
//! No index is used twice with one key: a run of packets [claims](Sealer::claim) its indices, which only grow, and what is
//! sent again is the same packet under the index that it had.

use std::fmt;

use bytes::BytesMut;
use rtc::crypto::{
    AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto, SecretVec,
    StreamCipher, StreamCipherAlgorithm,
};

/// Bytes of a master salt at most (RFC 3711 section 8.2); that of GCM has 12, and zeros after it.
pub(super) const SALT: usize = 14;
/// Bytes of a fixed RTP header (RFC 3550 section 5.1).
const HEADER: usize = 12;
/// Bytes of an AES block.
const BLOCK: usize = 16;
/// Bytes of a GCM tag (RFC 7714 section 12.1).
const GCM_TAG: usize = 16;
/// Bytes of an HMAC-SHA1 tag: those of a packet's 20 that are sent (RFC 3711 section 5.2).
const SHA1_TAG: usize = 10;
/// Bytes of the key for HMAC-SHA1, and of all that it makes.
const SHA1_KEY: usize = 20;
/// Packets that one key may encrypt (RFC 3711 section 9.2).
const MAX_INDEX: u64 = 1 << 48;

/// What a session key is for (RFC 3711 section 4.3.1).
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    /// Encryption of RTP.
    Key = 0,
    /// Authentication of RTP.
    Authentication = 1,
    /// The salt of RTP.
    Salt = 2,
}

/// What both ends agreed by DTLS, of one direction.
pub(super) struct Master {
    pub(super) algorithm: BlockCipherAlgorithm,
    pub(super) key: SecretVec,
    pub(super) salt: [u8; SALT],
}

impl Master {
    /// A session key of up to so many bytes (RFC 3711 section 4.3.3; RFC 6188 section 7 for 256 bits).
    pub(super) fn derive(&self, crypto: &dyn RTCCrypto, label: Label, length: usize) -> Result<SecretVec, CryptoError> {
        let mut derived = Vec::with_capacity(length + BLOCK);
        let mut counter = 0_u16;
        while derived.len() < length {
            let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13] = self.salt;
            let [high, low] = counter.to_be_bytes();
            let labelled = s7 ^ label as u8;
            let mut block = [s0, s1, s2, s3, s4, s5, s6, labelled, s8, s9, s10, s11, s12, s13, high, low];
            crypto.block_encrypt(self.algorithm, self.key.as_ref(), &mut block)?;
            derived.extend_from_slice(&block);
            counter += 1;
        }
        derived.truncate(length);
        Ok(SecretVec::new(derived))
    }
}

/// How packets are encrypted.
enum Cipher {
    Gcm(Box<dyn AeadCipher>),
    Counter(Box<dyn StreamCipher>, Box<dyn Mac>),
}

/// What stands in the header of a packet beside its sequence number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) source: u32,
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) timestamp: u32,
}

impl Head {
    fn bytes(self, sequence: u16) -> [u8; HEADER] {
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [s0, s1, s2, s3] = self.source.to_be_bytes();
        let [n0, n1] = sequence.to_be_bytes();
        let kind = (self.payload_type & 0x7F) | (u8::from(self.marker) << 7);
        [0x80, kind, n0, n1, t0, t1, t2, t3, s0, s1, s2, s3]
    }
}

/// Encrypts the RTP that one session sends.
pub(super) struct Sealer {
    cipher: Cipher,
    salt: [u8; SALT],
    /// The newest index of each source; a session has two a track.
    sources: Vec<(u32, u64)>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealer").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Sealer {
    /// By AES-GCM, with the session key of `master`.
    pub(super) fn gcm(
        crypto: &dyn RTCCrypto,
        master: &Master,
        algorithm: AeadAlgorithm,
        key: &[u8],
    ) -> Result<Self, CryptoError> {
        Self::new(crypto, master, Cipher::Gcm(crypto.new_aead(algorithm, key)?))
    }

    /// By AES in counter mode with tags of 80 bits, with the session key of `master`.
    pub(super) fn counter(
        crypto: &dyn RTCCrypto,
        master: &Master,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Self, CryptoError> {
        let authentication = master.derive(crypto, Label::Authentication, SHA1_KEY)?;
        let mac = crypto.new_hmac(HmacAlgorithm::Sha1, authentication.as_ref())?;
        Self::new(crypto, master, Cipher::Counter(crypto.new_stream_cipher(algorithm, key)?, mac))
    }

    fn new(crypto: &dyn RTCCrypto, master: &Master, cipher: Cipher) -> Result<Self, CryptoError> {
        let derived = master.derive(crypto, Label::Salt, SALT)?;
        let mut salt = [0; SALT];
        for (byte, derived) in salt.iter_mut().zip(derived.as_ref()) {
            *byte = *derived;
        }
        Ok(Self { cipher, salt, sources: Vec::new() })
    }

    /// Bytes of a tag that are sent.
    fn tag(&self) -> usize {
        if matches!(self.cipher, Cipher::Gcm(_)) { GCM_TAG } else { SHA1_TAG }
    }

    /// Bytes that a packet has more than its payload.
    pub(super) fn overhead(&self) -> usize {
        HEADER + self.tag()
    }

    /// The index (RFC 3711 section 3.3.1) of the first of `count` packets that follow one another. None where their
    /// numbers do not go on from those before: a receiver would guess another index, and one that was used must not be
    /// used again.
    pub(super) fn claim(&mut self, source: u32, sequence: u16, count: usize) -> Option<u64> {
        let more = u64::try_from(count).ok()?.checked_sub(1)?;
        let known = self.sources.iter_mut().find(|(known, _)| *known == source);
        let first = match &known {
            None => u64::from(sequence),
            Some((_, newest)) => {
                let ahead = sequence.wrapping_sub(low(*newest));
                (1..0x8000).contains(&ahead).then(|| *newest + u64::from(ahead))?
            }
        };
        let last = first.checked_add(more).filter(|last| *last < MAX_INDEX)?;
        match known {
            None => self.sources.push((source, last)),
            Some((_, newest)) => *newest = last,
        }
        Some(first)
    }

    /// Appends a packet to `into`, its payload in two parts, under an index that was claimed for it.
    pub(super) fn seal(
        &mut self,
        index: u64,
        head: Head,
        payload: [&[u8]; 2],
        into: &mut BytesMut,
    ) -> Result<(), CryptoError> {
        let start = into.len();
        into.extend_from_slice(&head.bytes(low(index)));
        payload.into_iter().for_each(|part| into.extend_from_slice(part));
        let (header, body) = into.get_mut(start..).unwrap_or_default().split_at_mut(HEADER);
        match self.encrypt(index, head.source, header, body) {
            Ok(tag) => into.extend_from_slice(tag.get(..self.tag()).unwrap_or_default()),
            // Nothing leaves in clear.
            Err(error) => {
                into.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Encrypts a packet's body in place; returns its tag, of which the first bytes are sent.
    fn encrypt(
        &mut self,
        index: u64,
        source: u32,
        header: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; SHA1_KEY], CryptoError> {
        let mut tag = [0; SHA1_KEY];
        match &mut self.cipher {
            Cipher::Gcm(cipher) => {
                let own = tag.first_chunk_mut::<GCM_TAG>().map(|own| &mut own[..]).unwrap_or_default();
                cipher.seal_in_place(&gcm_nonce(&self.salt, source, index), header, body, own)?;
            }
            Cipher::Counter(cipher, mac) => {
                cipher.apply_keystream(&counter_start(&self.salt, source, index), body)?;
                let [_, _, rollover @ .., _, _] = index.to_be_bytes();
                mac.sign(&[header, body, &rollover], &mut tag)?;
            }
        }
        Ok(tag)
    }
}

/// The sequence number of an index.
pub(super) fn low(index: u64) -> u16 {
    let [.., high, low] = index.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// RFC 7714 section 8.1.
fn gcm_nonce(salt: &[u8; SALT], source: u32, index: u64) -> [u8; HEADER] {
    let ([s0, s1, s2, s3], [_, _, i0, i1, i2, i3, i4, i5]) = (source.to_be_bytes(), index.to_be_bytes());
    let mut nonce = [0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5];
    nonce.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    nonce
}

/// RFC 3711 section 4.1.1.
fn counter_start(salt: &[u8; SALT], source: u32, index: u64) -> [u8; BLOCK] {
    let ([s0, s1, s2, s3], [_, _, i0, i1, i2, i3, i4, i5]) = (source.to_be_bytes(), index.to_be_bytes());
    let mut start = [0, 0, 0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, 0, 0];
    start.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    start
}

#[cfg(test)]
mod tests;
