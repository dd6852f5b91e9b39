//! The proxy from the public side to a device and back, one module per behaviour, both ends joined by a link.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod bulk;
mod cancel;
mod client;
mod counters;
mod crowd;
mod device;
mod errors;
mod framing;
mod heads;
mod limits;
mod lost;
mod references;
mod reuse;
mod secure;
mod stage;
mod stall;
mod streaming;
mod websocket;
