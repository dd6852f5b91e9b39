//! The service's limits and times.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::Error;

/// Limits and times of a [`Service`](crate::Service).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long an HTTP viewer waits for a stream before 404. Default 10 s: clients give up not much later.
    pub http_wait: Duration,
    /// How long a WebSocket viewer waits for a stream before it is closed. Default 15 s, as long as viewers are kept
    /// while a publisher is away.
    pub websocket_wait: Duration,
    /// A publisher that sends nothing for this long is dropped. Default 15 s, RTCPilot's value.
    pub publisher_silence: Duration,
    /// A publisher whose bytes complete no frame for this long is dropped. Default 30 s: a byte now and then would hold
    /// the stream's name for ever.
    pub publisher_frame: Duration,
    /// A viewer to which nothing could be sent for this long is dropped, and so is one whose kernel does not answer.
    /// Default 15 s, RTCPilot's value.
    pub viewer_stall: Duration,
    /// One WebSocket message of a publisher, at most; it is held in memory as a whole. Default 16 MiB, FLV's own
    /// limit of a tag.
    pub max_message_bytes: usize,
    /// Bytes that the kernel may hold unsent for a viewer (`TCP_NOTSENT_LOWAT`). Default 128 KiB: a key frame of a
    /// 720p stream; more would hide a slow viewer from the writer, less costs wake-ups.
    pub unsent_bytes: u32,
    /// Writer tasks among which the viewers of a stream are shared. Default: one per core.
    pub writers: NonZeroUsize,
    /// Whether a new publisher takes the place of a live one instead of being refused with 409. Default no.
    pub replace_publisher: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http_wait: Duration::from_secs(10),
            websocket_wait: Duration::from_secs(15),
            publisher_silence: Duration::from_secs(15),
            publisher_frame: Duration::from_secs(30),
            viewer_stall: Duration::from_secs(15),
            max_message_bytes: 16 << 20,
            unsent_bytes: 128 << 10,
            writers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            replace_publisher: false,
        }
    }
}

impl Config {
    /// Checks that the limits leave room to work.
    ///
    /// # Errors
    /// [`Error::Config`] names the field.
    pub fn validate(&self) -> Result<(), Error> {
        let faults = [
            ("max_message_bytes must be at least 4096", self.max_message_bytes < 4_096),
            ("unsent_bytes must be at least 4096", self.unsent_bytes < 4_096),
            ("publisher_silence must not be 0", self.publisher_silence.is_zero()),
            ("viewer_stall must be at least 1 s", self.viewer_stall < Duration::from_secs(1)),
        ];
        faults.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(fault, _)| Err(Error::Config { fault }))
    }
}
