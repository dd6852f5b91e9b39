//! Compatibility with Flashphoner's Web Call Server (WCS): pages made with its Web SDK publish and play here unchanged.
//!
//! [`server::Session`] and [`client::Session`] are the two ends of the signalling without socket and clock: texts and an
//! instant in; texts, things to do and the next deadline out. [`Service`] puts them on sockets, answers the REST
//! interface, and is the protocol `wcs` in the table of relays. Media is somebody else's: offers and answers pass through
//! here as text, to and from a [`Media`]. `docs/protocols/wcs.md` has the messages, states and limits.

pub mod client;
pub mod info;
pub mod media;
pub mod message;
pub mod server;

mod address;
mod error;
mod hooks;
mod metrics;
mod muted;
#[cfg(test)]
mod recorded;
mod registry;
mod rest;
mod service;
mod socket;
mod stat;
mod target;

pub use error::Error;
pub use hooks::{Config as Hooks, METHODS};
pub use media::Media;
pub use message::Role;
pub use muted::Muted;
pub use service::{Config, Gate, Parts, Permissions, Service};

/// For fuzzing: reads any bytes as a message of either side and lets both sessions hear it. Must return.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    server::fuzz(text);
    client::fuzz(text);
}
