//! Bytes to frames.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use sluicegate_media::aac::AudioSpecificConfig;
use sluicegate_media::{ClockRate, Codec, Frame, Timestamp, TrackId};

use crate::decoder::{Decoder, Event, Limits};
use crate::{Error, Fault, Tag, TagKind, amf0, audio, video};

/// How far a sound's timestamp in whole milliseconds may lie from the one that its samples give.
const ROUNDING: i64 = 1_500_000;
/// Samples of an AAC frame.
const AAC_SAMPLES: i64 = 1_024;
/// The highest track number that has a [`TrackId`] of its own.
const MAX_TRACK: u8 = 125;

/// Takes bytes and gives frames.
///
/// Timestamps are unwrapped; those of AAC, which FLV rounds to milliseconds, are made exact again. `onMetaData` is
/// not a frame: writers make their own from the tracks. Tags of codecs that we do not carry are left out and counted.
#[derive(Debug)]
pub struct Reader {
    decoder: Decoder,
    ready: VecDeque<Frame>,
    expects: Option<(bool, bool)>,
    clock: Unwrapper,
    smoothers: BTreeMap<TrackId, Smoother>,
    unsupported: Option<(u64, Fault)>,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            decoder: Decoder::new(limits),
            ready: VecDeque::new(),
            expects: None,
            clock: Unwrapper::default(),
            smoothers: BTreeMap::new(),
            unsupported: None,
        }
    }

    /// Appends bytes of the stream.
    pub fn handle_bytes(&mut self, bytes: Bytes) {
        self.decoder.handle_bytes(bytes);
    }

    /// The next frame, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no FLV, or a tag is damaged. The stream cannot be read any further then.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            match self.decoder.poll()? {
                None => return Ok(None),
                Some(Event::Header(header)) => self.expects = Some((header.audio, header.video)),
                Some(Event::Tag(tag)) => self.handle_tag(&tag)?,
            }
        }
    }

    /// What the file header announces, audio and video, once it has been read.
    #[must_use]
    pub fn expects(&self) -> Option<(bool, bool)> {
        self.expects
    }

    /// How many tags had a codec that we do not carry, and which came last.
    #[must_use]
    pub fn unsupported(&self) -> Option<(u64, &Fault)> {
        self.unsupported.as_ref().map(|(count, fault)| (*count, fault))
    }

    fn handle_tag(&mut self, tag: &Tag) -> Result<(), Error> {
        // Encoders end files and probe connections with tags that have no body.
        if tag.data.is_empty() {
            return Ok(());
        }
        let done = match tag.kind {
            TagKind::Video => self.pictures(tag),
            TagKind::Audio => self.sounds(tag),
            TagKind::Script => self.script(tag),
        };
        match done {
            Err(fault) if fault.is_unsupported() => {
                let count = self.unsupported.take().map_or(0, |(count, _)| count);
                self.unsupported = Some((count.saturating_add(1), fault));
                Ok(())
            }
            done => done.map_err(|source| Error::Tag { offset: tag.offset, source }),
        }
    }

    fn pictures(&mut self, tag: &Tag) -> Result<(), Fault> {
        let at = self.clock.unwrap(tag.timestamp);
        for packet in video::parse(tag.data.clone())? {
            let Some(track) = track_id(packet.track, TagKind::Video) else { continue };
            let dts = at.saturating_add(Timestamp::from_nanos(i64::from(packet.nanoseconds)));
            let frame = match packet.content {
                // ffmpeg's AV1 encoders begin with a configuration that is empty and send the real one with the first
                // picture.
                video::Content::SequenceStart if packet.body.is_empty() => continue,
                video::Content::SequenceStart => Frame::configuration(track, packet.codec, dts, packet.body),
                video::Content::CodedFrames if !packet.body.is_empty() => {
                    let offset = Timestamp::from_millis(i64::from(packet.composition_time));
                    let frame = Frame::media(track, packet.codec, dts, packet.body);
                    frame.with_key(packet.key).with_composition_offset(offset)
                }
                video::Content::SequenceEnd => Frame::end(track, packet.codec, dts),
                _ => continue,
            };
            self.ready.push_back(frame);
        }
        Ok(())
    }

    fn sounds(&mut self, tag: &Tag) -> Result<(), Fault> {
        let at = self.clock.unwrap(tag.timestamp);
        for packet in audio::parse(tag.data.clone())? {
            let Some(track) = track_id(packet.track, TagKind::Audio) else { continue };
            let dts = at.saturating_add(Timestamp::from_nanos(i64::from(packet.nanoseconds)));
            let frame = match packet.content {
                audio::Content::SequenceStart if packet.body.is_empty() => continue,
                audio::Content::SequenceStart => {
                    self.smoothers.insert(track, Smoother::new(packet.codec, &packet.body));
                    Frame::configuration(track, packet.codec, dts, packet.body)
                }
                audio::Content::CodedFrames if !packet.body.is_empty() => {
                    let dts = self.smoothers.get_mut(&track).map_or(dts, |smoother| smoother.smooth(dts));
                    Frame::media(track, packet.codec, dts, packet.body)
                }
                audio::Content::SequenceEnd => Frame::end(track, packet.codec, dts),
                _ => continue,
            };
            self.ready.push_back(frame);
        }
        Ok(())
    }

    /// Script data that cannot be read is left out: players show pictures without it.
    fn script(&mut self, tag: &Tag) -> Result<(), Fault> {
        let name = amf0::decode(tag.data.clone()).ok().and_then(|values| values.into_iter().next());
        let is_metadata = |name: &str| matches!(name, "onMetaData" | "@setDataFrame");
        if name.as_ref().and_then(amf0::Value::as_str).is_some_and(|name| !is_metadata(name)) {
            let at = self.clock.unwrap(tag.timestamp);
            self.ready.push_back(Frame::media(TrackId::DATA, Codec::Amf0, at, tag.data.clone()));
        }
        Ok(())
    }
}

