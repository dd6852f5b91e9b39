//! TURN's messages (RFC 8656 sections 17 and 18) and their signatures (RFC 8489 section 14.5).

use std::net::SocketAddr;

use bytes::{BufMut, BytesMut};

use super::credentials::{Key, hmac};
use crate::wire::{COOKIE, Stun, Transaction, masked};

pub(super) const ALLOCATE: u16 = 0x0003;
pub(super) const REFRESH: u16 = 0x0004;
pub(super) const SEND_INDICATION: u16 = 0x0016;
pub(super) const DATA: u16 = 0x0007;
pub(super) const CREATE_PERMISSION: u16 = 0x0008;
pub(super) const CHANNEL_BIND: u16 = 0x0009;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const CHANNEL_NUMBER: u16 = 0x000C;
const LIFETIME: u16 = 0x000D;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA_ATTRIBUTE: u16 = 0x0013;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
const REQUESTED_TRANSPORT: u16 = 0x0019;

/// Bytes of a message before its attributes.
const HEAD: usize = 20;
/// Bytes of `MESSAGE-INTEGRITY` with its type and length.
const SIGNATURE: usize = 24;
/// Bytes of a realm or a nonce (RFC 8489 sections 14.9 and 14.10).
const MAX_TEXT: usize = 763;

/// What a server wants to see in each request.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) realm: Vec<u8>,
    pub(super) nonce: Vec<u8>,
    pub(super) key: Key,
}

/// A message being written.
pub(super) struct Builder {
    bytes: BytesMut,
    transaction: Transaction,
}

impl Builder {
    pub(super) fn new(kind: u16, transaction: Transaction, room: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(HEAD + room);
        bytes.put_u16(kind);
        bytes.put_u16(0);
        bytes.put_slice(&COOKIE);
        bytes.put_slice(&transaction);
        Self { bytes, transaction }
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.put_u16(kind);
        // No value of ours is near the limit: texts of servers are bounded, and a datagram is smaller than that.
        self.bytes.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        self.bytes.put_slice(value);
        self.bytes.put_bytes(0, value.len().next_multiple_of(4) - value.len());
        self
    }

    /// Asks for a relay of UDP. One of IPv4 is what is given without a word of the family, and what old servers know.
    pub(super) fn relay(self, ipv6: bool) -> Self {
        let relay = self.attribute(REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        if ipv6 { relay.attribute(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]) } else { relay }
    }

    pub(super) fn lifetime(self, seconds: u32) -> Self {
        self.attribute(LIFETIME, &seconds.to_be_bytes())
    }

    pub(super) fn peer(self, peer: SocketAddr) -> Self {
        let value = masked(&self.transaction, peer);
        self.attribute(XOR_PEER_ADDRESS, &value)
    }

    pub(super) fn channel(self, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        self.attribute(CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    pub(super) fn data(self, data: &[u8]) -> Self {
        self.attribute(DATA_ATTRIBUTE, data)
    }

    fn counted(mut self, more: usize) -> BytesMut {
        let length = u16::try_from(self.bytes.len() - HEAD + more).unwrap_or(u16::MAX).to_be_bytes();
        if let Some(field) = self.bytes.get_mut(2..4) {
            field.copy_from_slice(&length);
        }
        self.bytes
    }

    pub(super) fn unsigned(self) -> BytesMut {
        self.counted(0)
    }

    pub(super) fn signed(self, login: &Login) -> BytesMut {
        let named = self.attribute(USERNAME, login.username.as_bytes());
        let mut bytes = named.attribute(REALM, &login.realm).attribute(NONCE, &login.nonce).counted(SIGNATURE);
        let signature = hmac(&login.key, &[&bytes]);
        bytes.put_u16(MESSAGE_INTEGRITY);
        bytes.put_u16(20);
        bytes.put_slice(&signature);
        bytes
    }
}

/// Whether a message is signed with this key. What stands behind the signature does not count.
pub(super) fn is_signed(message: &[u8], stun: &Stun<'_>, key: &Key) -> bool {
    let Some((begin, signature)) = stun.find(MESSAGE_INTEGRITY) else { return false };
    let Some(covered) = message.get(..HEAD + begin) else { return false };
    let (Some(kind), Some(rest)) = (covered.get(..2), covered.get(4..)) else { return false };
    let length = u16::try_from(covered.len() - HEAD + SIGNATURE).unwrap_or(u16::MAX).to_be_bytes();
    hmac(key, &[kind, &length, rest]) == signature
}

/// The code of a refusal, 300 to 699.
pub(super) fn code(stun: &Stun<'_>) -> Option<u16> {
    let &[_, _, class, number] = stun.attribute(ERROR_CODE)?.first_chunk::<4>()?;
    Some(u16::from(class & 7) * 100 + u16::from(number))
}

fn text<'a>(stun: &Stun<'a>, kind: u16) -> Option<&'a [u8]> {
    stun.attribute(kind).filter(|text| text.len() <= MAX_TEXT)
}

