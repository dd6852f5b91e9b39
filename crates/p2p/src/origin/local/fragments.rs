//! Movie fragments: where segments begin, and how long they last.

use bytes::Buf;

use super::movie::{Kind, Movie, Track, boxes};
use super::mp4::Top;
use super::source::{ScanError, Source};
use crate::index::Reference;

/// Bytes of a `moof`, at most: 16 bytes for each of a million samples.
const MAX_MOOF: usize = 16 << 20;
/// Segments that are shorter, in seconds, are joined: files with a fragment a picture exist.
const SHORTEST: u64 = 1;
/// The flag of a sample that is no key picture.
const NON_SYNC: u32 = 0x1_0000;

/// What a `moof` says of the reference track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Whether the reference track is in it.
    has_reference: bool,
    /// Whether it begins with a key picture, or is sound.
    begins: bool,
    /// When it is decoded, in ticks, if it says so.
    decoded: Option<u64>,
    /// How much later its first sample is presented.
    offset: u64,
    /// Ticks of its samples.
    duration: u64,
    /// Places of the file that hold an offset from the file's beginning, and the offset.
    bases: Vec<(u64, u64)>,
}

/// Reads fragments of a file.
#[derive(Debug)]
pub(super) struct Reader<'a, S: ?Sized> {
    pub(super) source: &'a S,
    pub(super) movie: &'a Movie,
}

