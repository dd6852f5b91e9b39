//! What the hub's batches become: RTMP messages in chunks, whose bytes mean the same to every player.
//!
//! Each message begins with a whole header, on the one message stream and with the one chunk size that we give to all
//! clients. So a batch's bytes depend on no connection, and one copy serves all.

use bytes::{Bytes, BytesMut};
use sluicegate_flv::amf0::{self, Value};
use sluicegate_flv::{write_frame, write_head};
use sluicegate_hub::{Batch, Format, Hub, Output};
use sluicegate_media::{Codec, Kind, Timestamp, Track, TrackId, Tracks};

use crate::Error;
use crate::protocol::{CHUNK_BYTES, Capabilities, MEDIA_STREAM, kind, write_message};

/// Room for the headers of a batch of a picture and a few sounds, so that its buffer seldom grows.
const OVERHEAD: usize = 128;

/// RTMP messages: metadata, sequence headers, media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtmp {
    /// Whether tracks beyond the first of a kind go along; most players do not know them.
    pub multitrack: bool,
}

impl Format for Rtmp {
    fn name(&self) -> &'static str {
        if self.multitrack { "rtmp-multitrack" } else { "rtmp" }
    }

    fn head(&self, tracks: &Tracks, _first: bool, at: Timestamp) -> Bytes {
        Form { stream: MEDIA_STREAM, multitrack: self.multitrack, publishes: false, left_out: None }.head(tracks, at)
    }

    fn body(&self, batch: &Batch) -> Bytes {
        Form { stream: MEDIA_STREAM, multitrack: self.multitrack, publishes: false, left_out: None }.body(batch)
    }
}

/// The registered output formats of one hub.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// One track of each kind.
    pub plain: Output,
    /// All tracks, for those who say that they know multitrack.
    pub multitrack: Output,
}

impl Outputs {
    /// Registers the formats; make it once per hub.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        Self { plain: hub.output(Rtmp { multitrack: false }), multitrack: hub.output(Rtmp { multitrack: true }) }
    }

    pub(crate) fn for_peer(&self, capabilities: &Capabilities) -> Output {
        if capabilities.multitrack() { self.multitrack.clone() } else { self.plain.clone() }
    }
}

/// What one connection gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// The message stream.
    pub(crate) stream: u32,
    /// Whether all tracks go along.
    pub(crate) multitrack: bool,
    /// Whether the metadata is told to a server, which takes it behind `@setDataFrame`.
    pub(crate) publishes: bool,
    /// Sound that the other side does not take.
    pub(crate) left_out: Option<Codec>,
}

impl Form {
    /// What precedes frames of these tracks.
    pub(crate) fn head(&self, tracks: &Tracks, at: Timestamp) -> Bytes {
        let tracks: Tracks = tracks.iter().filter(|track| self.has(track.id, track.codec)).map(Track::clone).collect();
        let mut flv = BytesMut::new();
        write_head(&tracks, false, at, &mut flv);
        self.messages(&flv)
    }

    pub(crate) fn body(&self, batch: &Batch) -> Bytes {
        let mut flv = BytesMut::with_capacity(batch.bytes().saturating_add(OVERHEAD));
        let frames = batch.frames.iter().filter(|frame| self.has(frame.track, frame.codec));
        frames.for_each(|frame| write_frame(frame, &mut flv));
        self.messages(&flv)
    }

    /// Whether the bytes are those of the shared format.
    pub(crate) fn is_shared(&self) -> bool {
        self.stream == MEDIA_STREAM && self.left_out.is_none()
    }

    fn has(&self, track: TrackId, codec: Codec) -> bool {
        (self.multitrack || track <= TrackId::DATA) && self.left_out != Some(codec)
    }

