//! What every service needs of the network: TLS, the listener, WebSocket byte streams, the reconnecting link.
//!
//! [`port`] takes connections. [`listener`] serves one `axum` router on one port, HTTP/1.1 and HTTP/2. [`ws`] takes over upgraded sockets and dials
//! WebSockets. [`link`] runs HTTP/2 in the reverse direction over a WebSocket, so that the public side can send
//! requests to a site that nobody can dial. [`problem`] is the one form of errors (RFC 9457),
//! [`allowance`] the bound of what a peer may say.

pub mod allowance;
pub mod backoff;
pub mod handover;
pub mod link;
pub mod listener;
pub mod port;
pub mod problem;
pub mod shutdown;
pub mod tls;
pub mod ws;

mod dial;
mod error;
mod socket;

pub use dial::dial;
pub use error::{Error, causes};
