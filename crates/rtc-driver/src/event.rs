//! What a session tells its owner, and what goes through its channels.

use std::fmt;

use bytes::Bytes;

use crate::media::{Codec, Direction, RtpPacket, TrackId};

/// One session of an endpoint; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(crate) u64);

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One data channel of a session; never used twice within it. It is not the SCTP stream identifier, which the two ends
/// agree on only when the session is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub(crate) usize);

/// How hard a channel tries (RFC 8831 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reliability {
    /// Every message arrives.
    #[default]
    Full,
    /// A message is sent again at most so often.
    Retransmits(u16),
    /// A message is given up after so many milliseconds.
    Lifetime(u16),
}

/// How a channel is opened. A partially reliable channel that the *peer* opens is answered reliably and in order by the
/// stack: open it from this side, or agree on `negotiated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelOptions {
    /// Whether messages arrive in the order of sending. Default: yes.
    pub ordered: bool,
    /// How hard the channel tries. Default: until the message arrives.
    pub reliability: Reliability,
    /// The subprotocol, free text. Default: empty.
    pub protocol: String,
    /// The SCTP stream on which both ends open the channel without a handshake of its own. Default: none.
    pub negotiated: Option<u16>,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self { ordered: true, reliability: Reliability::Full, protocol: String::new(), negotiated: None }
    }
}

/// One message of a data channel (RFC 8831 section 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text. What arrives is valid UTF-8; other bytes arrive as [`Message::Binary`].
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Bytes of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Descriptions are exchanged, paths are tried, keys are agreed.
    Connecting,
    /// Both ends hold keys; channels open now.
    Connected,
    /// The peer has been silent for `Config::disconnected_after`; it may come back.
    Disconnected,
    /// The session has ended; nothing follows.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it, or dropped its [`Connection`](crate::Connection).
    Local,
    /// The peer said goodbye.
    Peer,
    /// The peer fell silent: killed, or its network is gone.
    Vanished,
    /// No answer to our offer came in `Config::answer_timeout`.
    NoAnswer,
    /// No path was found between the two ends in `Config::connect_timeout`.
    NoPath,
    /// A path was found but no keys were agreed in `Config::handshake_timeout`: the certificate is not the one that the
    /// description promised, or the handshake hung under loss and a new session may succeed.
    Handshake,
    /// The stack failed on what the peer sent, or reported an error of its own; counted, the others go on.
    Fault,
    /// The owner did not read, and the events that cannot wait went past the limit.
    Overrun,
    /// Another live session uses the same pair of addresses, so the two cannot be told apart.
    AddressInUse,
    /// A newer session took the address of this one, which had gone silent.
    Replaced,
}

impl CloseReason {
    /// The name under which it is counted and logged.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Vanished => "vanished",
            Self::NoAnswer => "no_answer",
            Self::NoPath => "no_path",
            Self::Handshake => "handshake",
            Self::Fault => "fault",
            Self::Overrun => "overrun",
            Self::AddressInUse => "address_in_use",
            Self::Replaced => "replaced",
        }
    }
}

/// What a session tells its owner.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The session stands elsewhere now.
    State(State),
    /// A local candidate in the form of RFC 8839 section 5.1 (`candidate:…`), for trickling. Those known at the start
    /// are in the description too.
    Candidate(String),
    /// A channel is open, whoever asked for it.
    ChannelOpen {
        /// The channel.
        channel: ChannelId,
        /// Its label.
        label: String,
        /// Its subprotocol, mostly empty.
        protocol: String,
        /// Whether messages arrive in order.
        ordered: bool,
    },
    /// A channel is closed; the session may go on.
    ChannelClosed(ChannelId),
    /// A message arrived.
    Message {
        /// The channel.
        channel: ChannelId,
        /// What was sent.
        message: Message,
    },
    /// A track is agreed: for sending when the descriptions are exchanged, for receiving when its first packet comes.
    TrackOpen {
        /// The track.
        track: TrackId,
        /// The identification of its media section (RFC 8843 section 15, `a=mid`).
        mid: String,
        /// Which way it goes.
        direction: Direction,
        /// The agreed codec; its payload type is told for sending only.
        codec: Codec,
    },
    /// A packet of a track that we receive. One who does not read loses packets instead of holding up the peer.
    Rtp {
        /// The track.
        track: TrackId,
        /// The packet.
        packet: RtpPacket,
    },
    /// The peer asks for a key frame on a track that we send (PLI or FIR, RFC 4585 section 6.3.1, RFC 5104 section
    /// 4.3.1).
    KeyFrameWanted(TrackId),
    /// How the peer receives a track that we send (RFC 3550 section 6.4.1), about once a second.
    ReceiverReport {
        /// The track.
        track: TrackId,
        /// The part of the packets since the event before that were lost, in 256ths. A packet that came when it was sent
        /// again counts as received.
        lost: u8,
        /// The round trip, if the peer has heard a sender report of ours.
        round_trip: Option<std::time::Duration>,
    },
    /// The sender's clock at an RTP timestamp (RFC 3550 section 6.4.1), which keeps the tracks of one peer in step.
    SenderReport {
        /// The track.
        track: TrackId,
        /// Seconds since 1900 in 32.32 fixed point, by the peer's clock.
        ntp: u64,
        /// The same moment in ticks of the track's clock.
        timestamp: u32,
    },
}
