//! Known answers of the RFCs, and the `rtc-srtp` crate as the receiver.

use proptest::prelude::*;
use rtc::crypto::default_provider;
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn master(algorithm: BlockCipherAlgorithm, key: &[u8], salt: &[u8]) -> Master {
    let mut padded = [0; SALT];
    padded[..salt.len()].copy_from_slice(salt);
    Master { algorithm, key: SecretVec::new(key.to_vec()), salt: padded }
}

/// A sealer, and the master keys that the other end has.
fn sealer(profile: ProtectionProfile, key: &[u8], salt: &[u8]) -> Sealer {
    let provider = default_provider().unwrap();
    let crypto = provider.crypto();
    let long = key.len() == 32;
    let master = master(if long { BlockCipherAlgorithm::Aes256 } else { BlockCipherAlgorithm::Aes128 }, key, salt);
    let session = master.derive(crypto, Label::Key, key.len()).unwrap();
    let made = match profile {
        ProtectionProfile::AeadAes128Gcm => Sealer::gcm(crypto, &master, AeadAlgorithm::Aes128Gcm, session.as_ref()),
        ProtectionProfile::AeadAes256Gcm => Sealer::gcm(crypto, &master, AeadAlgorithm::Aes256Gcm, session.as_ref()),
        _ => Sealer::counter(crypto, &master, StreamCipherAlgorithm::Aes128Ctr, session.as_ref()),
    };
    made.unwrap()
}

fn receiver(profile: ProtectionProfile, key: &[u8], salt: &[u8]) -> Context {
    Context::new(key, salt, profile, None, None, default_provider().unwrap().crypto()).unwrap()
}

const ALL: [(ProtectionProfile, usize, usize); 3] = [
    (ProtectionProfile::AeadAes128Gcm, 16, 12),
    (ProtectionProfile::AeadAes256Gcm, 32, 12),
    (ProtectionProfile::Aes128CmHmacSha1_80, 16, 14),
];

fn head(source: u32) -> Head {
    Head { source, payload_type: 102, marker: false, timestamp: 9_000 }
}

