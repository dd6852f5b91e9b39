//! The tracks of a stream and what their configurations say.

use bytes::Bytes;

use crate::{Codec, Error, Kind, aac, av1, avc, hevc, opus};

/// The number of a track within its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u8);

impl TrackId {
    /// The track that a stream's pictures are on when there is only one.
    pub const VIDEO: Self = Self(0);
    /// The track that a stream's sound is on when there is only one.
    pub const AUDIO: Self = Self(1);
    /// The track of timed data.
    pub const DATA: Self = Self(2);
}

/// What is known of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VideoInfo {
    /// Width in luma samples after cropping; 0 when the configuration does not tell.
    pub width: u32,
    /// Height in luma samples after cropping; 0 when the configuration does not tell.
    pub height: u32,
}

/// What is known of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AudioInfo {
    /// Samples per second of the decoded sound; 0 when unknown.
    pub sample_rate: u32,
    /// Channels of the decoded sound; 0 when unknown.
    pub channels: u8,
}

/// One track: its codec, its configuration and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The number within the stream.
    pub id: TrackId,
    /// The codec.
    pub codec: Codec,
    /// The decoder configuration in MP4's form; empty for codecs that have none.
    pub configuration: Bytes,
    /// The codec as in the MIME parameter `codecs` (RFC 6381), such as `avc1.64001F`.
    pub rfc6381: String,
    /// Picture size; zero for sound.
    pub video: VideoInfo,
    /// Sound format; zero for pictures.
    pub audio: AudioInfo,
}

impl Track {
    /// A track from its decoder configuration.
    ///
    /// # Errors
    /// The configuration is damaged, or the codec needs one and it is empty.
    pub fn new(id: TrackId, codec: Codec, configuration: Bytes) -> Result<Self, Error> {
        let mut track = Self {
            id,
            codec,
            configuration,
            rfc6381: String::new(),
            video: VideoInfo::default(),
            audio: AudioInfo::default(),
        };
        track.describe()?;
        Ok(track)
    }

    /// What kind of track it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.codec.kind()
    }

    fn describe(&mut self) -> Result<(), Error> {
        let bytes = &self.configuration;
        match self.codec {
            Codec::H264 => {
                let record = avc::DecoderConfigurationRecord::parse(bytes)?;
                (self.rfc6381, self.video) = (record.rfc6381(), record.video_info());
            }
            Codec::H265 => {
                let record = hevc::DecoderConfigurationRecord::parse(bytes)?;
                (self.rfc6381, self.video) = (record.rfc6381(), record.video_info());
            }
            Codec::Av1 => {
                let record = av1::CodecConfigurationRecord::parse(bytes)?;
                (self.rfc6381, self.video) = (record.rfc6381(), record.video_info());
            }
            Codec::Aac => {
                let config = aac::AudioSpecificConfig::parse(bytes)?;
                (self.rfc6381, self.audio) = (config.rfc6381(), config.audio_info());
            }
            Codec::Opus => {
                self.audio = opus::audio_info(bytes)?;
                "opus".clone_into(&mut self.rfc6381);
            }
            Codec::G711A | Codec::G711U => self.audio = AudioInfo { sample_rate: 8_000, channels: 1 },
            Codec::Vp8 => "vp8".clone_into(&mut self.rfc6381),
            Codec::Vp9 => "vp09.00.10.08".clone_into(&mut self.rfc6381),
            Codec::Mp3 => "mp4a.6B".clone_into(&mut self.rfc6381),
            Codec::Ac3 => "ac-3".clone_into(&mut self.rfc6381),
            Codec::Eac3 => "ec-3".clone_into(&mut self.rfc6381),
            Codec::Flac => "flac".clone_into(&mut self.rfc6381),
            Codec::Amf0 => {}
        }
        Ok(())
    }
}

/// The tracks of a stream at one moment, ordered by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracks(Vec<Track>);

impl Tracks {
    /// All tracks.
    pub fn iter(&self) -> impl Iterator<Item = &Track> {
        self.0.iter()
    }

    /// The track with this number.
    #[must_use]
    pub fn get(&self, id: TrackId) -> Option<&Track> {
        self.0.iter().find(|track| track.id == id)
    }

    /// The first track of this kind.
    #[must_use]
    pub fn first(&self, kind: Kind) -> Option<&Track> {
        self.0.iter().find(|track| track.kind() == kind)
    }

    /// Whether there is a track of this kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.first(kind).is_some()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `track`, or replaces the one with its number. Returns whether anything changed.
    pub fn set(&mut self, track: Track) -> bool {
        match self.0.binary_search_by_key(&track.id, |have| have.id) {
            Ok(at) if self.0.get(at) == Some(&track) => false,
            Ok(at) => {
                self.0.splice(at..=at, [track]);
                true
            }
            Err(at) => {
                self.0.insert(at, track);
                true
            }
        }
    }
}

impl FromIterator<Track> for Tracks {
    fn from_iter<I: IntoIterator<Item = Track>>(tracks: I) -> Self {
        let mut all = Self::default();
        for track in tracks {
            all.set(track);
        }
        all
    }
}
