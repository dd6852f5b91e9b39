//! What can go wrong while a link is set up.

use std::io;

/// The link cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device cannot be made or a program not started; usually root is missing.
    #[error("network namespaces cannot be made")]
    Io(#[from] io::Error),
    /// `ip` refused; it comes from Debian's package `iproute2`.
    #[error("`ip {arguments}` failed: {said}")]
    Ip {
        /// What it was asked.
        arguments: String,
        /// What it said.
        said: String,
    },
}
