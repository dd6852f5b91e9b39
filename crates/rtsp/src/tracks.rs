//! Which of a server's media become tracks, and their frames.

use bytes::Bytes;
use retina::client::Stream;
use retina::codec::{AudioFrame, ParametersRef, VideoFrame};
use sluicegate_hub::Expects;
use sluicegate_media::{ClockRate, Codec, Frame, Kind, Timestamp, TrackId};

/// One of the server's media.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// Its place in the server's description.
    pub(crate) index: usize,
    pub(crate) codec: Codec,
    /// The decoder configuration that was published last.
    configuration: Bytes,
}

/// The first pictures and the first sound that can be carried.
pub(crate) fn choose(streams: &[Stream]) -> Vec<Chosen> {
    let chosen = |kind| {
        let mut known = streams.iter().enumerate().filter_map(|(index, stream)| Some((index, codec(stream)?)));
        known.find(|(_, codec)| codec.kind() == kind)
    };
    let both = [chosen(Kind::Video), chosen(Kind::Audio)].into_iter().flatten();
    both.map(|(index, codec)| Chosen { index, codec, configuration: Bytes::new() }).collect()
}

/// The encodings of all media, for a message.
pub(crate) fn encodings(streams: &[Stream]) -> String {
    let names: Vec<_> = streams.iter().map(|stream| format!("{}/{}", stream.media(), stream.encoding_name())).collect();
    if names.is_empty() { "no media".to_owned() } else { names.join(", ") }
}

/// What the hub is told to expect.
pub(crate) fn expects(chosen: &[Chosen]) -> Expects {
    let has = |kind| chosen.iter().any(|track| track.codec.kind() == kind);
    Expects { video: has(Kind::Video), audio: has(Kind::Audio) }
}

/// What we carry of what the library takes apart. G.711 has 8 kHz and one channel there (RFC 3551 §4.5.14).
fn codec(stream: &Stream) -> Option<Codec> {
    let is_telephone = stream.clock_rate_hz() == 8_000 && stream.channels().is_none_or(|channels| channels.get() == 1);
    match (stream.media(), stream.encoding_name()) {
        ("video", "h264") => Some(Codec::H264),
        ("video", "h265") => Some(Codec::H265),
        ("audio", "mpeg4-generic") => Some(Codec::Aac),
        ("audio", "pcma") if is_telephone => Some(Codec::G711A),
        ("audio", "pcmu") if is_telephone => Some(Codec::G711U),
        _ => None,
    }
}

impl Chosen {
    fn id(&self) -> TrackId {
        if self.codec.kind() == Kind::Video { TrackId::VIDEO } else { TrackId::AUDIO }
    }

    /// A picture, behind its decoder configuration where that is new.
    pub(crate) fn picture(&mut self, stream: Option<&Stream>, frame: VideoFrame) -> Vec<Frame> {
        let at = time(frame.timestamp());
        let key = frame.is_random_access_point();
        let mut frames = self.configure(stream, at);
        frames.push(Frame::media(self.id(), self.codec, at, frame.into_data().into()).with_key(key));
        frames
    }

    /// A sound, behind its decoder configuration where that is new.
    pub(crate) fn sound(&mut self, stream: Option<&Stream>, frame: &AudioFrame) -> Vec<Frame> {
        let at = time(frame.timestamp());
        let mut frames = self.configure(stream, at);
        frames.push(Frame::media(self.id(), self.codec, at, Bytes::copy_from_slice(frame.data())));
        frames
    }

    fn configure(&mut self, stream: Option<&Stream>, at: Timestamp) -> Vec<Frame> {
        if !self.codec.needs_configuration() {
            return Vec::new();
        }
        let parameters = stream.and_then(Stream::parameters);
        let bytes = match &parameters {
            Some(ParametersRef::Video(video)) => video.extra_data(),
            Some(ParametersRef::Audio(audio)) => audio.extra_data(),
            _ => return Vec::new(),
        };
        if bytes.is_empty() || self.configuration == bytes {
            return Vec::new();
        }
        self.configuration = Bytes::copy_from_slice(bytes);
        vec![Frame::configuration(self.id(), self.codec, at, self.configuration.clone())]
    }
}

/// Time since the stream's start, which the server tells for all its media alike.
fn time(at: retina::Timestamp) -> Timestamp {
    ClockRate::new(at.clock_rate().get()).map_or(Timestamp::ZERO, |clock| Timestamp::from_ticks(at.elapsed(), clock))
}
