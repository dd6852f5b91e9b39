//! Just enough of STUN and DTLS to tell datagrams apart and to keep the worst of them away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A STUN transaction (RFC 8489 section 5): 96 random bits.
pub(crate) type Transaction = [u8; 12];

/// The magic cookie (RFC 8489 section 5).
pub(crate) const COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const USERNAME: u16 = 0x0006;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const BINDING_REQUEST: u16 = 0x0001;
#[cfg(test)]
const BINDING_SUCCESS: u16 = 0x0101;
/// The two bits that tell requests, indications, successes and errors apart (RFC 8489 section 5).
const CLASS_BITS: u16 = 0x0110;

/// What a datagram is by its first byte (RFC 7983 section 7).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A whole STUN message.
    Stun(Stun<'a>),
    /// DTLS records.
    Dtls,
    /// RTP or RTCP, encrypted.
    Rtp,
    /// Nothing that a session could take.
    Unknown,
}

/// The class of a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Failure,
}

/// The head of a STUN message and the half of its user name that is meant for the receiver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stun<'a> {
    pub(crate) class: Class,
    /// The message type without the class, as it stands on the wire.
    pub(crate) method: u16,
    pub(crate) transaction: Transaction,
    attributes: &'a [u8],
}

impl<'a> Stun<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (cookie, rest) = rest.split_first_chunk::<4>()?;
        let (transaction, attributes) = rest.split_first_chunk::<12>()?;
        if *cookie != COOKIE || usize::from(u16::from_be_bytes(*length)) != attributes.len() {
            return None;
        }
        let kind = u16::from_be_bytes(*kind);
        let class = match kind & CLASS_BITS {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Success,
            _ => Class::Failure,
        };
        Some(Self { class, method: kind & !CLASS_BITS, transaction: *transaction, attributes })
    }

    /// The first attribute of a type.
    pub(crate) fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.find(wanted).map(|(_, value)| value)
    }

    /// The first attribute of a type, and where it begins among them all.
    pub(crate) fn find(&self, wanted: u16) -> Option<(usize, &'a [u8])> {
        self.all(wanted).next()
    }

    /// The attributes of a type, and where they begin among them all.
    fn all(&self, wanted: u16) -> impl Iterator<Item = (usize, &'a [u8])> {
        let mut rest = self.attributes;
        let all = std::iter::from_fn(move || {
            let begin = self.attributes.len() - rest.len();
            let (kind, after) = rest.split_first_chunk::<2>()?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let value = after.get(..length)?;
            rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((u16::from_be_bytes(*kind), (begin, value)))
        });
        all.filter(move |(kind, _)| *kind == wanted).map(|(_, found)| found)
    }

    /// The receiver's fragment of `USERNAME` (RFC 8445 section 7.2.2): what stands left of the colon.
    pub(crate) fn receiver(&self) -> Option<&'a str> {
        let name = std::str::from_utf8(self.attribute(USERNAME)?).ok()?;
        name.split_once(':').map(|(receiver, _)| receiver)
    }

    /// The address that a STUN server saw (RFC 8489 section 14.2).
    pub(crate) fn mapped_address(&self) -> Option<SocketAddr> {
        self.address(XOR_MAPPED_ADDRESS)
    }

    /// The address in an attribute that is written like `XOR-MAPPED-ADDRESS`.
    pub(crate) fn address(&self, wanted: u16) -> Option<SocketAddr> {
        self.addresses(wanted).next()?
    }

    /// The addresses in all attributes of a type; `None` for one that cannot be read.
    pub(crate) fn addresses(&self, wanted: u16) -> impl Iterator<Item = Option<SocketAddr>> {
        self.all(wanted).map(|(_, value)| self.unmasked(value))
    }

    fn unmasked(&self, value: &[u8]) -> Option<SocketAddr> {
        let (&[_, family, high, low], address) = value.split_first_chunk::<4>()?;
        let port = u16::from_be_bytes([high ^ COOKIE[0], low ^ COOKIE[1]]);
        let mask = COOKIE.iter().chain(&self.transaction);
        let clear: Vec<u8> = address.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        let ip = match family {
            1 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(clear).ok()?)),
            2 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(clear).ok()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

/// Tells a datagram's kind.
pub(crate) fn classify(bytes: &[u8]) -> Kind<'_> {
    match bytes.first() {
        Some(0..=3) => Stun::parse(bytes).map_or(Kind::Unknown, Kind::Stun),
        Some(20..=63) => Kind::Dtls,
        Some(128..=191) => Kind::Rtp,
        _ => Kind::Unknown,
    }
}

/// A binding request to a STUN server, without attributes (RFC 8489 section 5).
pub(crate) fn binding_request(transaction: Transaction) -> Vec<u8> {
    let mut request = Vec::with_capacity(20);
    request.extend_from_slice(&BINDING_REQUEST.to_be_bytes());
    request.extend_from_slice(&[0, 0]);
    request.extend_from_slice(&COOKIE);
    request.extend_from_slice(&transaction);
    request
}

/// An address as `XOR-MAPPED-ADDRESS` and its like have it (RFC 8489 section 14.2).
pub(crate) fn masked(transaction: &Transaction, address: SocketAddr) -> Vec<u8> {
    let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
    value.extend(address.port().to_be_bytes().iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask));
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    value.extend(ip.iter().zip(COOKIE.iter().chain(transaction)).map(|(byte, mask)| byte ^ mask));
    value
}

