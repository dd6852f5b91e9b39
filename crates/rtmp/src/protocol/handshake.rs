//! The handshake (RTMP 5.2), with digests where the peer has them.

use bytes::{BufMut, Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use super::Violation;
use super::digest::{self, Side};
use super::input::Input;

/// Bytes of C1, S1, C2 and S2.
pub(super) const PACKET_BYTES: usize = 1_536;
/// Bytes of C0 with C1, of S0 with S1.
const FIRST_BYTES: usize = 1 + PACKET_BYTES;
const VERSION: u8 = 3;
/// What we say we are, in S1: clients look at the digest from version 3 on.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
/// What we say we are, in C1: the last player before digests had keys of their own.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];
/// The gap by which our own digest as a client is found.
const CLIENT_GAP: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The other side's version and first packet come next.
    First,
    /// Its second packet, whose content nobody looks at.
    Second,
    Done,
}

/// One side of a handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    side: Side,
    step: Step,
    input: Input,
    random: SmallRng,
}

impl Handshake {
    /// A server, which waits for the client.
    pub(super) fn server(seed: u64) -> Self {
        Self::new(Side::Server, seed)
    }

    /// A client, and what it says first.
    pub(super) fn client(seed: u64) -> (Self, Bytes) {
        let mut client = Self::new(Side::Client, seed);
        let mut packet = client.packet(CLIENT_VERSION);
        digest::sign(&mut packet, CLIENT_GAP, Side::Client);
        (client, [&[VERSION][..], &packet].concat().into())
    }

    fn new(side: Side, seed: u64) -> Self {
        Self { side, step: Step::First, input: Input::default(), random: SmallRng::seed_from_u64(seed) }
    }

    pub(super) fn handle_bytes(&mut self, bytes: Bytes) {
        self.input.push(bytes);
    }

    /// Goes on as far as the bytes reach. What is to be sent is appended to `out`. Returns whether the handshake is
    /// done; [`Handshake::rest`] has what follows it then.
    pub(super) fn poll(&mut self, out: &mut BytesMut) -> Result<bool, Violation> {
        loop {
            match self.step {
                Step::First => {
                    let ([version], count) = self.input.peek::<1>();
                    if count == 1 && version != VERSION {
                        return Err(Violation::Version { got: version });
                    }
                    let Some(first) = self.input.take(FIRST_BYTES) else { return Ok(false) };
                    let Some(packet) = first.last_chunk::<PACKET_BYTES>() else { return Ok(false) };
                    self.answer(packet, out);
                    self.step = Step::Second;
                }
                Step::Second => {
                    if self.input.take(PACKET_BYTES).is_none() {
                        return Ok(false);
                    }
                    self.step = Step::Done;
                }
                Step::Done => return Ok(true),
            }
        }
    }

    /// The bytes behind the handshake.
    pub(super) fn rest(&mut self) -> Vec<Bytes> {
        std::iter::from_fn(|| Some(self.input.take_piece(usize::MAX)).filter(|piece| !piece.is_empty())).collect()
    }

    /// Bytes of the handshake and behind it.
    pub(super) fn taken(&self) -> u64 {
        self.input.taken
    }

    fn answer(&mut self, theirs: &[u8; PACKET_BYTES], out: &mut BytesMut) {
        let other = if self.side == Side::Server { Side::Client } else { Side::Server };
        let signed = digest::find(theirs, other);
        if self.side == Side::Server {
            out.put_u8(VERSION);
            let version = if signed.is_some() { SERVER_VERSION } else { [0; 4] };
            let mut packet = self.packet(version);
            if let Some((_, gap)) = signed {
                digest::sign(&mut packet, gap, Side::Server);
            }
            out.put_slice(&packet);
        }
        match signed {
            Some((found, _)) => {
                let mut packet = self.packet([0; 4]);
                digest::answer(&mut packet, &found, self.side);
                out.put_slice(&packet);
            }
            None => out.put_slice(theirs),
        }
    }

    /// Time 0, a version, and chance.
    fn packet(&mut self, version: [u8; 4]) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        self.random.fill_bytes(&mut packet);
        for (slot, byte) in packet.iter_mut().zip([0; 4].into_iter().chain(version)) {
            *slot = byte;
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(handshake: &mut Handshake, bytes: &[u8]) -> (Result<bool, Violation>, BytesMut) {
        let mut out = BytesMut::new();
        handshake.handle_bytes(Bytes::copy_from_slice(bytes));
        (handshake.poll(&mut out), out)
    }

    #[test]
    fn both_sides_agree_with_digests() {
        let (mut client, first) = Handshake::client(1);
        let mut server = Handshake::server(2);
        let (done, answer) = feed(&mut server, &first);
        assert_eq!((done, answer.len()), (Ok(false), 1 + 2 * PACKET_BYTES));
        let found = digest::find(first[1..].first_chunk().unwrap(), Side::Client).unwrap();
        assert!(digest::answers(answer[1 + PACKET_BYTES..].first_chunk().unwrap(), &found.0, Side::Server));
        let (done, second) = feed(&mut client, &[&answer, &b"more"[..]].concat());
        assert_eq!((done, client.rest().concat()), (Ok(true), b"more".to_vec()));
        let found = digest::find(answer[1..].first_chunk().unwrap(), Side::Server).unwrap();
        assert!(digest::answers(second[..].first_chunk().unwrap(), &found.0, Side::Client));
        assert_eq!(feed(&mut server, &second).0, Ok(true));
    }

    #[test]
    fn a_peer_without_digests_gets_its_packet_back_byte_by_byte() {
        let first = [&[3, 0, 0, 0, 0, 0, 0, 0, 0][..], &[7; PACKET_BYTES - 8]].concat();
        let (mut server, mut out) = (Handshake::server(1), BytesMut::new());
        for byte in &first {
            server.handle_bytes(Bytes::copy_from_slice(&[*byte]));
            assert_eq!(server.poll(&mut out), Ok(false));
        }
        assert_eq!(&out[FIRST_BYTES..], &first[1..]);
        assert_eq!((out[0], &out[5..9]), (3, &[0; 4][..]));
        let (mut client, _) = Handshake::client(1);
        let (_, second) = feed(&mut client, &first);
        assert_eq!(second, first[1..]);
    }

    #[test]
    fn other_versions_are_refused_at_the_first_byte() {
        for version in [0, 6, b'G'] {
            assert_eq!(feed(&mut Handshake::server(1), &[version]).0, Err(Violation::Version { got: version }));
        }
    }
}
