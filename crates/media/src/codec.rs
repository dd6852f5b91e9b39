//! Which codecs the system carries.

use std::fmt;

/// What a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Timed data beside the media, such as FLV script data.
    Data,
}

/// A codec, and with it the form of a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Codec {
    /// H.264, NAL units with the length prefix of its `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5).
    H264,
    /// H.265, NAL units with the length prefix of its `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8).
    H265,
    /// AV1, a temporal unit in low-overhead form without temporal delimiters.
    Av1,
    /// VP8, one frame (RFC 6386).
    Vp8,
    /// VP9, one super frame.
    Vp9,
    /// AAC, one raw access unit without ADTS (ISO/IEC 14496-3).
    Aac,
    /// Opus, one packet (RFC 6716).
    Opus,
    /// MPEG-1 layer III, one frame with its header.
    Mp3,
    /// G.711 A-law, 8 kHz mono.
    G711A,
    /// G.711 µ-law, 8 kHz mono.
    G711U,
    /// AC-3, one sync frame.
    Ac3,
    /// Enhanced AC-3, one sync frame.
    Eac3,
    /// FLAC, one frame.
    Flac,
    /// AMF0 script data: a name and its values, as FLV's script tags carry them.
    Amf0,
}

impl Codec {
    /// What kind of track carries this codec.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::H264 | Self::H265 | Self::Av1 | Self::Vp8 | Self::Vp9 => Kind::Video,
            Self::Aac | Self::Opus | Self::Mp3 | Self::G711A | Self::G711U | Self::Ac3 | Self::Eac3 | Self::Flac => {
                Kind::Audio
            }
            Self::Amf0 => Kind::Data,
        }
    }

    /// Whether a decoder needs this codec's configuration before the first frame.
    #[must_use]
    pub const fn needs_configuration(self) -> bool {
        matches!(self, Self::H264 | Self::H265 | Self::Av1 | Self::Aac | Self::Flac)
    }

    /// The name used in the API, in logs and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
            Self::G711A => "g711a",
            Self::G711U => "g711u",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Flac => "flac",
            Self::Amf0 => "amf0",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
