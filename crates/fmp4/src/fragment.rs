//! Fragments: a `moof` that describes samples and the `mdat` that holds them (ISO/IEC 14496-12 §8.8).

use bytes::{BufMut, Bytes, BytesMut};
use sluicegate_media::{Content, Frame, Kind, Timestamp, Track, Tracks};

use crate::boxes::{patch, put, put_full};
use crate::init::{carried, clock};

/// `default-base-is-moof`.
const TRACK_FRAGMENT_FLAGS: u32 = 0x02_0000;
/// Data offset, and each sample's duration, size, flags and composition offset.
const RUN_FLAGS: u32 = 0x0f01;
/// `sample_depends_on` 2: on no other.
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// `sample_depends_on` 1, `sample_is_non_sync_sample`.
const OTHER_SAMPLE: u32 = 0x0101_0000;
/// The duration of a frame that tells none: 25 fps.
const ASSUMED_DURATION: Timestamp = Timestamp::from_millis(40);
/// Bytes of `moof` and `mdat` around a picture with a few sounds.
const OVERHEAD: usize = 512;

/// One `moof` and `mdat` for frames that follow each other, one `traf` for each of their tracks.
///
/// Decoder configurations among the frames are left out, and so are tracks that [`crate::init_segment`] leaves out;
/// `None` when nothing is left. `sequence` counts the fragments of a player from 1.
#[must_use]
pub fn fragment(sequence: u32, tracks: &Tracks, frames: &[Frame]) -> Option<Bytes> {
    let of_track = |track: &Track| frames.iter().filter(|frame| is_sample(frame, track)).collect::<Vec<_>>();
    let runs: Vec<_> = carried(tracks).map(|(number, track)| (number, track, of_track(track))).collect();
    let runs: Vec<_> = runs.into_iter().filter(|(.., frames)| !frames.is_empty()).collect();
    if runs.is_empty() {
        return None;
    }
    let bytes: usize = runs.iter().flat_map(|(.., frames)| frames).map(|frame| frame.payload.len()).sum();
    let mut out = BytesMut::with_capacity(bytes.saturating_add(OVERHEAD));
    let mut offsets = Vec::new();
    put(&mut out, b"moof", |out| {
        put_full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for (number, track, frames) in &runs {
            put(out, b"traf", |out| offsets.push(track_fragment(*number, track, frames, out)));
        }
    });
    // Data offsets count from the start of `moof`; the media begins behind the header of `mdat`.
    let mut at = out.len().saturating_add(8);
    for ((.., frames), place) in runs.iter().zip(offsets) {
        patch(&mut out, place, u32::try_from(at).unwrap_or(u32::MAX));
        at = frames.iter().fold(at, |at, frame| at.saturating_add(frame.payload.len()));
    }
    put(&mut out, b"mdat", |out| {
        runs.iter().flat_map(|(.., frames)| frames).for_each(|frame| out.put_slice(&frame.payload));
    });
    Some(out.freeze())
}

fn is_sample(frame: &Frame, track: &Track) -> bool {
    frame.content == Content::Media && frame.track == track.id && frame.codec == track.codec
}

/// Returns where the data offset stands, for it is known only when `moof` is complete.
fn track_fragment(number: u32, track: &Track, frames: &[&Frame], out: &mut BytesMut) -> usize {
    let clock = clock(track);
    let start = frames.first().map(|frame| frame.dts.ticks(clock)).unwrap_or_default();
    put_full(out, b"tfhd", 0, TRACK_FRAGMENT_FLAGS, |out| out.put_u32(number));
    put_full(out, b"tfdt", 1, 0, |out| out.put_u64(u64::try_from(start).unwrap_or_default()));
    let mut place = 0;
    put_full(out, b"trun", 1, RUN_FLAGS, |out| {
        out.put_u32(u32::try_from(frames.len()).unwrap_or(u32::MAX));
        place = out.len();
        out.put_u32(0);
        for (index, frame) in frames.iter().enumerate() {
            let next = frames.get(index.saturating_add(1));
            let duration = duration(frame, next.copied()).ticks(clock);
            let offset = frame.composition_offset.ticks(clock);
            out.put_u32(u32::try_from(duration).unwrap_or_default());
            out.put_u32(u32::try_from(frame.payload.len()).unwrap_or(u32::MAX));
            out.put_u32(if frame.key || track.kind() == Kind::Audio { SYNC_SAMPLE } else { OTHER_SAMPLE });
            out.put_i32(i32::try_from(offset).unwrap_or_default());
        }
    });
    place
}

/// Up to the next frame where it is here, else what the frame tells.
fn duration(frame: &Frame, next: Option<&Frame>) -> Timestamp {
    let until_next = next.map(|next| next.dts.saturating_sub(frame.dts)).filter(|&time| time > Timestamp::ZERO);
    until_next.or(frame.duration).unwrap_or(ASSUMED_DURATION)
}

#[cfg(test)]
#[path = "fragment/tests.rs"]
mod tests;
