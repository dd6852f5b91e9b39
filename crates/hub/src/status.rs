//! What the hub tells of its streams.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use sluicegate_media::{Kind, Track};

use crate::{Owner, StreamName};

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A site offers it; nobody publishes it at the moment.
    Offered,
    /// A publisher is there.
    Live,
    /// The publisher has left and may come back; viewers are kept.
    Away,
    /// Viewers wait for a publisher.
    Waiting,
}

impl State {
    /// The name used in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Live => "live",
            Self::Away => "away",
            Self::Waiting => "waiting",
        }
    }
}

/// One stream at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// The stream.
    pub name: StreamName,
    /// The site that offers it, if one does.
    pub owner: Option<Owner>,
    /// Where it is in its life.
    pub state: State,
    /// Its tracks as far as they are known.
    pub tracks: Vec<TrackStatus>,
    /// How many watch it, by protocol.
    pub viewers: BTreeMap<&'static str, usize>,
    /// The protocol of the publisher.
    pub publisher: Option<&'static str>,
    /// Where the publisher connects from, if it does.
    pub publisher_address: Option<SocketAddr>,
    /// When the publisher began.
    pub published_since: Option<SystemTime>,
    /// Payload bytes taken in, over all publishers.
    pub bytes_in: u64,
    /// Bits per second of payload over the last 10 s of it; of a stream that is not live what was last measured.
    pub bits_per_second: Option<u64>,
    /// Bytes handed to viewers' sockets.
    pub bytes_out: u64,
    /// Frames taken in, over all publishers.
    pub frames_in: u64,
    /// Frames that could not be used: without configuration, or before the first key frame.
    pub frames_dropped: u64,
    /// Batches that slow viewers skipped, summed over viewers.
    pub batches_skipped: u64,
}

/// One track of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackStatus {
    /// The number within the stream.
    pub id: u8,
    /// Pictures, sound or data.
    pub kind: Kind,
    /// The codec's name.
    pub codec: &'static str,
    /// The codec as in the MIME parameter `codecs` (RFC 6381).
    pub rfc6381: String,
    /// Width in samples; 0 when unknown or for sound.
    pub width: u32,
    /// Height in samples; 0 when unknown or for sound.
    pub height: u32,
    /// Samples per second; 0 when unknown or for pictures.
    pub sample_rate: u32,
    /// Channels; 0 when unknown or for pictures.
    pub channels: u8,
}

impl From<&Track> for TrackStatus {
    fn from(track: &Track) -> Self {
        Self {
            id: track.id.0,
            kind: track.kind(),
            codec: track.codec.name(),
            rfc6381: track.rfc6381.clone(),
            width: track.video.width,
            height: track.video.height,
            sample_rate: track.audio.sample_rate,
            channels: track.audio.channels,
        }
    }
}

/// One viewer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewerStatus {
    /// Counts the viewers of this stream.
    pub id: u64,
    /// How it watches.
    pub protocol: &'static str,
    /// Where it connects from.
    pub address: Option<SocketAddr>,
    /// When it came.
    pub since: SystemTime,
    /// Bytes handed to its socket.
    pub bytes_out: u64,
    /// Batches that it was too slow for.
    pub batches_skipped: u64,
    /// How its path was last, where its protocol tells.
    pub path: Option<ViewerPath>,
}

/// A viewer's path as its protocol measures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewerPath {
    /// Bits per second that it carries, while that is less than what the stream needs; else nothing is known.
    pub estimate: Option<u64>,
    /// There and back.
    pub round_trip: Option<Duration>,
    /// Packets that did not come in the last second or so, in 256ths.
    pub lost: u8,
}
