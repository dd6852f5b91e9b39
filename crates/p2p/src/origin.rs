//! Where videos come from: other servers, or a folder of this machine.

mod access;
mod client;
mod local;
mod remote;

pub use access::Access;
pub use client::{Client, Config};
pub use local::{Local, fuzz_scan};
pub use remote::Remote;

/// An origin that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A URL has a scheme other than `http` and `https`, or no host.
    #[error("{url} is no http or https URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// The proxy's URL is none of `http`, `https`, `socks5` and `socks5h`.
    #[error("{url} is no http or socks5 URL")]
    Proxy {
        /// The URL, without its password.
        url: String,
    },
    /// A file with certificates cannot be read.
    #[error("{path}")]
    Authorities {
        /// The file.
        path: String,
        /// What the system or the TLS library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}
