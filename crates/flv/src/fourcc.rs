//! Codec names of four characters (E-RTMP, "Enhanced Video" and "Enhanced Audio").

use std::fmt;

use sluicegate_media::Codec;

/// A codec's name of four characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

const NAMES: [(&[u8; 4], Codec); 11] = [
    (b"avc1", Codec::H264),
    (b"hvc1", Codec::H265),
    (b"av01", Codec::Av1),
    (b"vp08", Codec::Vp8),
    (b"vp09", Codec::Vp9),
    (b"mp4a", Codec::Aac),
    (b"Opus", Codec::Opus),
    (b".mp3", Codec::Mp3),
    (b"ac-3", Codec::Ac3),
    (b"ec-3", Codec::Eac3),
    (b"fLaC", Codec::Flac),
];

impl FourCc {
    /// The codec, if we carry it.
    #[must_use]
    pub fn codec(self) -> Option<Codec> {
        NAMES.iter().find(|(name, _)| **name == self.0).map(|&(_, codec)| codec)
    }

    /// The name of `codec`; `None` for those that have a legacy number only.
    #[must_use]
    pub fn of(codec: Codec) -> Option<Self> {
        NAMES.iter().find(|(_, have)| *have == codec).map(|(name, _)| Self(**name))
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
