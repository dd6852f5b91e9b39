//! One unit of media.

use bytes::Bytes;

use crate::{Codec, Kind, Timestamp, TrackId};

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// The decoder configuration of the track, in the form that MP4 stores for the codec:
    /// `avcC`, `hvcC`, `av1C`, `AudioSpecificConfig`, `OpusHead` (RFC 7845 §5.1).
    Configuration,
    /// One access unit of the track's codec.
    Media,
    /// The track has ended; no payload.
    End,
}

/// One unit of media: an access unit, or the decoder configuration that those after it need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The track of the stream that it belongs to.
    pub track: TrackId,
    /// The codec, which fixes the payload's form.
    pub codec: Codec,
    /// What the payload is.
    pub content: Content,
    /// Whether decoding can start here. True for every frame of a codec without prediction.
    pub key: bool,
    /// Decoding time. Within one track it never goes back.
    pub dts: Timestamp,
    /// Presentation time minus decoding time; zero for sound.
    pub composition_offset: Timestamp,
    /// Time until the next frame of the track, where it is known.
    pub duration: Option<Timestamp>,
    /// The bytes, shared with the buffer that they were read into.
    pub payload: Bytes,
}

impl Frame {
    /// An access unit that is shown when it is decoded; see [`Frame::with_key`] and
    /// [`Frame::with_composition_offset`]. Sound and data count as key frames.
    #[must_use]
    pub fn media(track: TrackId, codec: Codec, dts: Timestamp, payload: Bytes) -> Self {
        let key = codec.kind() != Kind::Video;
        Self {
            track,
            codec,
            content: Content::Media,
            key,
            dts,
            composition_offset: Timestamp::ZERO,
            duration: None,
            payload,
        }
    }

    /// A decoder configuration for the frames of `track` that follow.
    #[must_use]
    pub fn configuration(track: TrackId, codec: Codec, dts: Timestamp, payload: Bytes) -> Self {
        Self { content: Content::Configuration, key: false, ..Self::media(track, codec, dts, payload) }
    }

    /// The end of `track`.
    #[must_use]
    pub fn end(track: TrackId, codec: Codec, dts: Timestamp) -> Self {
        Self { content: Content::End, key: false, ..Self::media(track, codec, dts, Bytes::new()) }
    }

    /// The same frame, with decoding able to start here or not.
    #[must_use]
    pub fn with_key(self, key: bool) -> Self {
        Self { key, ..self }
    }

    /// The same frame, shown `offset` after it is decoded.
    #[must_use]
    pub fn with_composition_offset(self, offset: Timestamp) -> Self {
        Self { composition_offset: offset, ..self }
    }

    /// Presentation time.
    #[must_use]
    pub fn pts(&self) -> Timestamp {
        self.dts.saturating_add(self.composition_offset)
    }

    /// What kind of track it belongs to.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.codec.kind()
    }
}