impl<S: Source + ?Sized> Reader<'_, S> {
    /// Reads a `moof`.
    pub(super) fn fragment(&self, top: &Top) -> Result<Fragment, ScanError> {
        let at = top.start + top.head;
        let content = self.source.part(at, top.end, MAX_MOOF)?;
        let mut fragment = Fragment::default();
        for (kind, traf) in boxes(&content) {
            if &kind == b"traf" {
                // Both are of one buffer, so that the difference of their addresses is a place in it.
                let place = traf.as_ptr().addr() - content.as_ptr().addr();
                self.track(traf, at + u64::try_from(place).unwrap_or_default(), &mut fragment)?;
            }
        }
        Ok(fragment)
    }

    fn track(&self, traf: &[u8], at: u64, fragment: &mut Fragment) -> Result<(), ScanError> {
        let mut track = Track::default();
        for (kind, mut content) in boxes(traf) {
            match &kind {
                b"tfhd" => {
                    let place = at + u64::try_from(content.as_ptr().addr() - traf.as_ptr().addr()).unwrap_or_default();
                    let flags = content.try_get_u32()?;
                    let id = content.try_get_u32()?;
                    track = self.movie.tracks.iter().find(|track| track.id == id).cloned().unwrap_or_default();
                    if flags & 0x1 != 0 {
                        fragment.bases.push((place + 8, content.try_get_u64()?));
                    }
                    let mut next = |flag| if flags & flag == 0 { Ok(None) } else { content.try_get_u32().map(Some) };
                    let (_description, duration, _size) = (next(0x2)?, next(0x8)?, next(0x10)?);
                    track.default_duration = duration.unwrap_or(track.default_duration);
                    track.default_flags = next(0x20)?.unwrap_or(track.default_flags);
                }
                b"tfdt" if self.is_reference(&track) => {
                    let version = content.try_get_u32()? >> 24;
                    let time = if version == 1 { content.try_get_u64()? } else { content.try_get_u32()?.into() };
                    fragment.decoded.get_or_insert(time);
                }
                b"trun" if self.is_reference(&track) => samples(content, &track, fragment)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn is_reference(&self, track: &Track) -> bool {
        self.movie.reference().is_some_and(|reference| reference.id == track.id)
    }
}

/// Reads a `trun` of the reference track.
fn samples(mut content: &[u8], track: &Track, fragment: &mut Fragment) -> Result<(), ScanError> {
    let head = content.try_get_u32()?;
    let (version, flags) = (head >> 24, head & 0xff_ffff);
    let count = content.try_get_u32()?;
    if flags & 0x1 != 0 {
        content.try_get_u32()?;
    }
    let first_flags = if flags & 0x4 == 0 { None } else { Some(content.try_get_u32()?) };
    if flags & 0xf00 == 0 {
        // Samples without fields are not read one by one: their number is a claim.
        if !fragment.has_reference && count > 0 {
            fragment.has_reference = true;
            fragment.begins = track.kind != Kind::Video || first_flags.unwrap_or(track.default_flags) & NON_SYNC == 0;
        }
        fragment.duration += u64::from(count) * u64::from(track.default_duration);
        return Ok(());
    }
    for number in 0..count {
        let mut next = |flag| if flags & flag == 0 { Ok(None) } else { content.try_get_u32().map(Some) };
        let (duration, _size, own, offset) = (next(0x100)?, next(0x200)?, next(0x400)?, next(0x800)?);
        fragment.duration += u64::from(duration.unwrap_or(track.default_duration));
        if number == 0 && !fragment.has_reference {
            let flags = first_flags.or(own).unwrap_or(track.default_flags);
            fragment.has_reference = true;
            fragment.begins = track.kind != Kind::Video || flags & NON_SYNC == 0;
            // Version 1 may be negative; then it is presented no earlier than it is decoded.
            let offset = offset.unwrap_or_default();
            fragment.offset = if version > 0 && offset > i32::MAX.cast_unsigned() { 0 } else { offset.into() };
        }
    }
    Ok(())
}

/// The segments of a file, as its boxes are met.
#[derive(Debug)]
pub(super) struct Fragments {
    shortest: u64,
    prefix: Option<u64>,
    segments: Vec<Segment>,
    bases: Vec<(u64, u64)>,
    clock: u64,
    end: Option<u64>,
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    start: u64,
    time: u64,
}

/// All segments of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the first begins.
    pub(super) first: u64,
    /// Where the media ends.
    pub(super) end: u64,
    /// When the first is presented, in ticks.
    pub(super) earliest: u64,
    /// The segments.
    pub(super) references: Vec<Reference>,
    /// Places that hold an offset from the file's beginning, and the offset.
    pub(super) bases: Vec<(u64, u64)>,
}

impl Fragments {
    pub(super) fn new(reference: Option<&Track>) -> Self {
        let shortest = SHORTEST * reference.map_or(0, |track| u64::from(track.timescale));
        let (segments, bases) = (Vec::new(), Vec::new());
        Self { shortest, prefix: None, segments, bases, clock: 0, end: None, offset: 0 }
    }

    /// A box that belongs to the fragment after it.
    pub(super) fn prefix(&mut self, start: u64) {
        self.prefix.get_or_insert(start);
    }

    pub(super) fn moof(&mut self, top: &Top, fragment: Fragment) {
        let start = self.prefix.take().unwrap_or(top.start);
        self.bases.extend(fragment.bases);
        let time = fragment.decoded.unwrap_or(self.clock);
        let is_long = self.segments.last().is_none_or(|last| time.saturating_sub(last.time) >= self.shortest);
        let first = self.segments.is_empty();
        if first || (fragment.has_reference && fragment.begins && is_long) {
            self.segments.push(Segment { start, time });
        }
        if first {
            self.offset = fragment.offset;
        }
        if fragment.has_reference {
            self.clock = time.saturating_add(fragment.duration);
        }
    }

    pub(super) fn mdat(&mut self) {
        self.prefix = None;
    }

    /// What follows is no media: an index of the file's own places, which are not right any more.
    pub(super) fn end(&mut self, at: u64) {
        self.end.get_or_insert(at);
    }

    pub(super) fn finish(self, len: u64) -> Found {
        let end = self.end.unwrap_or(len);
        let next = self.segments.iter().skip(1).copied().chain([Segment { start: end, time: self.clock }]);
        let reference = |(one, next): (&Segment, Segment)| Reference {
            is_index: false,
            size: u32::try_from(next.start.saturating_sub(one.start)).unwrap_or(u32::MAX),
            duration: u32::try_from(next.time.saturating_sub(one.time)).unwrap_or(u32::MAX),
        };
        let references = self.segments.iter().zip(next).map(reference).collect();
        let first = self.segments.first();
        Found {
            first: first.map_or(end, |first| first.start),
            end,
            earliest: first.map_or(0, |first| first.time.saturating_add(self.offset)),
            references,
            bases: self.bases,
        }
    }
}
