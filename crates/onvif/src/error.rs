//! Why cameras cannot be looked for.

/// The search cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine has no such interface; whoever named it mends it.
    #[error("there is no network interface {name}; there are {present}")]
    Interface {
        /// What was named.
        name: String,
        /// What there is.
        present: String,
    },
    /// No interface is up that others can be reached by.
    #[error("no network interface is up")]
    NoInterface,
    /// The system gives no socket, or does not tell its interfaces.
    #[error("the network cannot be used")]
    Network(#[from] std::io::Error),
    /// The HTTP client cannot be set up.
    #[error("setting up HTTP")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An address that is to be asked is none, or its name is unknown.
    #[error("{address} is no address")]
    Address {
        /// What was given.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
}
