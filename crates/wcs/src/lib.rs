//! Compatibility with Flashphoner's Web Call Server (WCS): pages made with its Web SDK publish and play here unchanged.
//!
//! [`server::Session`] and [`client::Session`] are the two ends of the signalling without socket and clock: texts and an
//! instant in; texts, things to do and the next deadline out. Media is somebody else's: offers and answers pass through
//! here as text. `docs/protocols/wcs.md` has the messages, states and limits.

pub mod client;
pub mod info;
pub mod message;
pub mod server;

mod allowance;
mod error;
#[cfg(test)]
mod recorded;

pub use error::Error;
pub use message::Role;

/// For fuzzing: reads any bytes as a message of either side and lets both sessions hear it. Must return.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    server::fuzz(text);
    client::fuzz(text);
}
