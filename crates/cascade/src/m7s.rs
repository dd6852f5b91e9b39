//! The register protocol of the m7s plugin `erwscascade`: HTTP requests and their bodies as JSON messages.
//!
//! A message is `{"sn": int, "type": int, "pad": "BASE64"}`. The site sends its [`Info`] first, then answers each
//! [`Request`] of the upstream with the bytes of a body: no status, no headers. [`upstream::Session`] matches answers
//! with who asked; [`downstream::Session`] makes sure that every request is answered. `docs/protocols/m7s.md` has the
//! wire and what the original does with it.

pub mod downstream;
pub mod upstream;

mod message;
mod target;

pub use message::{Content, Info, MAX_MESSAGE_BYTES, Message, Request};
pub use target::{Register, Wspush};
