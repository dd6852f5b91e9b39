//! Sound and pictures of a session: what is negotiated, and RTP packets without what the session itself fills in.

use bytes::Bytes;

/// Sound or pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// One codec as session descriptions name it (RFC 8866 section 6.6, RFC 4566 names).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// Sound or pictures.
    pub kind: Kind,
    /// The encoding's name: `H264`, `opus`, `PCMU`.
    pub name: String,
    /// Ticks of the RTP clock in a second.
    pub clock_rate: u32,
    /// Channels of sound; 0 for pictures.
    pub channels: u16,
    /// The format parameters (`a=fmtp`), for example `packetization-mode=1;profile-level-id=42e01f`.
    pub parameters: String,
    /// The payload type that our offers name, 96 to 127 unless the codec has a fixed one; in an answer the offer's counts.
    pub payload_type: u8,
}

impl Codec {
    /// H.264 in packetization mode 1, constrained baseline as a profile that every browser decodes.
    #[must_use]
    pub fn h264() -> Self {
        Self {
            kind: Kind::Video,
            name: "H264".to_owned(),
            clock_rate: 90_000,
            channels: 0,
            parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".to_owned(),
            payload_type: 102,
        }
    }

    /// VP8.
    #[must_use]
    pub fn vp8() -> Self {
        let (name, parameters) = ("VP8".to_owned(), String::new());
        Self { kind: Kind::Video, name, clock_rate: 90_000, channels: 0, parameters, payload_type: 96 }
    }

    /// Opus, stereo, with its own error correction.
    #[must_use]
    pub fn opus() -> Self {
        Self {
            kind: Kind::Audio,
            name: "opus".to_owned(),
            clock_rate: 48_000,
            channels: 2,
            parameters: "minptime=10;useinbandfec=1".to_owned(),
            payload_type: 111,
        }
    }
}

/// What a session is to do with one stream of sound or pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Track {
    /// We send it, in this codec.
    Send(Codec),
    /// We take it, in the first of these codecs that the peer offers.
    Receive(Vec<Codec>),
}

/// One track of a session, in the order of its media sections; never used twice within the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub(crate) usize);

/// Which way a track goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the peer.
    Send,
    /// From the peer.
    Receive,
}

/// A number for the first packet of a track, by chance and of the lower half. A receiver counts rounds of numbers from the
/// first packet that it gets (RFC 3711 section 3.3.1): where the numbers begin anew before that, it counts one less for
/// ever, and can read nothing.
#[must_use]
pub fn first_sequence() -> u16 {
    rand::random::<u16>() >> 1
}

/// One RTP packet (RFC 3550 section 5.1). Source and payload type are the session's: it fills them in on the way out,
/// so that one packet serves any number of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpPacket {
    /// Counts packets from [`first_sequence`], modulo 2^16.
    pub sequence: u16,
    /// In ticks of the codec's clock.
    pub timestamp: u32,
    /// Ends a picture.
    pub marker: bool,
    /// What the codec's RTP format says.
    pub payload: Bytes,
}

/// Parts of a session that its maker asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Data channels to open at once.
    pub channels: Vec<(String, crate::ChannelOptions)>,
    /// Sound and pictures. In an answer each one takes the first media section of its kind and direction that the offer
    /// has left; a section that none takes is refused.
    pub tracks: Vec<Track>,
    /// For offers: a port of its own, chosen by the host, as browsers have one. Needed where several sessions go to one
    /// peer that has one port for all of them, such as a server: only its port tells our sessions apart there, and here.
    pub own_port: bool,
}

impl Options {
    /// One reliable, ordered data channel.
    #[must_use]
    pub fn channel(label: impl Into<String>) -> Self {
        Self { channels: vec![(label.into(), crate::ChannelOptions::default())], ..Self::default() }
    }
}
