//! How frames become batches.

use super::*;
use proptest::prelude::*;

const ASC_44100_STEREO: &[u8] = &[0x12, 0x10];
const ASC_48000_STEREO: &[u8] = &[0x11, 0x90];

fn assembler(expects: Expects) -> Assembler {
    let mut assembler = Assembler::new(&Config::default());
    assembler.restart(expects, None);
    assembler
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn picture(millis: i64, key: bool) -> Frame {
    Frame::media(TrackId::VIDEO, Codec::Vp8, at(millis), vec![1, 2, 3].into()).with_key(key)
}

fn sound(millis: i64) -> Frame {
    Frame::media(TrackId::AUDIO, Codec::Aac, at(millis), vec![4, 5].into())
}

fn sound_configuration(bytes: &'static [u8]) -> Frame {
    Frame::configuration(TrackId::AUDIO, Codec::Aac, at(0), bytes.into())
}

fn feed(assembler: &mut Assembler, frames: impl IntoIterator<Item = Frame>) -> Vec<Batch> {
    frames.into_iter().flat_map(|frame| assembler.handle_frame(frame).unwrap()).collect()
}

fn times(batch: &Batch) -> Vec<(Kind, i64)> {
    batch.frames.iter().map(|frame| (frame.kind(), frame.dts.millis())).collect()
}

#[test]
fn sound_rides_with_the_next_picture() {
    let mut assembler = assembler(Expects::BOTH);
    let batches = feed(
        &mut assembler,
        [sound_configuration(ASC_44100_STEREO), picture(0, true), sound(0), sound(23), picture(40, false), sound(46)],
    );
    let kinds: Vec<_> = batches.iter().map(times).collect();
    assert_eq!(kinds[0], [(Kind::Video, 0)]);
    assert_eq!(kinds[1], [(Kind::Audio, 0), (Kind::Audio, 23), (Kind::Video, 40)]);
    assert!(batches[0].random_access && !batches[1].random_access);
    assert!(Arc::ptr_eq(&batches[0].tracks, &batches[1].tracks));
}

#[test]
fn what_is_surely_announced_is_waited_for_longer() {
    let heard = || (0..60).map(|number| sound(number * 50));
    let first = |patience: Option<Duration>| {
        let mut assembler = Assembler::new(&Config::default());
        assembler.restart(Expects::BOTH, patience);
        feed(&mut assembler, [sound_configuration(ASC_44100_STEREO)]);
        let at_once = feed(&mut assembler, heard()).len();
        let set = feed(&mut assembler, [picture(3_000, true)]).pop().map(|batch| batch.tracks.clone());
        (at_once > 0, set.is_some_and(|set| set.has(Kind::Video)))
    };
    assert_eq!(first(None), (true, true));
    assert_eq!(first(Some(Duration::from_secs(5))), (false, true));
    let mut assembler = Assembler::new(&Config::default());
    assembler.restart(Expects::BOTH, Some(Duration::from_secs(5)));
    feed(&mut assembler, [sound_configuration(ASC_44100_STEREO)]);
    assert!(!feed(&mut assembler, (0..120).map(|number| sound(number * 50))).is_empty(), "not for ever");
}

#[test]
fn sound_goes_alone_when_the_picture_is_late() {
    let mut assembler = assembler(Expects::BOTH);
    let start = [sound_configuration(ASC_44100_STEREO), picture(0, true)];
    let late = [10, 33, 56, 79].map(sound);
    let batches = feed(&mut assembler, start.into_iter().chain(late));
    assert_eq!(batches.len(), 2);
    assert!(!batches[1].random_access);
}

#[test]
fn frames_are_held_until_the_announced_tracks_are_there() {
    let mut assembler = assembler(Expects::BOTH);
    assert!(feed(&mut assembler, [picture(0, true), picture(40, false)]).is_empty());
    let batches = feed(&mut assembler, [sound_configuration(ASC_44100_STEREO)]);
    assert_eq!(batches.len(), 2);
    assert!(batches[0].tracks.has(Kind::Audio) && batches[0].random_access);
}

#[test]
fn a_track_that_never_comes_is_waited_for_once() {
    let mut assembler = assembler(Expects::BOTH);
    let batches = feed(&mut assembler, (0..=26).map(|frame| picture(frame * 40, frame == 0)));
    assert_eq!(batches.len(), 27);
    assert!(!batches[0].tracks.has(Kind::Audio));
}

#[test]
fn a_stream_without_pictures_can_be_joined_anywhere() {
    let mut assembler = assembler(Expects::AUDIO);
    let batches = feed(&mut assembler, [sound_configuration(ASC_44100_STEREO), sound(0), sound(23)]);
    assert!(batches.len() == 2 && batches.iter().all(|batch| batch.random_access));
}

#[test]
fn a_changed_configuration_makes_a_new_set_and_an_equal_one_does_not() {
    let mut assembler = assembler(Expects::AUDIO);
    let one = feed(&mut assembler, [sound_configuration(ASC_44100_STEREO), sound(0)]);
    let same = feed(&mut assembler, [sound_configuration(ASC_44100_STEREO), sound(23)]);
    let other = feed(&mut assembler, [sound_configuration(ASC_48000_STEREO), sound(46)]);
    assert!(Arc::ptr_eq(&one[0].tracks, &same[0].tracks));
    assert_eq!(other[0].tracks.first(Kind::Audio).unwrap().audio.sample_rate, 48_000);
}

#[test]
fn a_new_publisher_of_the_same_tracks_changes_nothing_for_viewers() {
    let mut assembler = assembler(Expects::VIDEO);
    let before = feed(&mut assembler, [picture(5_000, true), picture(5_040, false)]);
    assembler.restart(Expects::VIDEO, None);
    let after = feed(&mut assembler, [picture(0, false), picture(40, true)]);
    assert_eq!(after.len(), 1, "pictures before the first key frame are left out");
    assert!(Arc::ptr_eq(&before[0].tracks, &after[0].tracks));
    assert_eq!((after[0].seq, times(&after[0])), (2, vec![(Kind::Video, 80)]));
    assert_eq!(assembler.dropped(), 1);
}

#[test]
fn a_broken_configuration_is_an_error_and_frames_without_one_are_left_out() {
    let mut assembler = assembler(Expects::AUDIO);
    assert!(feed(&mut assembler, [sound(0)]).is_empty());
    assert!(matches!(
        assembler.handle_frame(sound_configuration(&[])),
        Err(Error::Configuration { track: 1, codec: Codec::Aac, .. })
    ));
}

#[test]
fn durations_are_the_codec_s_or_the_last_distance() {
    let mut assembler = assembler(Expects::BOTH);
    let frames = [sound_configuration(ASC_48000_STEREO), picture(0, true), sound(0), picture(33, false)];
    let batches = feed(&mut assembler, frames);
    let durations: Vec<_> =
        batches.iter().flat_map(|batch| &batch.frames).map(|frame| frame.duration.unwrap()).collect();
    assert_eq!(durations, [at(40), Timestamp::from_nanos(21_333_333), at(33)]);
}

proptest! {
    #[test]
    fn any_frames_give_numbered_batches_in_order(
        frames in prop::collection::vec((0u8..20, 0usize..4, any::<i32>(), any::<bool>(), any::<bool>()), 0..300),
    ) {
        let mut assembler = assembler(Expects::default());
        let codecs = [Codec::Vp8, Codec::Opus, Codec::Amf0, Codec::G711A];
        let mut seq = 0;
        for (track, codec, millis, key, restart) in frames {
            if restart && key {
                assembler.restart(Expects::default(), None);
            }
            let frame = Frame::media(TrackId(track), codecs[codec], at(i64::from(millis)), vec![0; 3].into()).with_key(key);
            for batch in assembler.handle_frame(frame).unwrap() {
                prop_assert_eq!(batch.seq, seq);
                prop_assert!(!batch.frames.is_empty());
                seq += 1;
            }
            prop_assert!(assembler.tracks().len() <= MAX_TRACKS);
        }
    }
}
