//! WebRTC sessions on one UDP port.
//!
//! [`Driver`] owns the sockets and hands out a [`Connection`] per session: an offer or an answer in, the counterpart out,
//! then data channels and RTP packets. Below it lies [`Endpoint`], which takes datagrams and an instant, and returns
//! datagrams, events and the next deadline: it knows no socket and no clock, and tests run it on virtual time.
//! [`Session`] is what the endpoint asks of a WebRTC stack; `stack` answers it with the `rtc` crate, whose types stay
//! inside. `docs/protocols/webrtc.md` lists the stack's traps and where each is closed.

pub mod endpoint;
pub mod media;
pub mod session;

mod config;
mod connection;
mod driver;
mod error;
mod event;
mod frames;
mod mapping;
mod metrics;
mod socket;
mod stack;
mod table;
mod timers;
mod turn;
mod wire;

pub use config::{Config, TurnServer, TurnTransport, with_port};
pub use connection::{Connection, Handle};
pub use driver::Driver;
pub use endpoint::Endpoint;
pub use error::Error;
pub use event::{ChannelId, ChannelOptions, CloseReason, Event, Message, Reliability, SessionId, State};
pub use media::Options;
pub use session::Session;
pub use turn::TurnCredential;