/// A server's answer to [`binding_request`]. Only tests need it.
#[cfg(test)]
pub(crate) fn binding_success(transaction: Transaction, address: SocketAddr) -> Vec<u8> {
    let value = masked(&transaction, address);
    let mut reply = BINDING_SUCCESS.to_be_bytes().to_vec();
    let length = u16::try_from(value.len() + 4).unwrap();
    reply.extend_from_slice(&length.to_be_bytes());
    reply.extend_from_slice(&COOKIE);
    reply.extend_from_slice(&transaction);
    reply.extend_from_slice(&XOR_MAPPED_ADDRESS.to_be_bytes());
    reply.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
    reply.extend_from_slice(&value);
    reply
}

/// The type and the epoch of each DTLS record of a datagram.
fn records(mut datagram: &[u8]) -> impl Iterator<Item = (u8, [u8; 2])> {
    std::iter::from_fn(move || {
        // RFC 6347 section 4.1: type, version (2), epoch (2), sequence number (6), length (2).
        let (&[kind, _, _, epoch_high, epoch_low, .., high, low], body) = datagram.split_first_chunk::<13>()?;
        datagram = body.get(usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
        Some((kind, [epoch_high, epoch_low]))
    })
}

/// Whether a datagram holds a `ChangeCipherSpec` record (type 20) of an epoch other than 0. No honest peer sends one, and
/// the stack takes a single forged one for the end of the peer's epoch: nothing of the session is readable afterwards.
pub(crate) fn holds_forged_cipher_change(datagram: &[u8]) -> bool {
    const CHANGE_CIPHER_SPEC: u8 = 20;
    records(datagram).any(|(kind, epoch)| kind == CHANGE_CIPHER_SPEC && epoch != [0, 0])
}

/// Whether a datagram holds a record of the handshake (type 22).
pub(crate) fn holds_handshake(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    records(datagram).any(|(kind, _)| kind == HANDSHAKE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(username: &str) -> Vec<u8> {
        let padded = username.len().next_multiple_of(4);
        let mut bytes = vec![0, 1];
        bytes.extend_from_slice(&u16::try_from(padded + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&[7; 12]);
        bytes.extend_from_slice(&USERNAME.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(username.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(username.as_bytes());
        bytes.resize(20 + 4 + padded, 0);
        bytes
    }

    #[test]
    fn a_request_names_its_receiver() {
        let bytes = request("ours:theirs");
        let Kind::Stun(stun) = classify(&bytes) else { panic!() };
        assert_eq!((stun.class, stun.transaction, stun.receiver()), (Class::Request, [7; 12], Some("ours")));
        assert_eq!(classify(&bytes[..bytes.len() - 1]), Kind::Unknown);
    }

    #[test]
    fn a_server_s_answer_tells_the_address() {
        for address in ["192.0.2.7:3478", "[2001:db8::7]:65000"] {
            let address: SocketAddr = address.parse().unwrap();
            let reply = binding_success([9; 12], address);
            let Kind::Stun(stun) = classify(&reply) else { panic!() };
            assert_eq!((stun.class, stun.mapped_address()), (Class::Success, Some(address)));
        }
        let bytes = binding_request([1; 12]);
        assert!(matches!(classify(&bytes), Kind::Stun(Stun { class: Class::Request, .. })));
    }

    #[test]
    fn kinds_follow_the_first_byte() {
        for (first, kind) in [(22, Kind::Dtls), (63, Kind::Dtls), (128, Kind::Rtp), (191, Kind::Rtp)] {
            assert_eq!(classify(&[first; 30]), kind);
        }
        for first in [0, 4, 19, 64, 127, 192, 255] {
            assert_eq!(classify(&[first; 30]), Kind::Unknown);
        }
        assert_eq!(classify(&[]), Kind::Unknown);
    }

    #[test]
    fn a_forged_cipher_change_is_found_behind_other_records() {
        let record = |kind: u8, epoch: u8, body: &[u8]| {
            let mut bytes = vec![kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 1, 0, u8::try_from(body.len()).unwrap()];
            bytes.extend_from_slice(body);
            bytes
        };
        assert!(holds_forged_cipher_change(&record(20, 1, &[1])));
        assert!(!holds_forged_cipher_change(&record(20, 0, &[1])));
        assert!(!holds_forged_cipher_change(&record(23, 1, &[20, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])));
        let both = [record(22, 0, &[0; 40]), record(20, 1, &[1])].concat();
        assert!(holds_forged_cipher_change(&both));
        assert!(holds_handshake(&both) && !holds_handshake(&record(23, 1, &record(22, 0, &[]))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, honest in "[a-z]{1,20}:[a-z]{0,20}", at: usize, with: u8) {
            let mut damaged = request(&honest);
            let at = at % damaged.len();
            damaged[at] = with;
            for bytes in [&bytes, &damaged] {
                let _ = (holds_forged_cipher_change(bytes), holds_handshake(bytes));
                if let Kind::Stun(stun) = classify(bytes) {
                    let _ = (stun.receiver(), stun.mapped_address());
                }
            }
        }
    }
}
