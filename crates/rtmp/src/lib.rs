//! RTMP and RTMPS, server and client: publish into the hub, play from it, push and pull.
//!
//! [`protocol`] is the protocol without a socket. [`Service`] serves a port: encoders publish, players play, by the
//! name `app/stream`. [`client`] pulls a stream from a server and pushes one to it; [`RtmpTarget`] is that as a target of
//! the hub's table of relays. An RTMP message's body is that of an FLV tag, so `sluicegate_flv` reads and writes all media.
//!
//! The wire is described in `docs/protocols/rtmp.md`.

mod config;
mod connection;
mod error;
mod formats;
mod gate;
mod intake;
mod line;
mod metrics;
mod play;
mod player;
mod publish;
mod service;
mod target;

pub mod client;
pub mod protocol;

pub use config::Config;
pub use error::Error;
pub use formats::{Outputs, Rtmp};
pub use gate::{Ask, Gate, is_same};
pub use service::{Listener, Service};
pub use sluicegate_hub::Patience as Limits;
pub use target::RtmpTarget;
