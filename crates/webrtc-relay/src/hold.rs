//! The frames of a session's first moments, put in order.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sluicegate_hub::Expects;
use sluicegate_media::{Content, Frame, Kind, Timestamp};
use smallvec::{SmallVec, smallvec};

/// How long the frames of one track wait for the first of the other. Sound that is made for a viewer comes about 100 ms
/// after the pictures.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long they wait until one has caught up with the other: all that a ring of the hub holds takes this by 100 Mbit/s.
const CATCH_UP: Duration = Duration::from_secs(3);
/// Tracks that are this near to each other go on together.
const NEAR: Timestamp = Timestamp::from_millis(500);
/// Bytes of frames that wait, as much as a ring holds (`Config::ring_bytes` of the hub).
const MAX_BYTES: usize = 32 << 20;
/// Frames that wait: 20 s of 60 pictures a second and of sound in packets of 10 ms.
const MAX_FRAMES: usize = 3_200;

/// Frames that go on: one as a rule, all that waited once.
pub(crate) type Frames = SmallVec<[Frame; 1]>;

/// Holds the first frames of both tracks until they are at about the same time of the stream. Whoever sends all pictures
/// since a key frame, and the sound of now, sends seconds of pictures before and between the first sound: the hub would
/// take the stream for one without sound, and players would read sound far ahead of its pictures.
#[derive(Debug)]
pub(crate) struct Hold {
    over: bool,
    since: Option<Instant>,
    frames: Vec<Frame>,
    bytes: usize,
    /// The newest picture and the newest sound.
    newest: [Option<Timestamp>; 2],
}

impl Hold {
    /// Holds frames where pictures and sound were agreed on.
    pub(crate) fn new(expects: Expects) -> Self {
        Self { over: expects != Expects::BOTH, since: None, frames: Vec::new(), bytes: 0, newest: [None; 2] }
    }

    /// Takes a frame, and returns those that go on.
    pub(crate) fn take(&mut self, now: Instant, frame: Frame) -> Frames {
        if self.over {
            return smallvec![frame];
        }
        self.since.get_or_insert(now);
        self.bytes += frame.payload.len();
        let [picture, sound] = &mut self.newest;
        let newest = if frame.kind() == Kind::Video { picture } else { sound };
        *newest = (*newest).max(Some(frame.dts));
        self.frames.push(frame);
        if self.is_even() || self.bytes > MAX_BYTES || self.frames.len() >= MAX_FRAMES {
            return self.let_go();
        }
        self.timed_out(now)
    }

    /// Returns what has waited long enough.
    pub(crate) fn timed_out(&mut self, now: Instant) -> Frames {
        if self.due().is_some_and(|due| due <= now) { self.let_go() } else { Frames::new() }
    }

    /// When [`timed_out`](Self::timed_out) has something to return.
    pub(crate) fn due(&self) -> Option<Instant> {
        let patience = if self.newest.iter().all(Option::is_some) { CATCH_UP } else { PATIENCE };
        self.since.filter(|_| !self.over).map(|since| since + patience)
    }

    fn is_even(&self) -> bool {
        let [picture, sound] = self.newest;
        picture.zip(sound).is_some_and(|(picture, sound)| {
            let apart = picture.max(sound).saturating_sub(picture.min(sound));
            apart <= NEAR
        })
    }

    /// All frames in the order of their times, behind what tells which tracks there are.
    fn let_go(&mut self) -> Frames {
        self.over = true;
        let mut frames = std::mem::take(&mut self.frames);
        let first = |kind| frames.iter().find(|frame| frame.kind() == kind).and_then(announcement);
        let announced: Vec<Frame> = [Kind::Video, Kind::Audio].into_iter().filter_map(first).collect();
        // Equal ones keep their order, and those of one track have theirs.
        frames.sort_by_key(|frame| frame.dts);
        announced.into_iter().chain(frames).collect()
    }
}

/// What tells of a track before its first frame; `None` where that needs a configuration which has not come.
fn announcement(first: &Frame) -> Option<Frame> {
    if first.content == Content::Configuration {
        return Some(first.clone());
    }
    let configuration = || Frame::configuration(first.track, first.codec, first.dts, Bytes::new());
    (!first.codec.needs_configuration()).then(configuration)
}

