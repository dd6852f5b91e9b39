//! The tracks of one publisher: packets in, frames on one timeline out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sluicegate_media::{ClockRate, Codec, Frame, Kind, Timestamp, TrackId};

use crate::clock::Clock;
use crate::depacketizer::{Depacketizer, Unit};
use crate::reorder::{Reorder, Step};
use crate::{Error, Packet, clock_rate};

/// Limits of what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a missing packet is awaited. Default 400 ms: two requests to send it again over a long path.
    pub patience: Duration,
    /// Packets that wait for a missing one. Default 2,048, about 1 s of 20 Mbit/s.
    pub max_waiting: usize,
    /// Bytes of one picture. Default 8 MiB, several times a key frame of 4K.
    pub max_picture: usize,
    /// Between two requests for a key frame. Default 500 ms: the answer to the first is on its way for that long.
    pub key_frame_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(400),
            max_waiting: 2_048,
            max_picture: 8 * 1024 * 1024,
            key_frame_pause: Duration::from_millis(500),
        }
    }
}

/// What packets amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A frame, or a decoder configuration for those that follow.
    Frame(Frame),
    /// Pictures are lost: the sender is to be asked for a key frame.
    KeyFrameWanted(TrackId),
    /// A payload could not be read; what it belongs to is lost.
    Damaged(TrackId, Error),
}

#[derive(Debug)]
struct Track {
    codec: Codec,
    reorder: Reorder,
    depacketizer: Depacketizer,
    /// Pictures need a key frame before they can be shown; since when one was asked for.
    awaiting_key: bool,
    asked: Option<Instant>,
    /// The last frame's RTP timestamp and decoding time.
    last: Option<(u32, Timestamp)>,
}

/// All tracks of one publisher.
#[derive(Debug)]
pub struct Inbound {
    limits: Limits,
    clock: Clock,
    tracks: BTreeMap<TrackId, Track>,
    outputs: VecDeque<Output>,
}

impl Inbound {
    /// A publisher without tracks yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, clock: Clock::default(), tracks: BTreeMap::new(), outputs: VecDeque::new() }
    }

    /// Adds a track, or begins it anew with another codec.
    pub fn add_track(&mut self, id: TrackId, codec: Codec) {
        self.add_track_at(id, codec, clock_rate(codec));
    }

    /// The same for a codec whose clock depends on the track, such as AAC's.
    pub fn add_track_at(&mut self, id: TrackId, codec: Codec, rate: ClockRate) {
        self.clock.add(id, rate);
        let track = Track {
            codec,
            reorder: Reorder::new(self.limits.patience, self.limits.max_waiting),
            depacketizer: Depacketizer::new(codec, self.limits.max_picture),
            awaiting_key: codec.kind() == Kind::Video,
            asked: None,
            last: None,
        };
        self.tracks.insert(id, track);
    }

    /// Takes a packet of a track.
    pub fn handle_packet(&mut self, now: Instant, id: TrackId, packet: Packet) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.reorder.push(now, packet);
        }
        self.advance(now, id);
    }

    /// Takes the sender's wall clock at a timestamp (RFC 3550 section 6.4.1), in 32.32 fixed point seconds since 1900.
    pub fn handle_report(&mut self, id: TrackId, ntp: u64, timestamp: u32) {
        self.clock.report(id, ntp, timestamp);
    }

    /// Gives up on what is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        let ids: Vec<TrackId> = self.tracks.keys().copied().collect();
        ids.into_iter().for_each(|id| self.advance(now, id));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tracks.values().filter_map(|track| track.reorder.deadline()).min()
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn advance(&mut self, now: Instant, id: TrackId) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        let pause = self.limits.key_frame_pause;
        while let Some(step) = track.reorder.poll(now) {
            match step {
                Step::Gap => track.lost(now, id, pause, &mut self.outputs),
                Step::Packet(packet) => {
                    for done in track.depacketizer.handle_packet(&packet) {
                        match done {
                            Ok(unit) => track.take(now, id, unit, pause, &mut self.clock, &mut self.outputs),
                            Err(error) => {
                                self.outputs.push_back(Output::Damaged(id, error));
                                track.lost(now, id, pause, &mut self.outputs);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Track {
    fn lost(&mut self, now: Instant, id: TrackId, pause: Duration, outputs: &mut VecDeque<Output>) {
        self.depacketizer.gap();
        if self.codec.kind() == Kind::Video {
            self.awaiting_key = true;
            self.ask(now, id, pause, outputs);
        }
    }

    fn ask(&mut self, now: Instant, id: TrackId, pause: Duration, outputs: &mut VecDeque<Output>) {
        if self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= pause) {
            self.asked = Some(now);
            outputs.push_back(Output::KeyFrameWanted(id));
        }
    }

    fn take(
        &mut self,
        now: Instant,
        id: TrackId,
        unit: Unit,
        pause: Duration,
        clock: &mut Clock,
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(place) = clock.place(now, id, unit.timestamp) else { return };
        if let Some(configuration) = unit.configuration {
            outputs.push_back(Output::Frame(Frame::configuration(id, self.codec, place, configuration)));
        }
        if unit.key {
            self.awaiting_key = false;
        }
        if self.awaiting_key {
            return self.ask(now, id, pause, outputs);
        }
        // Pictures come in decoding order with the times at which they are shown: one that is shown before its
        // predecessor is decoded right behind it.
        let reordered = self.last.is_some_and(|(last, _)| unit.timestamp.wrapping_sub(last).cast_signed() < 0);
        let dts = self.last.map_or(place, |(_, last)| place.max(last));
        self.last = Some((unit.timestamp, dts));
        let offset = if reordered { place.saturating_sub(dts) } else { Timestamp::ZERO };
        let frame = Frame::media(id, self.codec, dts, unit.payload).with_key(unit.key);
        outputs.push_back(Output::Frame(frame.with_composition_offset(offset)));
    }
}
