//! What a session bears.

use std::time::Duration;

/// Limits and times of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long the client may take for its first message. Default 10 s.
    pub connection: Duration,
    /// Between two pings. Default 5 s, the original's.
    pub ping: Duration,
    /// Pings in a row without any message from the client, after which it is given up. Default 10, the original's.
    pub missed: u32,
    /// How long the media engine may take to answer an offer. Default 15 s: a stream that a site offers takes up to
    /// 10 s to come.
    pub answer: Duration,
    /// How long a connection may take after the answer. Default 25 s: the engine itself gives up sooner and knows why.
    pub connect: Duration,
    /// How long a publisher waits for the end of its media before it is told that it has ended. Default 1 s.
    pub ending: Duration,
    /// How long a publisher whose media has said goodbye may take to say why by its socket (`unPublishStream`, or its end),
    /// which its players hear. Default 500 ms: both set out at the same time, on paths of their own. A player whose media ends
    /// waits for its publisher's session twice as long, at most.
    pub parting: Duration,
    /// Streams of one session. Default 64; each is a WebRTC session.
    pub streams: usize,
    /// How long a session whose client asks for it (`keepAlive`) waits for another socket while its streams go on; zero for
    /// not at all. Default 60 s.
    pub keep: Duration,
    /// Whether an application is asked about clients, and told how their streams stand. Default: off.
    pub reports: bool,
    /// Messages that a client may send at once. Default 200.
    pub burst: u32,
    /// Messages a second that it may send for long. Default 50.
    pub rate: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection: Duration::from_secs(10),
            ping: Duration::from_secs(5),
            missed: 10,
            answer: Duration::from_secs(15),
            connect: Duration::from_secs(25),
            ending: Duration::from_secs(1),
            parting: Duration::from_millis(500),
            streams: 64,
            keep: Duration::from_secs(60),
            reports: false,
            burst: 200,
            rate: 50,
        }
    }
}
