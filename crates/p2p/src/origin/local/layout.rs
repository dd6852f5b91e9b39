//! A stream as it is served: the bytes of a file, with an index put in where the file has none.

use bytes::Bytes;

use super::source::{ScanError, Source};
use crate::media::ByteRange;

/// Bytes of the file from one place to before another; none when that is not after the first.
fn between(source: &(impl Source + ?Sized), from: u64, to: u64) -> Result<Vec<u8>, ScanError> {
    match to.checked_sub(from) {
        None | Some(0) => Ok(Vec::new()),
        Some(count) => {
            let count = usize::try_from(count).map_err(|_| ScanError::Wrong("the part is too large"))?;
            source.read(from, count)
        }
    }
}

/// What a scan finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of the whole as it is served.
    pub(crate) len: u64,
    /// The initialisation segment.
    pub(crate) init: Option<ByteRange>,
    /// The segment index.
    pub(crate) index: Option<ByteRange>,
    /// The index that is put in at its place, where the file has none.
    pub(crate) inserted: Option<Bytes>,
    /// Places of the whole whose bytes differ from the file's, ascending and apart: what counts from the file's beginning.
    pub(crate) patches: Vec<(u64, Vec<u8>)>,
    /// `video/mp4; codecs="…"`.
    pub(crate) mime: String,
    /// Height of the picture; 0 for sound.
    pub(crate) height: u32,
    /// Milliseconds.
    pub(crate) duration: u64,
}

impl Layout {
    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let patches: usize = self.patches.iter().map(|patch| size_of_val(patch) + patch.1.len()).sum();
        size_of::<Self>() + patches + self.mime.len() + self.inserted.as_ref().map_or(0, Bytes::len)
    }

    /// The inserted index and where it is.
    fn insert(&self) -> Option<(ByteRange, &Bytes)> {
        Some((self.index?, self.inserted.as_ref()?))
    }

    /// Reads a part of the whole.
    pub(crate) fn read(&self, source: &(impl Source + ?Sized), range: ByteRange) -> Result<Bytes, ScanError> {
        let count = usize::try_from(range.count()).map_err(|_| ScanError::Wrong("the part is too large"))?;
        let Some((place, inserted)) = self.insert() else { return Ok(source.read(range.start, count)?.into()) };
        let (end, after) = (range.end.saturating_add(1), place.end.saturating_add(1));
        let mut out = Vec::with_capacity(count);
        // From the file before the index, from the index, and from the file after it.
        out.append(&mut between(source, range.start, end.min(place.start))?);
        let offset = |at: u64| usize::try_from(at.saturating_sub(place.start)).unwrap_or(usize::MAX);
        let part = inserted.get(offset(range.start)..offset(end).min(inserted.len()));
        out.extend_from_slice(part.unwrap_or_default());
        let behind = |at: u64| at.saturating_sub(place.count());
        out.append(&mut between(source, behind(range.start.max(after)), behind(end))?);
        self.patch(range.start, &mut out);
        Ok(out.into())
    }

    /// Puts the patches into a part that begins at `start`.
    fn patch(&self, start: u64, part: &mut [u8]) {
        let end = start.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        let is_before =
            |(at, bytes): &(u64, Vec<u8>)| at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX)) <= start;
        let first = self.patches.partition_point(is_before);
        for (at, bytes) in self.patches.iter().skip(first).take_while(|(at, _)| *at < end) {
            for (place, byte) in (*at..).zip(bytes) {
                let slot = place.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
                if let Some(slot) = slot.and_then(|slot| part.get_mut(slot)) {
                    *slot = *byte;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_that_of_the_whole() {
        let file: Vec<u8> = (0..40).collect();
        let layout = Layout {
            len: 45,
            index: Some(ByteRange { start: 10, end: 14 }),
            inserted: Some(Bytes::from_static(b"index")),
            patches: vec![(20, b"PATCHED1".to_vec()), (30, b"PATCHED2".to_vec())],
            ..Layout::default()
        };
        let mut whole = [&file[..10], b"index", &file[10..]].concat();
        whole[20..28].copy_from_slice(b"PATCHED1");
        whole[30..38].copy_from_slice(b"PATCHED2");
        for start in 0..45_usize {
            for end in start..45 {
                let range = ByteRange { start: start as u64, end: end as u64 };
                let part = layout.read(&file[..], range).unwrap();
                assert_eq!(part, &whole[start..=end], "{start}-{end}");
            }
        }
        assert!(layout.read(&file[..], ByteRange { start: 40, end: 45 }).is_err());
    }
}