#[cfg(test)]
mod tests {
    use sluicegate_media::{Codec, TrackId};

    use super::*;

    fn picture(millis: i64, bytes: usize) -> Frame {
        Frame::media(TrackId::VIDEO, Codec::Vp8, Timestamp::from_millis(millis), vec![0; bytes].into())
    }

    fn sound(millis: i64) -> Frame {
        Frame::media(TrackId::AUDIO, Codec::Opus, Timestamp::from_millis(millis), vec![0].into())
    }

    #[test]
    fn tracks_go_on_together_in_order_when_one_has_caught_up() {
        let (mut hold, now) = (Hold::new(Expects::BOTH), Instant::now());
        // Pictures of 8 s in a burst; the sound of now comes with the 50th.
        let mut went = Vec::new();
        for number in 0..200 {
            assert!(went.is_empty() || number > 187, "{number}");
            went.extend(hold.take(now, picture(number * 40, 1)));
            if number == 50 {
                assert!(hold.take(now, sound(8_000)).is_empty() && hold.take(now, sound(8_020)).is_empty());
            }
        }
        let announced: Vec<_> = went.iter().take(2).map(|frame| (frame.content, frame.kind())).collect();
        assert_eq!(announced, [(Content::Configuration, Kind::Video), (Content::Configuration, Kind::Audio)]);
        let times: Vec<_> = went[2..].iter().map(|frame| frame.dts).collect();
        assert_eq!((went.len(), hold.due()), (204, None));
        assert!(times.iter().filter(|at| at.millis() < 7_600).is_sorted());
        assert_eq!(hold.take(now, sound(0))[..], [sound(0)]);
    }

    #[test]
    fn configurations_go_first_and_stay_where_they_are() {
        let (mut hold, now) = (Hold::new(Expects::BOTH), Instant::now());
        let configuration =
            |millis| Frame::configuration(TrackId::AUDIO, Codec::Aac, Timestamp::from_millis(millis), vec![9].into());
        let aac = |millis| Frame { codec: Codec::Aac, ..sound(millis) };
        let took = [picture(0, 1), configuration(900), aac(900)].map(|frame| hold.take(now, frame).len());
        assert_eq!(took, [0; 3]);
        let went = hold.take(now, picture(440, 1));
        let announced = Frame::configuration(TrackId::VIDEO, Codec::Vp8, Timestamp::ZERO, Bytes::new());
        let expected = [announced, configuration(900), picture(0, 1), picture(440, 1), configuration(900), aac(900)];
        assert_eq!(went[..], expected);
    }

    #[test]
    fn nobody_waits_for_long_or_for_what_was_not_agreed_on() {
        for expects in [Expects::VIDEO, Expects::AUDIO] {
            assert_eq!(Hold::new(expects).take(Instant::now(), picture(0, 1)).len(), 1);
        }
        for (sounds, patience) in [(0, PATIENCE), (1, CATCH_UP)] {
            let (mut hold, now) = (Hold::new(Expects::BOTH), Instant::now());
            assert!(hold.due().is_none() && hold.take(now, picture(0, 1)).is_empty());
            assert!((0..sounds).all(|_| hold.take(now, sound(5_000)).is_empty()));
            assert_eq!(hold.due(), Some(now + patience));
            assert!(hold.timed_out(now + patience - Duration::from_millis(1)).is_empty());
            let went = hold.timed_out(now + patience).len();
            assert_eq!((went, hold.due(), hold.take(now, sound(0)).len()), (2 * (1 + sounds), None, 1));
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let now = Instant::now();
        for (bytes, most) in [(1, MAX_FRAMES), (MAX_BYTES / 10, 11)] {
            let mut hold = Hold::new(Expects::BOTH);
            assert!((1..most).all(|_| hold.take(now, picture(0, bytes)).is_empty()));
            assert_eq!(hold.take(now, picture(0, bytes)).len(), most + 1);
        }
    }
}
