//! The driver on real sockets over loopback, against the `webrtc` crate and against itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod browser;
mod echo;
mod limits;
mod many;
mod peer;
mod stun;
mod tcp;
mod turn;