/// RFC 3711 appendix B.3.
#[test]
fn session_keys_are_those_of_the_rfc() {
    let provider = default_provider().unwrap();
    let (key, salt) = (bytes("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes("0EC675AD498AFEEBB6960B3AABE6"));
    let master = master(BlockCipherAlgorithm::Aes128, &key, &salt);
    let derived = |label, length| master.derive(provider.crypto(), label, length).unwrap().into_bytes();
    assert_eq!(derived(Label::Key, 16), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(Label::Salt, 14), bytes("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(derived(Label::Authentication, 20), bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

/// RFC 7714 section 16.1.1, which has session keys.
#[test]
fn a_packet_by_gcm_is_that_of_the_rfc() {
    let provider = default_provider().unwrap();
    let key = bytes("000102030405060708090a0b0c0d0e0f");
    let mut salt = [0; SALT];
    salt[..12].copy_from_slice(&bytes("51756964 2070726f 2071756f"));
    let cipher = Cipher::Gcm(provider.crypto().new_aead(AeadAlgorithm::Aes128Gcm, &key).unwrap());
    let mut sealer = Sealer { cipher, salt, sources: Vec::new() };
    let index = sealer.claim(0x5501_a0b2, 0xf17b, 1).unwrap();
    let head = Head { source: 0x5501_a0b2, payload_type: 0x40, marker: false, timestamp: 0x8041_f8d3 };
    let mut sealed = BytesMut::new();
    sealer.seal(index, head, [b"Gallia est omnis ", b"divisa in partes tres"], &mut sealed).unwrap();
    let expected = "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
        36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce";
    assert_eq!(sealed, bytes(expected));
}

/// The packet by which `libsrtp` tests itself, with the master key of RFC 3711 appendix B.3.
#[test]
fn a_packet_in_counter_mode_is_that_of_libsrtp() {
    let (key, salt) = (bytes("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes("0EC675AD498AFEEBB6960B3AABE6"));
    let mut sealer = sealer(ProtectionProfile::Aes128CmHmacSha1_80, &key, &salt);
    let index = sealer.claim(0xcafe_babe, 0x1234, 1).unwrap();
    let head = Head { source: 0xcafe_babe, payload_type: 15, marker: false, timestamp: 0xdeca_fbad };
    let mut sealed = BytesMut::new();
    sealer.seal(index, head, [&[], &[0xab; 16]], &mut sealed).unwrap();
    let expected = "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb";
    assert_eq!(sealed, bytes(expected));
}

/// Three rounds of all sequence numbers, in runs: the receiver follows, and nothing is sealed alike.
#[test]
fn the_receiver_follows_when_numbers_begin_anew() {
    for (profile, key, salt) in ALL {
        let (key, salt) = (vec![7; key], vec![9; salt]);
        let (mut sealer, mut receiver) = (sealer(profile, &key, &salt), receiver(profile, &key, &salt));
        let (mut sequence, mut buffer) = (65_000_u16, BytesMut::new());
        for run in 0..400_u64 {
            let first = sealer.claim(1, sequence, 500).unwrap();
            assert_eq!(first, 65_000 + run * 500);
            for index in [first, first + 499] {
                sealer.seal(index, head(1), [b"a", b"bc"], &mut buffer).unwrap();
                assert_eq!(buffer.len(), sealer.overhead() + 3);
                let opened = receiver.decrypt_rtp(&buffer.split()).unwrap();
                assert_eq!(opened[..], [&head(1).bytes(low(index))[..], b"abc"].concat());
            }
            sequence = sequence.wrapping_add(500);
        }
    }
}

/// What goes out before the path carries anything is lost, and so is a track's first repeat, often.
#[test]
fn a_receiver_that_misses_the_first_packets_follows() {
    for (profile, key, salt) in ALL {
        let (key, salt) = (vec![7; key], vec![9; salt]);
        let opens = |first: u16, lost: usize| {
            let (mut sealer, mut sealed) = (sealer(profile, &key, &salt), BytesMut::new());
            let index = sealer.claim(1, first, lost + 1).unwrap() + lost as u64;
            sealer.seal(index, head(1), [b"a", b"bc"], &mut sealed).unwrap();
            receiver(profile, &key, &salt).decrypt_rtp(&sealed).is_ok()
        };
        assert!(!opens(u16::MAX, 1), "it counts one round less");
        for _ in 0..100 {
            let first = crate::media::first_sequence();
            assert!(opens(first, 1) && opens(first, 0x7FFF), "{first}");
        }
    }
}

/// Fails at what it is asked.
struct Broken;

impl AeadCipher for Broken {
    fn tag_len(&self) -> usize {
        GCM_TAG
    }

    fn seal_in_place(&mut self, _: &[u8], _: &[u8], _: &mut [u8], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError::AuthenticationFailed)
    }

    fn open_in_place(&mut self, _: &[u8], _: &[u8], _: &mut [u8], _: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError::AuthenticationFailed)
    }
}

#[test]
fn what_cannot_be_encrypted_leaves_nothing() {
    let mut sealer = Sealer { cipher: Cipher::Gcm(Box::new(Broken)), salt: [0; SALT], sources: Vec::new() };
    let mut buffer = BytesMut::from(&b"before"[..]);
    assert!(sealer.seal(1, head(1), [b"clear", b"text"], &mut buffer).is_err());
    assert_eq!(buffer, b"before"[..]);
}

#[test]
fn an_index_is_claimed_once() {
    let mut sealer = sealer(ProtectionProfile::AeadAes128Gcm, &[1; 16], &[2; 12]);
    assert_eq!(sealer.claim(1, 10, 5), Some(10));
    for (sequence, count) in [(14, 1), (10, 1), (9, 1), (15, 0), (14 + 0x8000, 1)] {
        assert_eq!(sealer.claim(1, sequence, count), None, "{sequence} {count}");
    }
    assert_eq!(sealer.claim(2, 12, 1), Some(12), "another source");
    assert_eq!(sealer.claim(1, 14 + 0x7FFF, 1), Some(14 + 0x7FFF));
    assert_eq!(sealer.claim(1, 10, 1), Some(65_546), "the next round");
    sealer.sources[0].1 = MAX_INDEX - 3;
    assert_eq!(sealer.claim(1, low(MAX_INDEX - 2), 3), None, "the key is used up");
    assert_eq!(sealer.claim(1, low(MAX_INDEX - 2), 2), Some(MAX_INDEX - 2));
    assert_eq!(sealer.claim(1, 0, 1), None);
}

proptest! {
    #[test]
    fn whatever_is_claimed_is_new(runs: Vec<(u16, u8)>) {
        let mut sealer = sealer(ProtectionProfile::AeadAes128Gcm, &[1; 16], &[2; 12]);
        let mut after = 0;
        for (sequence, count) in runs {
            if let Some(first) = sealer.claim(1, sequence, count.into()) {
                prop_assert!(first >= after && low(first) == sequence);
                after = first + u64::from(count);
            }
        }
    }

    #[test]
    fn what_is_sealed_opens(key: [u8; 32], source: u32, sequence: u16, timestamp: u32, marker: bool, a: Vec<u8>, b: Vec<u8>) {
        for (profile, length, salt) in ALL {
            let (key, salt) = (&key[..length], &key[..salt]);
            let (mut sealer, mut receiver) = (sealer(profile, key, salt), receiver(profile, key, salt));
            let index = sealer.claim(source, sequence, 1).unwrap();
            let head = Head { source, payload_type: 96, marker, timestamp };
            let mut sealed = BytesMut::from(&b"before"[..]);
            sealer.seal(index, head, [&a, &b], &mut sealed).unwrap();
            let opened = receiver.decrypt_rtp(&sealed[6..]).unwrap();
            prop_assert_eq!(&opened[..], [&head.bytes(sequence)[..], &a, &b].concat());
            sealed[10] ^= 1;
            prop_assert!(receiver.decrypt_rtp(&sealed[6..]).is_err());
        }
    }
}
