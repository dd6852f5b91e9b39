//! The signalling server: who is online, and messages from one to another.
//!
//! [`Switchboard`] is the state machine, [`Service`] serves it at `/uid/{36}`, `/{room}/uid/{36}` and
//! `/{room}/{token}/uid/{36}`.

mod message;
mod service;
mod switchboard;
mod target;

pub use service::{Config, Service};
pub use switchboard::{Delivery, Limits, Refusal, SocketId, Switchboard};
pub use target::{Target, UID_LENGTH};
