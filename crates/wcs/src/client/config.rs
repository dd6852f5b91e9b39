//! How long a session waits.

use std::time::Duration;

/// Times of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long the server may take for each answer. Default 15 s, of which a server of ours needs up to 10 s when a site
    /// has to send the stream first.
    pub answer: Duration,
    /// How long the server may take from its answer to the status of a stream that is up. Default 25 s.
    pub connect: Duration,
    /// How long the server may be silent. Default 50 s: ten of the original's pings.
    pub silence: Duration,
    /// How long the end of a stream waits for the server's word. Default 1 s.
    pub goodbye: Duration,
    /// Messages that the server may send at once. Default 400.
    pub burst: u32,
    /// Messages a second that it may send for long. Default 100.
    pub rate: u32,
    /// Events of a publisher that go to the server at once. Default 100, half of what our own servers take.
    pub event_burst: u32,
    /// Events a second for long; further ones stay here. Default 25.
    pub event_rate: u32,
    /// Bytes of an event that goes to the server. Default 64 KiB, half of what our own servers take.
    pub event_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(15),
            connect: Duration::from_secs(25),
            silence: Duration::from_secs(50),
            goodbye: Duration::from_secs(1),
            burst: 400,
            rate: 100,
            event_burst: 100,
            event_rate: 25,
            event_bytes: 64 << 10,
        }
    }
}
