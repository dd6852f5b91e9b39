//! Settings and limits.

use std::time::Duration;

use sluicegate_media::Codec;

use crate::Error;

/// Settings of an [`Engine`](crate::Engine).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is taken from publishers that offer a choice, the best first. Default: H.264, because every output carries
    /// it, then AV1, VP9, H.265, VP8.
    pub video_codecs: Vec<Codec>,
    /// Between two requests for a key frame to a publisher that sends none by itself, so that viewers can join.
    /// Default 2 s.
    pub key_frame_interval: Duration,
    /// The least time between two requests for a key frame. Default 300 ms: each costs the publisher as much as many
    /// ordinary pictures.
    pub key_frame_pause: Duration,
    /// From the answer to the first packet of a publisher. Default 20 s, which leaves the transport its own 20 s.
    pub first_packet: Duration,
    /// A publisher that is connected and sends nothing for this long has ended. Default 10 s.
    pub silence: Duration,
    /// How long a viewer's request waits for a stream that is not there yet. Default 10 s.
    pub wait: Duration,
    /// STUN and TURN servers that clients are told.
    pub ice_servers: Vec<IceServer>,
    /// Whether pages of other origins may publish. Right where publishing needs a token; otherwise any page could
    /// publish in its visitor's name. Default: no.
    pub foreign_publishers: bool,
    /// Bytes of a request's body. Default 64 KiB; offers of browsers have about 6 KB.
    pub max_body: usize,
    /// Bytes of RTP payload. Default 1,180: with all headers below the 1,280 bytes that every IPv6 path carries.
    pub payload: usize,
}

/// A STUN or TURN server (RFC 9725 section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port` or `turn:host:port?transport=udp` (RFC 7064, RFC 7065).
    pub url: String,
    /// The user's name, for TURN.
    pub username: Option<String>,
    /// The password, for TURN.
    pub credential: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            video_codecs: vec![Codec::H264, Codec::Av1, Codec::Vp9, Codec::H265, Codec::Vp8],
            key_frame_interval: Duration::from_secs(2),
            key_frame_pause: Duration::from_millis(300),
            first_packet: Duration::from_secs(20),
            silence: Duration::from_secs(10),
            wait: Duration::from_secs(10),
            ice_servers: Vec::new(),
            foreign_publishers: false,
            max_body: 64 * 1024,
            payload: 1_180,
        }
    }
}

impl Config {
    /// Checks that the settings make sense.
    ///
    /// # Errors
    /// [`Error::Config`] for the first field at fault.
    pub fn validate(&self) -> Result<(), Error> {
        let fault = |fault| Err(Error::Config { fault });
        if self.video_codecs.is_empty() || self.video_codecs.iter().any(|codec| !sluicegate_rtp::supports(*codec)) {
            return fault("video_codecs must name at least one of h264, h265, vp8, vp9, av1");
        }
        if self.key_frame_interval < self.key_frame_pause {
            return fault("key_frame_interval must be at least key_frame_pause");
        }
        if !(200..=1_400).contains(&self.payload) {
            return fault("payload must be within 200 and 1400 bytes");
        }
        if self.max_body == 0 {
            return fault("max_body must not be zero");
        }
        Ok(())
    }
}
