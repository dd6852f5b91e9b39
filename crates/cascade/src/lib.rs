//! The cascade wire protocol: control messages and the session state machines of both ends.
//!
//! On the control stream of a link both ends send [`Message`]s: the site tells who it is and what it offers, the
//! upstream leases streams while somebody watches them. [`Encoder`](encode) and [`Decoder`] turn messages into bytes and back;
//! [`upstream::Session`] and [`downstream::Session`] say what to send and do, given messages and instants.
//!
//! A session knows no socket and no clock. Feed it with `handle_*`, then empty `poll_message` and `poll_event`, and come
//! back at `poll_timeout`. The wire is described in `docs/protocols/cascade.md`.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod downstream;
pub mod m7s;
pub mod upstream;

mod body;
mod codec;
mod error;
mod message;

pub use codec::{Decoder, MAX_BODY_BYTES, encode};
pub use error::Error;
pub use message::{Hello, LeaseId, Message, Offers, StreamOffer};

/// How long a lease lives without renewal.
pub const LEASE: std::time::Duration = std::time::Duration::from_secs(10);
/// How often the upstream renews a lease; two renewals may be lost.
pub const RENEW: std::time::Duration = std::time::Duration::from_secs(3);
/// How long after the last viewer the upstream releases a lease: a page that is reloaded finds the stream running.
pub const IDLE: std::time::Duration = std::time::Duration::from_secs(5);

/// One fuzzed run over the decoder; the corpus runs through it as an ordinary test.
pub fn fuzz_decoder(data: &[u8]) {
    let mut decoder = Decoder::default();
    for chunk in data.chunks(7) {
        decoder.handle_bytes(chunk);
        while let Ok(Some(message)) = decoder.poll() {
            let _ = encode(&message);
        }
    }
}
