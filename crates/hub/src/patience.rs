//! How long a publisher is waited for.

use std::time::Duration;

/// How long a publisher's service waits for what it sends, whatever the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// It is dropped when it sends nothing for this long. Default 15 s, RTCPilot's value.
    pub silence: Duration,
    /// It is dropped, too, when its bytes complete no frame for this long. Default 30 s: a byte now and then would hold
    /// the stream's name for ever.
    pub frame: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { silence: Duration::from_secs(15), frame: Duration::from_secs(30) }
    }
}
