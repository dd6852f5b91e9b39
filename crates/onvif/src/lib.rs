//! ONVIF: cameras found on a network, and asked for their profiles and the URLs of their streams.
//!
//! [`search`] asks by multicast who is there (WS-Discovery), or asks addresses that are known, and talks with each device
//! that answers: [`Interview`] is that conversation without a socket. The password is shown by digests only, in the
//! message (WS-Security) or by HTTP. What a device tells is bounded, and never trusted to name another host.
//!
//! What works is told in `docs/discovery.md`.

mod answers;
mod device;
mod discovery;
mod driver;
mod error;
mod interview;
mod soap;
mod xml;

pub use answers::MAX_PROFILES;
pub use device::{Channel, Device, Profile};
pub use discovery::fuzz_matches;
pub use driver::{Config, Found, Target, search};
pub use error::Error;
pub use interview::{Answer, Interview, Request, Trouble, fuzz_interview};
pub use soap::Credentials;
