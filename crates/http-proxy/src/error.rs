//! What can be wrong with a configuration of the proxy.

/// The proxy cannot be set up like this; the operator mends the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A service's name breaks the rule for names.
    #[error("service name {name:?} must be 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -")]
    Name {
        /// The name as configured.
        name: String,
    },
    /// A service has the name of the link's own control channel.
    #[error("the service name {name:?} is taken by the link itself")]
    Reserved {
        /// The name as configured.
        name: &'static str,
    },
    /// A service's base URL cannot be used.
    #[error("service {name}: {fault}")]
    Url {
        /// The service.
        name: String,
        /// What is wrong with its URL.
        fault: &'static str,
    },
    /// A limit or time leaves no room to work.
    #[error("http proxy: {field} must not be zero")]
    Zero {
        /// The field of the configuration.
        field: &'static str,
    },
}