    /// FLV tags as messages.
    fn messages(&self, mut flv: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(flv.len().saturating_add(OVERHEAD));
        while let Some(([tag, a, b, c, t1, t2, t3, t0, ..], rest)) = flv.split_first_chunk::<11>() {
            let size = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
            let Some((body, rest)) = rest.split_at_checked(size) else { break };
            let timestamp = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
            if *tag == kind::DATA && self.publishes {
                let mut data = BytesMut::new();
                amf0::encode(&Value::String("@setDataFrame".to_owned()), &mut data);
                data.extend_from_slice(body);
                write_message(*tag, timestamp, self.stream, &data, CHUNK_BYTES, &mut out);
            } else {
                write_message(*tag, timestamp, self.stream, body, CHUNK_BYTES, &mut out);
            }
            // PreviousTagSize.
            flv = rest.get(4..).unwrap_or_default();
        }
        out.freeze()
    }
}

/// Checks that the peer takes what the stream is about: the pictures where it has any, else the sound. Returns a sound
/// codec that it does not take beside pictures that it does.
///
/// # Errors
/// [`Error::Codec`] names the codec that is in the way.
pub(crate) fn taken(tracks: &Tracks, capabilities: &Capabilities) -> Result<Option<Codec>, Error> {
    let refused = |kind| tracks.first(kind).map(|track| track.codec).filter(|codec| !capabilities.takes(*codec));
    match (refused(Kind::Video), refused(Kind::Audio)) {
        (Some(codec), _) => Err(Error::Codec { codec }),
        (None, Some(codec)) if !tracks.has(Kind::Video) => Err(Error::Codec { codec }),
        (None, sound) => Ok(sound),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluicegate_hub::TrackSet;
    use sluicegate_media::Frame;

    use super::*;
    use crate::protocol::{Limits, Message, Reader};

    fn read(bytes: &Bytes) -> Vec<Message> {
        let mut reader = Reader::new(Limits::default());
        let mut size = BytesMut::new();
        write_message(kind::CHUNK_SIZE, 0, 0, &CHUNK_BYTES.to_be_bytes(), 128, &mut size);
        reader.handle_bytes(size.freeze());
        reader.handle_bytes(bytes.clone());
        std::iter::from_fn(|| reader.poll().unwrap()).collect()
    }

    fn sound(track: u8) -> Frame {
        Frame::media(TrackId(track), Codec::Opus, Timestamp::from_millis(20), Bytes::from(vec![track; 70_000]))
    }

    #[test]
    fn a_batch_is_messages_on_the_one_stream() {
        let batch = Batch::new(0, Arc::<TrackSet>::default(), [sound(1), sound(5)].into_iter().collect(), true);
        let plain = read(&Rtmp { multitrack: false }.body(&batch));
        assert_eq!(plain.len(), 1);
        assert_eq!((plain[0].kind, plain[0].timestamp, plain[0].stream), (kind::AUDIO, 20, MEDIA_STREAM));
        assert_eq!(&plain[0].payload[..5], b"\x91Opus");
        assert_eq!(plain[0].payload.len(), 70_005);
        assert_eq!(read(&Rtmp { multitrack: true }.body(&batch)).len(), 2);
    }

    #[test]
    fn a_server_gets_the_metadata_behind_its_command() {
        let track = Track::new(TrackId::AUDIO, Codec::Aac, Bytes::from_static(b"\x12\x10")).unwrap();
        let form = Form { stream: 3, multitrack: false, publishes: true, left_out: None };
        let messages = read(&form.head(&Tracks::from_iter([track.clone()]), Timestamp::ZERO));
        assert_eq!((messages.len(), messages[0].stream), (2, 3));
        let values = amf0::decode(messages[0].payload.clone()).unwrap();
        assert_eq!((values[0].as_str(), values[1].as_str()), (Some("@setDataFrame"), Some("onMetaData")));
        assert_eq!(values[2].get("audiocodecid").and_then(Value::as_number), Some(10.0));
        assert_eq!(messages[1].payload, b"\xaf\0\x12\x10"[..]);
        let without = Form { left_out: Some(Codec::Aac), ..form };
        assert_eq!(read(&without.head(&Tracks::from_iter([track]), Timestamp::ZERO)).len(), 1);
    }
}
