//! Frames of a publisher to batches: settles the tracks, puts all on one timeline, lets sound ride along.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_media::{Codec, Content, Frame, Kind, Timestamp, Track, TrackId, Tracks};
use smallvec::SmallVec;

use crate::timeline::Timeline;
use crate::{Batch, Config, Error, Expects, TrackSet};

/// Sound waits for the next picture at most this long in media time; then the picture is late and sound goes alone.
const RIDE_ALONG: Duration = Duration::from_millis(60);
/// Frames held back while tracks settle. Several times what 1 s of a 60 fps stream with sound has.
const MAX_HELD: usize = 512;
/// The frame duration assumed before a track has shown its own: 25 fps.
const FIRST_DURATION: Timestamp = Timestamp::from_millis(40);
/// Estimated durations stay within this, also after a gap.
const MAX_DURATION: Timestamp = Timestamp::from_millis(1_000);
/// Tracks of one stream. E-RTMP's multitrack counts to 255; nothing that we know uses more than a few.
const MAX_TRACKS: usize = 16;

/// The batches that one frame completes: none or one as a rule, more when held frames are let go.
pub(crate) type Batches = SmallVec<[Batch; 1]>;

/// Gathers the frames of one stream. It lives as long as the stream, over all its publishers.
#[derive(Debug)]
pub(crate) struct Assembler {
    timeline: Timeline,
    settle_span: Timestamp,
    /// The publisher's own, where it has one.
    patience: Option<Timestamp>,
    expects: Expects,
    tracks: Tracks,
    set: Arc<TrackSet>,
    changed: bool,
    held: Option<Vec<Frame>>,
    riding: SmallVec<[Frame; 4]>,
    last_dts: BTreeMap<TrackId, Timestamp>,
    awaiting_key: bool,
    next_seq: u64,
    dropped: u64,
}

