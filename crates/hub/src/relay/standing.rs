//! How a relay stands.

use std::time::SystemTime;

use super::Spec;

/// How a relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not tried yet.
    New,
    /// The target is being reached.
    Connecting,
    /// The target takes the stream.
    Publishing,
    /// The stream comes from the target.
    Playing,
    /// It failed and will be tried again.
    Retrying,
    /// Somebody stopped it, or it ended in order and is not tried again.
    Stopped,
    /// It failed and will not be tried again.
    Failed,
}

impl State {
    /// Its name in APIs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Connecting => "CONNECTING",
            Self::Publishing => "PUBLISHING",
            Self::Playing => "PLAYING",
            Self::Retrying => "RETRYING",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing more happens.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// The state of a relay, with what went wrong last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Why it is retried, stopped or failed.
    pub reason: Option<String>,
    /// How often it was begun.
    pub attempts: u32,
    /// Since when it is in this state.
    pub since: SystemTime,
    /// What the other side knows the transfer by; `None` before it has been asked.
    pub remote_id: Option<String>,
}

/// A relay in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its number, unique in the process.
    pub id: u64,
    /// What was asked for.
    pub spec: Spec,
    /// How it stands.
    pub standing: Standing,
    /// When it was asked for.
    pub created: SystemTime,
}
