//! Where videos come from: other servers, or a folder of this machine.

mod access;
mod client;
mod local;
mod remote;

use rand::Rng;
use url::Url;

pub use access::Access;
pub use client::{Client, Config};
pub use local::{Local, fuzz_scan};
pub use remote::Remote;

/// An origin that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// No server is named.
    #[error("no server is named")]
    None,
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

/// Other servers, of which there must be one.
pub(crate) fn servers(urls: Vec<Url>) -> Result<Vec<Url>, SetupError> {
    let is_bad = |url: &&Url| !matches!(url.scheme(), "http" | "https") || !url.has_host();
    match urls.iter().find(is_bad) {
        Some(url) => Err(SetupError::Url { url: url.to_string() }),
        None if urls.is_empty() => Err(SetupError::None),
        None => Ok(urls),
    }
}

/// The servers in the order in which one request asks them: a random one, and the next, which is the same where there
/// is one only.
pub(crate) fn turns(servers: &[Url]) -> impl Iterator<Item = &Url> {
    let first = rand::rng().random_range(0..servers.len().max(1));
    servers.iter().cycle().skip(first).take(2)
}
