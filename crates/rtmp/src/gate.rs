//! Who may publish and who may play; the binary decides.

use std::net::SocketAddr;

use sluicegate_hub::StreamName;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Whether it wants to publish; else it wants to play.
    pub publishes: bool,
    /// The stream.
    pub name: &'a StreamName,
    /// The query parameter `token`, if there is one.
    pub token: Option<&'a str>,
    /// Where it connects from.
    pub peer: SocketAddr,
}

/// Decides who may do what. It must not block.
pub trait Gate: Send + Sync + 'static {
    /// Whether the client may do what it asks for.
    fn admits(&self, ask: &Ask<'_>) -> bool;
}

/// Compares in a time that tells nothing about where the difference is.
#[must_use]
pub fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
