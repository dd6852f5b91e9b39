//! What a viewer's session sends of the tracks of a stream.

use std::sync::Arc;

use sluicegate_hub::TrackSet;
use sluicegate_media::{Codec, Kind};
use sluicegate_rtc_driver::media::{RtpPacket, TrackId, first_sequence};

use crate::engine::{Sent, sent_as};
use crate::even::Even;

/// A track that goes out.
#[derive(Debug)]
pub(crate) struct Lane {
    /// What the stream has, and what is sent of it.
    pub(crate) source: Codec,
    pub(crate) codec: Codec,
    /// The variant that plays has nothing for this one.
    pub(crate) silent: bool,
    /// Known once the peer has agreed.
    pub(crate) track: Option<TrackId>,
    pub(crate) sequence: u16,
    last: Option<u32>,
    even: Even,
}

impl Lane {
    pub(crate) fn new(sent: Sent) -> Self {
        let Sent { source, codec } = sent;
        Self {
            source,
            codec,
            silent: false,
            track: None,
            sequence: first_sequence(),
            last: None,
            even: Even::default(),
        }
    }

    /// What a stream has for this lane, if it has what the session carries.
    fn source_in(&self, tracks: &TrackSet) -> Option<Codec> {
        let codec = tracks.first(self.codec.kind()).map(|track| track.codec);
        codec.filter(|codec| sent_as(*codec) == self.codec)
    }

    /// A variant with these tracks plays from now on.
    pub(crate) fn go_on_with(&mut self, tracks: &TrackSet) {
        let source = self.source_in(tracks);
        (self.silent, self.source, self.last) = (source.is_none(), source.unwrap_or(self.codec), None);
    }

    /// Whether a picture stands before one that is to be shown earlier.
    pub(crate) fn goes_back(&mut self, timestamp: u32) -> bool {
        let last = self.last.replace(timestamp);
        last.is_some_and(|last| timestamp.wrapping_sub(last).cast_signed() < 0)
    }

    /// Packets at their places on the session's timeline, which is that of the stream and some ticks more.
    pub(crate) fn placed(&mut self, packets: &Arc<[RtpPacket]>, shift: u32) -> Arc<[RtpPacket]> {
        self.even.of(self.codec, shifted(packets, shift))
    }
}

/// Whether a session with these lanes can go on with other tracks: pictures as they were agreed on, with sound or without.
pub(crate) fn fit(lanes: &[Lane], tracks: &TrackSet) -> bool {
    let mut pictures = lanes.iter().filter(|lane| lane.codec.kind() == Kind::Video);
    pictures.all(|lane| lane.source_in(tracks).is_some())
}

/// Packets with their times on the session's timeline; those that all viewers share where they are there already.
fn shifted(packets: &Arc<[RtpPacket]>, shift: u32) -> Arc<[RtpPacket]> {
    if shift == 0 {
        return Arc::clone(packets);
    }
    let moved = |packet: &RtpPacket| RtpPacket { timestamp: packet.timestamp.wrapping_add(shift), ..packet.clone() };
    packets.iter().map(moved).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sluicegate_media::{Track, Tracks};

    use super::*;

    fn tracks(codecs: &[Codec]) -> TrackSet {
        let mut tracks = Tracks::default();
        for (id, codec) in (0..).zip(codecs) {
            tracks.set(Track::new(sluicegate_media::TrackId(id), *codec, Bytes::new()).unwrap());
        }
        TrackSet::new(tracks)
    }

    #[test]
    fn pictures_must_be_as_agreed_and_other_sound_is_silent() {
        let lane = |source, codec| Lane::new(Sent { source, codec });
        let mut lanes = [lane(Codec::Opus, Codec::Opus), lane(Codec::Vp8, Codec::Vp8)];
        assert!(fit(&lanes, &tracks(&[Codec::Vp8, Codec::Opus])) && fit(&lanes, &tracks(&[Codec::Vp8, Codec::G711A])));
        assert!(!fit(&lanes, &tracks(&[Codec::Vp9, Codec::Opus])) && !fit(&lanes, &tracks(&[Codec::Opus])));
        for (sound, silent) in [(Codec::G711A, true), (Codec::Opus, false)] {
            lanes.iter_mut().for_each(|lane| lane.go_on_with(&tracks(&[Codec::Vp8, sound])));
            assert_eq!((lanes[0].silent, lanes[1].silent), (silent, false));
        }
    }

    #[test]
    fn times_are_moved_modulo_2_to_the_32() {
        let packet = RtpPacket { sequence: 7, timestamp: 10, marker: true, payload: Bytes::from_static(b"x") };
        let packets: Arc<[RtpPacket]> = [packet].into();
        assert!(Arc::ptr_eq(&packets, &shifted(&packets, 0)));
        let moved = shifted(&packets, 0_u32.wrapping_sub(11));
        assert_eq!((moved[0].timestamp, moved[0].sequence, moved[0].marker), (u32::MAX, 7, true));
    }
}
