//! Both ends of the life between downstream and upstream: sites, offers, demand, leases, sources and pushes.
//!
//! [`upstream::Sites`] takes links and pushes in at the public host. [`downstream::run`] is the site: it dials every
//! upstream, offers its services and streams, and pushes what is leased from sources such as files, commands and URLs.
//! How FLV travels on a WebSocket is left to an [`Intake`] at the upstream and a [`FlvPort`] at the site, which the binaries
//! bring.

pub mod downstream;
pub mod relays;
pub mod tokens;
pub mod upstream;

mod control;
mod error;
mod metrics;
mod port;
mod source;

pub use error::Error;
pub use port::{FlvPort, Intake, PortError, PortFuture};
pub use source::Source;