impl Assembler {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            timeline: Timeline::new(config.clock_jump),
            settle_span: config.settle_span.into(),
            patience: None,
            expects: Expects::default(),
            tracks: Tracks::default(),
            set: Arc::default(),
            changed: false,
            held: Some(Vec::new()),
            riding: SmallVec::new(),
            last_dts: BTreeMap::new(),
            awaiting_key: true,
            next_seq: 0,
            dropped: 0,
        }
    }

    /// A new publisher begins: its tracks settle anew, and pictures start at a key frame.
    pub(crate) fn restart(&mut self, expects: Expects, patience: Option<Duration>) {
        self.timeline.restart();
        self.patience = patience.map(Timestamp::from);
        self.expects = expects;
        self.tracks = Tracks::default();
        self.changed = true;
        self.held = Some(Vec::new());
        self.riding.clear();
        self.awaiting_key = true;
    }

    /// What the publisher announces; counts only before the tracks have settled.
    pub(crate) fn expect(&mut self, expects: Expects) {
        self.expects = expects;
    }

    /// The tracks seen so far.
    pub(crate) fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// Frames that could not be used: no configuration, no key frame yet, or more tracks than allowed.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes one frame and returns the batches that it completes.
    pub(crate) fn handle_frame(&mut self, frame: Frame) -> Result<Batches, Error> {
        let mut out = Batches::new();
        match frame.content {
            Content::Configuration => self.configure(&frame, &mut out)?,
            Content::Media => self.media(frame, &mut out),
            Content::End => self.flush(&mut out),
        }
        Ok(out)
    }

    fn configure(&mut self, frame: &Frame, out: &mut Batches) -> Result<(), Error> {
        let track = Track::new(frame.track, frame.codec, frame.payload.clone())
            .map_err(|source| Error::Configuration { track: frame.track.0, codec: frame.codec, source })?;
        if self.tracks.get(frame.track) == Some(&track) {
            return Ok(());
        }
        self.flush(out);
        self.add(track);
        self.settle(None, out);
        Ok(())
    }

    fn media(&mut self, mut frame: Frame, out: &mut Batches) {
        if !self.knows(&frame) || self.is_too_early(&frame) {
            self.dropped += 1;
            return;
        }
        frame.dts = self.timeline.map(frame.track, frame.kind(), frame.dts);
        frame.duration = Some(frame.duration.unwrap_or_else(|| self.duration(&frame)));
        self.last_dts.insert(frame.track, frame.dts);
        match &mut self.held {
            Some(held) => {
                let at = frame.dts;
                held.push(frame);
                self.settle(Some(at), out);
            }
            None => self.ride(frame, out),
        }
    }

    /// Whether the frame's track is known; codecs without a configuration make theirs with the first frame.
    fn knows(&mut self, frame: &Frame) -> bool {
        match self.tracks.get(frame.track) {
            Some(track) if track.codec == frame.codec => true,
            _ if frame.codec.needs_configuration() => false,
            _ => match Track::new(frame.track, frame.codec, bytes::Bytes::new()) {
                Ok(track) => self.add(track),
                Err(_) => false,
            },
        }
    }

    fn add(&mut self, track: Track) -> bool {
        if self.tracks.get(track.id).is_none() && self.tracks.len() >= MAX_TRACKS {
            return false;
        }
        self.changed |= self.tracks.set(track);
        true
    }

    /// Pictures before the first key frame cannot be decoded.
    fn is_too_early(&mut self, frame: &Frame) -> bool {
        if frame.kind() == Kind::Video && frame.key {
            self.awaiting_key = false;
        }
        self.awaiting_key && frame.kind() == Kind::Video
    }

    /// The codec's own frame length where it has one, else the distance to the track's last frame.
    fn duration(&self, frame: &Frame) -> Timestamp {
        let samples = i64::from(frame.codec == Codec::Aac) * 1_024;
        let rate =
            self.tracks.get(frame.track).and_then(|track| sluicegate_media::ClockRate::new(track.audio.sample_rate));
        if let (1.., Some(rate)) = (samples, rate) {
            return Timestamp::from_ticks(samples, rate);
        }
        let last = self.last_dts.get(&frame.track);
        last.map_or(FIRST_DURATION, |&last| frame.dts.saturating_sub(last).min(MAX_DURATION))
    }

    /// Lets the held frames go once all announced tracks are there, or enough has been held.
    fn settle(&mut self, at: Option<Timestamp>, out: &mut Batches) {
        let Some(held) = &self.held else { return };
        let span = self.patience.unwrap_or(self.settle_span);
        let waited = held.first().zip(at).is_some_and(|(first, at)| at.saturating_sub(first.dts) >= span);
        if !(self.expects.met_by(&self.tracks) || waited || held.len() >= MAX_HELD) {
            return;
        }
        let held = self.held.take().unwrap_or_default();
        held.into_iter().for_each(|frame| self.ride(frame, out));
    }

    /// Sound waits for a picture to ride with; a picture completes the batch.
    fn ride(&mut self, frame: Frame, out: &mut Batches) {
        let first = self.riding.first().map_or(frame.dts, |first| first.dts);
        let waited = frame.dts.saturating_sub(first).to_duration() >= RIDE_ALONG;
        let complete = frame.kind() == Kind::Video || !self.tracks.has(Kind::Video) || waited;
        self.riding.push(frame);
        if complete {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut Batches) {
        if self.riding.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.riding);
        let key_picture = frames.iter().any(|frame| frame.kind() == Kind::Video && frame.key);
        let random_access = key_picture || !self.tracks.has(Kind::Video);
        out.push(Batch::new(self.next_seq, self.current_set(), frames, random_access));
        self.next_seq += 1;
    }

    /// The set of the tracks as they are; the same object while they are equal, so that viewers see no change.
    fn current_set(&mut self) -> Arc<TrackSet> {
        if std::mem::take(&mut self.changed) && **self.set != self.tracks {
            self.set = Arc::new(TrackSet::new(self.tracks.clone()));
        }
        Arc::clone(&self.set)
    }
}

#[cfg(test)]
#[path = "assembler/tests.rs"]
mod tests;