pub(super) fn realm<'a>(stun: &Stun<'a>) -> Option<&'a [u8]> {
    text(stun, REALM)
}

pub(super) fn nonce<'a>(stun: &Stun<'a>) -> Option<&'a [u8]> {
    text(stun, NONCE)
}

pub(super) fn lifetime(stun: &Stun<'_>) -> Option<u32> {
    Some(u32::from_be_bytes(*stun.attribute(LIFETIME)?.first_chunk::<4>()?))
}

/// Where peers send to. coturn 4.6.1 names an unspecified address first where it had refused a relay of the other family.
pub(super) fn relayed(stun: &Stun<'_>) -> Option<SocketAddr> {
    let usable = |address: &SocketAddr| !address.ip().is_unspecified() && address.port() != 0;
    stun.addresses(XOR_RELAYED_ADDRESS).flatten().find(usable)
}

/// What a peer sent, and from where.
pub(super) fn data<'a>(stun: &Stun<'a>) -> Option<(SocketAddr, &'a [u8])> {
    Some((stun.address(XOR_PEER_ADDRESS)?, stun.attribute(DATA_ATTRIBUTE)?))
}

#[cfg(test)]
mod tests {
    use super::super::credentials::key;
    use super::*;
    use crate::wire::{Class, Kind, classify};

    /// RFC 5769 section 2.4: a request with long-term credentials. Its name is not ASCII.
    const SAMPLE: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b9\
        00000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700\
        00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

    fn sample() -> Vec<u8> {
        (0..SAMPLE.len()).step_by(2).map(|at| u8::from_str_radix(&SAMPLE[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn signatures_are_those_of_the_standard() {
        let bytes = sample();
        let Kind::Stun(stun) = classify(&bytes) else { panic!() };
        let login = key("マトリックス", b"example.org", "TheMatrIX");
        assert_eq!(
            (realm(&stun), nonce(&stun)),
            (Some(&b"example.org"[..]), Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..]))
        );
        assert!(is_signed(&bytes, &stun, &login));
        assert!(!is_signed(&bytes, &stun, &key("マトリックス", b"example.org", "TheMatrix")));
        for at in (0..4).chain(HEAD..bytes.len()) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            if let Kind::Stun(stun) = classify(&damaged) {
                assert!(!is_signed(&damaged, &stun, &login), "{at}");
            }
        }
    }

    #[test]
    fn a_request_is_laid_out_and_signed() {
        let login = Login {
            username: "me".to_owned(),
            realm: b"here".to_vec(),
            nonce: b"n".to_vec(),
            key: key("me", b"here", "pass"),
        };
        let peer = "192.0.2.1:4660".parse().unwrap();
        let bytes = Builder::new(CHANNEL_BIND, [3; 12], 0).channel(0x4001).peer(peer).signed(&login);
        let Kind::Stun(stun) = classify(&bytes) else { panic!() };
        assert_eq!((stun.class, stun.method, stun.transaction), (Class::Request, CHANNEL_BIND, [3; 12]));
        assert_eq!(stun.address(XOR_PEER_ADDRESS), Some(peer));
        assert_eq!(&bytes[20..28], [0, 0x0C, 0, 4, 0x40, 1, 0, 0]);
        assert!(is_signed(&bytes, &stun, &login.key));
        let [nowhere, relay] = ["0.0.0.0:0", "[2001:db8::1]:5"].map(|address| address.parse().unwrap());
        let twice = Builder::new(ALLOCATE, [3; 12], 0).attribute(XOR_RELAYED_ADDRESS, &masked(&[3; 12], nowhere));
        let twice = twice.attribute(XOR_RELAYED_ADDRESS, &masked(&[3; 12], relay)).unsigned();
        let Kind::Stun(stun) = classify(&twice) else { panic!() };
        assert_eq!(relayed(&stun), Some(relay));
        let indication = Builder::new(SEND_INDICATION, [4; 12], 0).peer(peer).data(b"hello").unsigned();
        let Kind::Stun(stun) = classify(&indication) else { panic!() };
        assert_eq!((stun.class, data(&stun)), (Class::Indication, Some((peer, &b"hello"[..]))));
    }
}