/// Track 0 of each kind has the numbers that single-track streams use; the others follow, even for pictures.
pub(crate) fn track_id(number: u8, kind: TagKind) -> Option<TrackId> {
    let base = if kind == TagKind::Video { TrackId::VIDEO } else { TrackId::AUDIO };
    match number {
        0 => Some(base),
        1..=MAX_TRACK => Some(TrackId(number.saturating_mul(2).saturating_add(2).saturating_add(base.0))),
        _ => None,
    }
}

/// The number on the wire of a track; the inverse of [`track_id`].
pub(crate) fn track_number(track: TrackId) -> u8 {
    track.0.saturating_sub(2) / 2
}

/// Carries 32-bit milliseconds on after they wrap. Steps back of up to 24 days are steps back.
#[derive(Debug, Default)]
struct Unwrapper {
    last: Option<(u32, i64)>,
}

impl Unwrapper {
    fn unwrap(&mut self, millis: u32) -> Timestamp {
        let at = match self.last {
            None => i64::from(millis),
            Some((last, at)) => at.saturating_add(i64::from(millis.wrapping_sub(last).cast_signed())),
        };
        self.last = Some((millis, at));
        Timestamp::from_millis(at)
    }
}

/// Gives AAC frames the times that their samples have, as long as the rounded ones agree.
#[derive(Debug)]
struct Smoother {
    frame: Timestamp,
    next: Option<Timestamp>,
}

impl Smoother {
    fn new(codec: Codec, configuration: &[u8]) -> Self {
        let config = (codec == Codec::Aac).then(|| AudioSpecificConfig::parse(configuration).ok()).flatten();
        let clock = config.and_then(|config| ClockRate::new(config.sample_rate));
        let frame = clock.map_or(Timestamp::ZERO, |clock| Timestamp::from_ticks(AAC_SAMPLES, clock));
        Self { frame, next: None }
    }

    fn smooth(&mut self, dts: Timestamp) -> Timestamp {
        let near = |next: &Timestamp| dts.saturating_sub(*next).nanos().saturating_abs() <= ROUNDING;
        let at = self.next.filter(near).unwrap_or(dts);
        self.next = (self.frame > Timestamp::ZERO).then(|| at.saturating_add(self.frame));
        at
    }
}

#[cfg(test)]
mod tests;
