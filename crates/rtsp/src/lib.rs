//! RTSP: streams of cameras pulled into the hub.
//!
//! [`pull`] asks a server for a stream (RFC 2326), takes its RTP and publishes what comes of it, until it ends. `retina`
//! speaks the protocol and knows the quirks of many cameras; this crate says which tracks, in which form and for how long.
//!
//! What works is told in `docs/protocols/rtsp.md`.

mod address;
mod error;
mod metrics;
mod pull;
mod tracks;

pub use address::{Address, SCHEMES, Transport};
pub use error::Error;
pub use pull::{Limits, pull};
