//! The bodies of messages by bincode 2 in its standard configuration: integers of variable length, little endian.
//! The library is used nowhere else.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

use crate::codec::MAX_BODY_BYTES;
use crate::message::{LeaseId, Message};

/// The limit also bounds what a damaged length can make us reserve.
const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>> =
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>();

/// The kind of a message and its body.
pub(crate) fn encode(message: &Message) -> (u16, Vec<u8>) {
    match message {
        Message::Hello(hello) => (1, put(hello)),
        Message::Offers(offers) => (2, put(offers)),
        Message::PushStart { lease, stream, expires_ms } => (3, put(&(lease, stream, expires_ms))),
        Message::PushRenew { lease, expires_ms } => (4, put(&(lease, expires_ms))),
        Message::PushRelease { lease } => (5, put(lease)),
        Message::PushFailed { lease, reason } => (6, put(&(lease, reason))),
    }
}

/// The message of a kind; `Ok(None)` for a kind that we do not know, `Err` for a damaged body.
pub(crate) fn decode(kind: u16, body: &[u8]) -> Result<Option<Message>, ()> {
    Ok(Some(match kind {
        1 => Message::Hello(get(body)?),
        2 => Message::Offers(get(body)?),
        3 => {
            let (lease, stream, expires_ms) = get::<(LeaseId, String, u32)>(body)?;
            Message::PushStart { lease, stream, expires_ms }
        }
        4 => {
            let (lease, expires_ms) = get(body)?;
            Message::PushRenew { lease, expires_ms }
        }
        5 => Message::PushRelease { lease: get(body)? },
        6 => {
            let (lease, reason) = get(body)?;
            Message::PushFailed { lease, reason }
        }
        _ => return Ok(None),
    }))
}

/// Encoding into memory fails only beyond the limit; such a body is empty and refused by the other end, and
/// [`crate::encode`] says so beforehand.
fn put(value: &impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, CONFIG).unwrap_or_default()
}

/// Bytes behind the value are damage too.
fn get<T: Decode<()>>(body: &[u8]) -> Result<T, ()> {
    match bincode::decode_from_slice(body, CONFIG) {
        Ok((value, read)) if read == body.len() => Ok(value),
        _ => Err(()),
    }
}
