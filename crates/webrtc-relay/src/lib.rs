//! Streams of the hub by WebRTC: WHIP (RFC 9725) in, WHEP (draft-ietf-wish-whep) out, and sessions for relays.
//!
//! [`Engine`] turns an offer into a publisher or a viewer of a stream, and makes offers itself to push a stream to
//! another server or pull one from there. [`Engine::router`] is its face for browsers: `/whip/…` and `/whep/…`.
//! Packets are made from the hub's frames once per frame, for all viewers; a session adds what is its own, and encrypts.

mod choose;
mod client;
mod config;
mod cut;
mod engine;
mod error;
mod estimate;
mod even;
mod format;
mod fragment;
mod hold;
mod http;
mod lane;
mod metrics;
mod offer;
mod offering;
mod play;
mod publish;
mod recent;
mod session;
mod settings;
mod sound;
mod splice;
mod switch;
mod target;

pub use config::{Config, IceServer};
pub use engine::{Demand, Engine};
pub use error::Error;
pub use offer::fuzz_offer;
pub use offering::Offering;
pub use session::{Ending, Session, Stage};
pub use settings::Settings;
