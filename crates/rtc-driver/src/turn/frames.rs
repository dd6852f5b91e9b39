//! What a TURN server and its client say to each other on a byte stream (RFC 8656 section 12.5): STUN messages as they
//! are, and channel data padded to 4 bytes.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---+---------------------------+-------------------------------+
//! |0 0| type                      | length of what follows 20     |  STUN, a multiple of 4
//! +---+---------------------------+-------------------------------+
//! |      the cookie, 12 bytes of a transaction, attributes ...
//!
//! +-------------------------------+-------------------------------+
//! | channel, 0x4000 to 0x4FFF     | length of what follows 4      |  data, then up to 3 bytes of padding
//! +-------------------------------+-------------------------------+
//! |      data ...
//! ```

use bytes::{Buf, BytesMut};

use super::CHANNELS;
use crate::wire::COOKIE;

/// The stream is at no message's start: the server's fault, and the connection's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it sends what is neither STUN nor channel data, beginning with {0:02x?}")]
pub(crate) struct Unreadable([u8; 4]);

/// Takes the next message from the front of what has arrived, without its padding; `None` means that more is needed, up to
/// 64 KiB in all.
pub(crate) fn decode(arrived: &mut BytesMut) -> Result<Option<BytesMut>, Unreadable> {
    let Some(head) = arrived.first_chunk::<4>().copied() else { return Ok(None) };
    let [first, _, high, low] = head;
    let said = usize::from(u16::from_be_bytes([high, low]));
    let length = if CHANNELS.contains(&first) {
        4 + said
    } else if first < 0x40 && said.is_multiple_of(4) {
        match arrived.get(4..8) {
            Some(cookie) if cookie == COOKIE => 20 + said,
            Some(_) => return Err(Unreadable(head)),
            None => return Ok(None),
        }
    } else {
        return Err(Unreadable(head));
    };
    let padded = length.next_multiple_of(4);
    if arrived.len() < padded {
        return Ok(None);
    }
    let message = arrived.split_to(length);
    arrived.advance(padded - length);
    Ok(Some(message))
}

/// Appends a message. STUN messages need no padding, and get none.
pub(crate) fn encode(message: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(message);
    out.resize(out.len() + message.len().next_multiple_of(4) - message.len(), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel(number: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
    }

    #[test]
    fn channel_data_is_padded_and_stun_is_not() {
        let stun = crate::wire::binding_request([7; 12]);
        let mut bytes = Vec::new();
        encode(&stun, &mut bytes);
        assert_eq!(bytes, stun);
        encode(&channel(0x4001, b"hello"), &mut bytes);
        assert_eq!(bytes[20..], *b"\x40\x01\x00\x05hello\0\0\0");
        let mut arrived = BytesMut::from(&bytes[..]);
        assert_eq!(decode(&mut arrived).unwrap().unwrap(), stun);
        // The padding belongs to the message.
        let mut most = BytesMut::from(&arrived[..11]);
        assert_eq!(decode(&mut most), Ok(None));
        assert_eq!(decode(&mut arrived).unwrap().unwrap(), channel(0x4001, b"hello"));
        assert_eq!((decode(&mut arrived), arrived.len()), (Ok(None), 0));
    }

    #[test]
    fn what_cannot_be_is_refused_at_once() {
        let cookieless = *b"\0\x01\0\0abcd";
        for bytes in [&b"SSH-"[..], b"\x50\0\0\0", b"\x80\0\0\0", b"\0\x01\0\x01", b"\xff\xff\xff\xff", &cookieless] {
            let head = *bytes.first_chunk().unwrap();
            assert_eq!(decode(&mut BytesMut::from(bytes)), Err(Unreadable(head)), "{bytes:?}");
        }
        for short in [&b"\0\x01\0\0"[..], b"\0\x01\0\0\x21\x12\xA4", b"\x40\0\xff\xffabc", b"\x40\0\0"] {
            assert_eq!(decode(&mut BytesMut::from(short)), Ok(None), "{short:?}");
        }
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        let stun = (any::<[u8; 12]>(), bytes()).prop_map(|(transaction, mut attributes)| {
            attributes.truncate(attributes.len() / 4 * 4);
            let mut message = crate::wire::binding_request(transaction);
            message[2..4].copy_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
            [message, attributes].concat()
        });
        prop_oneof![stun, (0x4000_u16..0x5000, bytes()).prop_map(|(number, data)| channel(number, &data))]
    }

    proptest! {
        #[test]
        fn any_split_decodes_alike(messages in prop::collection::vec(message(), 0..8), cuts: Vec<prop::sample::Index>) {
            let mut bytes = Vec::new();
            messages.iter().for_each(|message| encode(message, &mut bytes));
            let (taken, left) = crate::frames::in_pieces(&bytes, &cuts, |arrived| decode(arrived).unwrap());
            prop_assert_eq!((taken, left), (messages, 0));
        }

        #[test]
        fn damaged_bytes_never_panic(
            messages in prop::collection::vec(message(), 0..4),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = Vec::new();
            messages.iter().for_each(|message| encode(message, &mut bytes));
            for (at, with) in damage {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = with;
                }
            }
            let (mut arrived, mut taken) = (BytesMut::from(&bytes[..]), 0);
            while let Ok(Some(message)) = decode(&mut arrived) {
                taken += message.len();
            }
            prop_assert!(taken <= bytes.len());
        }
    }
}
