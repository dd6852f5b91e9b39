//! Nodes on loopback with a scripted media engine: what pages, servers and tools see of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod ends;
mod events;
mod hooks;
mod keep;
mod node;
mod page;
mod relays;
mod republishing;
mod rest;
mod signalling;
