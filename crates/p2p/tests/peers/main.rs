//! The node with other peers: existing ones by script, and its own kind, through our signalling server.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod browser;
mod existing;
mod far;
mod flood;
mod ours;
mod stage;
mod swarm;
mod wire;
