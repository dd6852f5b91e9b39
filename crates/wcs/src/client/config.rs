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
        }
    }
}
