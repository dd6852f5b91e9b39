//! FLV and fragmented MP4 over WebSocket and HTTP: publish and play, as server and as client.
//!
//! [`Service`] brings the routes `/live/{name…}.flv`, `/live/{name…}.mp4`, `/publish` and `/play`. What goes in becomes
//! frames of the hub by [`ingest`]; what goes out is made once per batch and format by [`formats`] and written to all
//! viewers by sharded writers. [`client`] pushes a stream to another server and pulls one from it.
//!
//! The wire is described in `docs/protocols/ws-stream.md`.

mod answer;
mod config;
mod error;
mod feed;
mod metrics;
mod play;
mod publish;
mod service;
mod target;
mod watching;

pub mod client;
pub mod formats;
pub mod frame;
pub mod ingest;
pub mod m7s;

pub use config::Config;
pub use error::{Error, close};
pub use service::{Outputs, Service};
