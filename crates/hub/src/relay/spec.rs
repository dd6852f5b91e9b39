//! What a relay is asked to do.

use crate::StreamName;

/// How often a relay is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// For ever.
    Always,
    /// This often after a failure; 0 is never.
    Times(u32),
}

/// Which way a relay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A stream from here is published there.
    Push,
    /// A stream from there is published here.
    Pull,
}

impl Direction {
    /// Its name in APIs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
        }
    }
}

/// A relay that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The stream here.
    pub stream: StreamName,
    /// The URL of the other side.
    pub target: String,
    /// Which way it goes.
    pub direction: Direction,
    /// The protocol by the name that it is registered under; without one the URL's scheme tells.
    pub protocol: Option<String>,
    /// The stream's name there, for protocols whose URLs do not have it.
    pub remote: Option<String>,
    /// How often it is tried again.
    pub retry: Retry,
    /// Whether it is kept over a restart of the program.
    pub saved: bool,
    /// Pulls while somebody watches only.
    pub on_demand: bool,
}

impl Spec {
    /// A push to a URL that says all, not kept over a restart.
    #[must_use]
    pub fn push(stream: StreamName, target: impl Into<String>, retry: Retry) -> Self {
        let (direction, target) = (Direction::Push, target.into());
        Self { stream, target, direction, protocol: None, remote: None, retry, saved: false, on_demand: false }
    }

    /// The same copy of the same stream.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.stream, &self.target, self.direction, &self.protocol, &self.remote)
            == (&other.stream, &other.target, other.direction, &other.protocol, &other.remote)
    }

    /// The other side without what may be secret: passwords, tokens and stream keys stand around the host. For logs.
    #[must_use]
    pub fn place(&self) -> &str {
        let rest = self.target.split_once("://").map_or(self.target.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    /// The name under which its protocol is registered.
    #[must_use]
    pub fn protocol(&self) -> String {
        let scheme = || self.target.split(':').next().unwrap_or_default();
        self.protocol.as_deref().unwrap_or_else(scheme).to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_show_the_host_alone() {
        let place =
            |target: &str| Spec::push(StreamName::parse("a").unwrap(), target, Retry::Always).place().to_owned();
        assert_eq!(place("rtmp://me:secret@live.example:1935/app/key?x=1"), "live.example:1935");
        assert_eq!(place("https://:a@b@host?token=t"), "host");
        assert_eq!(place("nonsense"), "nonsense");
    }
}
