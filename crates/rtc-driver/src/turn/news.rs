//! What becomes of a relay.

use std::fmt;
use std::net::SocketAddr;

/// Why there is no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server does not answer.
    NoAnswer,
    /// It does not know our name or password.
    Credentials,
    /// It knows nothing of our relay any more, as after its restart.
    Forgotten,
    /// It refuses with this code.
    Refused(u16),
    /// What it answers makes no sense.
    Unreadable,
    /// No connection to it can be opened, or it is not to be trusted.
    Unreachable,
    /// The connection to it has ended.
    Closed,
}

impl Fault {
    /// The name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Credentials => "credentials",
            Self::Forgotten => "forgotten",
            Self::Refused(_) => "refused",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => formatter.write_str("it does not answer"),
            Self::Credentials => formatter.write_str("it does not take the name and password"),
            Self::Forgotten => formatter.write_str("it has forgotten the relay"),
            Self::Refused(code) => write!(formatter, "it refuses with code {code}"),
            Self::Unreadable => formatter.write_str("its answer cannot be read"),
            Self::Unreachable => formatter.write_str("there is no connection to it"),
            Self::Closed => formatter.write_str("the connection to it has ended"),
        }
    }
}

/// What became of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Peers reach us there from now on.
    Relayed(SocketAddr),
    /// There is no relay, and none until the next [`News::Relayed`].
    Failed(Fault),
}
