//! What the hub's batches become: FLV and fragmented MP4, bare and in WebSocket frames.
//!
//! A WebSocket frame from server to client is not masked, so one header serves all viewers: it is made with the
//! bytes, once per batch.

use bytes::{Bytes, BytesMut};
use sluicegate_hub::{Batch, Format};
use sluicegate_media::{Codec, Kind, Timestamp, Tracks};

use crate::Error;
use crate::frame::{self, Opcode};

/// Room for the tag headers of a batch of a picture and a few sounds, so that its buffer seldom grows.
const TAG_OVERHEAD: usize = 128;
/// The longest header of a server frame.
const FRAME_HEADER_BYTES: usize = 10;

/// FLV as HTTP-FLV sends it: file header, metadata, sequence headers, tags.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flv;

/// FLV in WebSocket messages: one binary message for the head, one for each batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlvWebSocket;

/// Fragmented MP4: init segment, then a fragment per batch. A new init segment follows a change of tracks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fmp4;

/// Fragmented MP4 in WebSocket messages for Media Source Extensions: the text message `{"mime": …}`, the init
/// segment, then one fragment a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fmp4WebSocket;

impl Format for Flv {
    fn name(&self) -> &'static str {
        "flv"
    }

    fn head(&self, tracks: &Tracks, first: bool, at: Timestamp) -> Bytes {
        let mut out = BytesMut::new();
        sluicegate_flv::write_head(tracks, first, at, &mut out);
        out.freeze()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        let mut out = BytesMut::with_capacity(batch.bytes().saturating_add(TAG_OVERHEAD));
        put_tags(batch, &mut out);
        out.freeze()
    }
}

impl Format for FlvWebSocket {
    fn name(&self) -> &'static str {
        "ws-flv"
    }

    fn head(&self, tracks: &Tracks, first: bool, at: Timestamp) -> Bytes {
        message(&Flv.head(tracks, first, at))
    }

    fn body(&self, batch: &Batch) -> Bytes {
        // The header's length is known only after the tags are written, so its room is left free in front.
        let mut out = BytesMut::with_capacity(batch.bytes().saturating_add(TAG_OVERHEAD));
        out.resize(FRAME_HEADER_BYTES, 0);
        put_tags(batch, &mut out);
        let payload = out.split_off(FRAME_HEADER_BYTES);
        if payload.is_empty() {
            return Bytes::new();
        }
        let mut header = BytesMut::with_capacity(FRAME_HEADER_BYTES);
        frame::put_header(Opcode::Binary, payload.len(), &mut header);
        let unused = FRAME_HEADER_BYTES.saturating_sub(header.len());
        let mut front = out.split_off(unused);
        front.copy_from_slice(&header);
        front.unsplit(payload);
        front.freeze()
    }
}

impl Format for Fmp4 {
    fn name(&self) -> &'static str {
        "mp4"
    }

    fn head(&self, tracks: &Tracks, _first: bool, _at: Timestamp) -> Bytes {
        sluicegate_fmp4::init_segment(tracks).unwrap_or_default()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        let sequence = u32::try_from(batch.seq & u64::from(u32::MAX)).unwrap_or_default().wrapping_add(1);
        sluicegate_fmp4::fragment(sequence, &batch.tracks, &batch.frames).unwrap_or_default()
    }
}

impl Format for Fmp4WebSocket {
    fn name(&self) -> &'static str {
        "ws-mp4"
    }

    fn head(&self, tracks: &Tracks, first: bool, at: Timestamp) -> Bytes {
        let Some(mime) = sluicegate_fmp4::mime(tracks) else { return Bytes::new() };
        let text = serde_json::json!({ "mime": mime }).to_string();
        let mut out = BytesMut::from(frame::encode(Opcode::Text, text.as_bytes()));
        out.extend_from_slice(&message(&Fmp4.head(tracks, first, at)));
        out.freeze()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        message(&Fmp4.body(batch))
    }
}

/// One binary message; nothing for no payload.
fn message(payload: &[u8]) -> Bytes {
    if payload.is_empty() { Bytes::new() } else { frame::encode(Opcode::Binary, payload) }
}

fn put_tags(batch: &Batch, out: &mut BytesMut) {
    for frame in &batch.frames {
        sluicegate_flv::write_frame(frame, out);
    }
}

/// The container that a viewer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// FLV, legacy and enhanced.
    Flv,
    /// Fragmented MP4.
    Mp4,
}

impl Container {
    /// The media type of the answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Mp4 => "video/mp4",
        }
    }

    /// The container's name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flv => "FLV",
            Self::Mp4 => "fragmented MP4",
        }
    }

    fn supports(self, codec: Codec) -> bool {
        match self {
            Self::Flv => sluicegate_flv::supports(codec),
            Self::Mp4 => sluicegate_fmp4::supports(codec),
        }
    }

    /// Checks that a viewer gets what the stream is about: the pictures where it has any, else the sound. Sound that
    /// the container lacks is left out beside pictures that it carries.
    ///
    /// # Errors
    /// [`Error::Codec`] names the codec that is in the way.
    pub fn carries(self, tracks: &Tracks) -> Result<(), Error> {
        let kind = if tracks.has(Kind::Video) { Kind::Video } else { Kind::Audio };
        let mut wanted = tracks.iter().filter(|track| track.kind() == kind).peekable();
        let Some(first) = wanted.peek().map(|track| track.codec) else { return Ok(()) };
        if wanted.any(|track| self.supports(track.codec)) {
            return Ok(());
        }
        Err(Error::Codec { container: self, codec: first })
    }
}
