//! RTSP: streams of cameras pulled into the hub, streams of the hub served and pushed.
//!
//! [`pull`] asks a server for a stream (RFC 2326), takes its RTP and publishes what comes of it, until it ends. `retina`
//! speaks the protocol and knows the quirks of many cameras; this crate says which tracks, in which form and for how long.
//! Between the library and a server stand TLS, passwords and the mending of answers that the library refuses.
//!
//! [`Service`] serves a port: players play, publishers publish. [`push`](push()) sends a stream to a server, and [`RtspTarget`] is that as
//! a target of the hub's table of relays. Their protocol has no socket: bytes in, what is asked for and bytes out.
//!
//! What works is told in `docs/protocols/rtsp.md`.

mod address;
mod between;
mod error;
mod metrics;
mod pull;
mod push;
mod sdp;
mod serve;
mod server;
mod tracks;
mod trust;
mod wire;

pub use address::{Address, SCHEMES, Transport};
pub use error::Error;
pub use pull::{Limits, pull};
pub use push::{RtspTarget, fuzz_client, push};
pub use serve::{Ask, Config, Gate, Listener, Output, Service};
pub use server::{Credentials, fuzz_server};
pub use trust::Fingerprint;
pub use wire::{Violation, fuzz_reader};
