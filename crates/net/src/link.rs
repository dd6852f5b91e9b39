//! The link between a site and the public host: HTTP/2 in the reverse direction over a WebSocket.
//!
//! The site dials ([`Dialer`]) and is the HTTP/2 server; the public host accepts and is the client ([`Connection`]).
//! A site keeps several connections, which its [`Pool`] uses by load; the [`Directory`] finds a site's pool by its id.

use std::time::Duration;

use crate::ws::KeepAlive;

mod body;
mod connection;
mod dialer;
mod directory;
mod pool;

pub use body::Body;
pub use connection::Connection;
pub use dialer::{DialState, Dialer, Upstream};
pub use directory::{Directory, Joined, Protocol, ServiceInfo, Site, SiteInfo};
pub use pool::{Error, MAX_HEAD_BYTES, MAX_REQUESTS, Pool};

/// The subprotocol of the native link.
pub const SUBPROTOCOL: &str = "sluicegate.v1";
/// Where the native link is dialled.
pub const PATH: &str = "/cascade/v1/link";
/// The header that names the site.
pub const SITE_HEADER: &str = "sluicegate-site";
/// The header that names the running instance of the site.
pub const INSTANCE_HEADER: &str = "sluicegate-instance";

/// Limits and times of a link; both ends have the same defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of one body that may be under way unread. Default 1 MiB: 80 Mbit/s at 100 ms.
    pub stream_window: u32,
    /// Bytes of all bodies of a connection that may be under way unread. Default 64 MiB, so that dozens of readers that
    /// stand still do not stop the others.
    pub connection_window: u32,
    /// Bytes of a head, after decompression. Default 64 KiB, twice what the public listener lets in.
    pub head_bytes: u32,
    /// Requests at once on one connection. Default 4,096, the limit per site.
    pub streams: u32,
    /// Bytes that one body may wait for the socket. Default 256 KiB.
    pub send_buffer: usize,
    /// `TCP_NOTSENT_LOWAT`. Default 16 KiB: what waits in the kernel delays small requests behind bulk.
    pub notsent_lowat: u32,
    /// When the other side is asked whether it lives.
    pub keep_alive: KeepAlive,
    /// How long a dial may take, and again the answer to it. Default 5 s: over 4G a handshake
    /// that loses one packet takes more than 3 s.
    pub connect_deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stream_window: 1 << 20,
            connection_window: 64 << 20,
            head_bytes: 64 << 10,
            streams: 4_096,
            send_buffer: 256 << 10,
            notsent_lowat: 16 << 10,
            keep_alive: KeepAlive::default(),
            connect_deadline: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Checks that the times leave room to work.
    ///
    /// # Errors
    /// The fault in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        let short = Duration::from_millis(100);
        let faults = [
            ("keep_alive.interval must be at least 100 ms", self.keep_alive.interval < short),
            ("keep_alive.timeout must be at least 100 ms", self.keep_alive.timeout < short),
            ("connect_deadline must be at least 100 ms", self.connect_deadline < short),
        ];
        faults.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(fault, _)| Err(*fault))
    }
}

/// Streams that the peer may reset before we look at them. The link is authenticated and thousands of viewers may go
/// away at once; the HTTP/2 library's default of 20 would end the link for it (GOAWAY, `ENHANCE_YOUR_CALM`).
const RESET_STREAMS: usize = 16_384;
