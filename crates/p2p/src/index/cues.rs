//! The Cues of `WebM` (RFC 9559, 5.1.5; EBML: RFC 8794).

use super::{IndexError, MAX_SEGMENTS};
use crate::media::ByteRange;

/// Element ids, with their length marker.
const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CUES: u32 = 0x1c53_bb6b;
const CUE_POINT: u32 = 0xbb;
const CUE_TRACK_POSITIONS: u32 = 0xb7;
const CUE_CLUSTER_POSITION: u32 = 0xf1;

/// An element: its id, its bytes if they are known, and the bytes of its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) id: u32,
    pub(crate) size: Option<u64>,
    pub(crate) head: usize,
}

impl Element {
    /// Reads the head of an element.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let (id, id_bytes) = variable(bytes, 4, true)?;
        let id = u32::try_from(id).map_err(|_| IndexError::Wrong("an element's id"))?;
        let rest = bytes.get(id_bytes..).unwrap_or_default();
        let (size, size_bytes) = variable(rest, 8, false)?;
        // All ones is an unknown size (RFC 8794, 6.2).
        let unknown = (1_u64 << (7 * size_bytes)) - 1;
        Ok(Self { id, size: (size != unknown).then_some(size), head: id_bytes + size_bytes })
    }
}

/// A number whose length stands in its leading zeros (RFC 8794, 4), and its bytes.
fn variable(bytes: &[u8], longest: usize, keeps_marker: bool) -> Result<(u64, usize), IndexError> {
    let first = *bytes.first().ok_or(IndexError::Short("an element"))?;
    let length = first.leading_zeros() as usize + 1;
    if length > longest {
        return Err(IndexError::Wrong("a number of an element is too long"));
    }
    let all = bytes.get(..length).ok_or(IndexError::Short("an element"))?;
    let value = all.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let marker = 1_u64 << (7 * length);
    Ok((if keeps_marker { value } else { value & (marker - 1) }, length))
}

/// The children of an element's content, whole ones only.
pub(crate) struct Children<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Children<'a> {
    type Item = Result<(u32, &'a [u8]), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let child = Element::parse(self.0).and_then(|element| {
            let size = element.size.and_then(|size| usize::try_from(size).ok());
            let size = size.ok_or(IndexError::Wrong("an element without an end"))?;
            let end = element.head.checked_add(size).ok_or(IndexError::Wrong("an element beyond all ends"))?;
            let content = self.0.get(element.head..end).ok_or(IndexError::Short("an element"))?;
            self.0 = self.0.get(end..).unwrap_or_default();
            Ok((element.id, content))
        });
        if child.is_err() {
            self.0 = &[];
        }
        Some(child)
    }
}

/// A number as an element's content holds it; `None` when it is longer than 8 bytes.
pub(crate) fn unsigned(content: &[u8]) -> Option<u64> {
    (content.len() <= 8).then(|| content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The head of the Segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Where its content begins.
    pub(crate) content: u64,
    /// Bytes of its content, if it says so.
    pub(crate) size: Option<u64>,
    /// In how many bytes it says so.
    pub(crate) size_bytes: usize,
}

/// Where the Segment is, if the beginning of the file says so.
pub(crate) fn segment_head(file: &[u8]) -> Option<SegmentHead> {
    let mut at = 0_usize;
    loop {
        let element = Element::parse(file.get(at..)?).ok()?;
        at = at.checked_add(element.head)?;
        match element.id {
            SEGMENT => {
                let (content, size_bytes) = (u64::try_from(at).ok()?, element.head.checked_sub(4)?);
                return Some(SegmentHead { content, size: element.size, size_bytes });
            }
            EBML => at = at.checked_add(usize::try_from(element.size?).ok()?)?,
            _ => return None,
        }
    }
}

/// Where clusters are, counted from the Segment's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cues {
    /// Ascending, each once.
    pub clusters: Vec<u64>,
}

impl Cues {
    /// Reads the element, which begins at the first byte.
    ///
    /// # Errors
    /// It is something else, is cut short, names no cluster, or names them out of order.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let (id, content) = Children(bytes).next().ok_or(IndexError::Short("Cues"))??;
        if id != CUES {
            return Err(IndexError::Wrong("no Cues"));
        }
        let mut clusters: Vec<u64> = Vec::new();
        for point in of_kind(content, CUE_POINT) {
            // The first track says where the cluster is; the others of a point lie in the same.
            let Some(positions) = of_kind(point?, CUE_TRACK_POSITIONS).next() else { continue };
            let position = of_kind(positions?, CUE_CLUSTER_POSITION).next().transpose()?;
            let at = position.and_then(unsigned).ok_or(IndexError::Wrong("a cue without a cluster"))?;
            match clusters.last() {
                Some(last) if *last == at => continue,
                Some(last) if *last > at => return Err(IndexError::Wrong("cues out of order")),
                _ if clusters.len() == MAX_SEGMENTS => {
                    return Err(IndexError::TooMany { what: "segments", limit: MAX_SEGMENTS });
                }
                _ => clusters.push(at),
            }
        }
        if clusters.is_empty() { Err(IndexError::Wrong("no segment")) } else { Ok(Self { clusters }) }
    }

    /// The segments: each goes from a cue's cluster to the next one's. `segment` is where the Segment's content begins;
    /// where that is not known, the first cluster follows the index. The last segment ends where the index begins, if
    /// that comes after the clusters, else with the stream of `len` bytes.
    ///
    /// # Errors
    /// A cluster lies beyond the end.
    pub fn ranges(&self, segment: Option<u64>, index: ByteRange, len: u64) -> Result<Vec<ByteRange>, IndexError> {
        let beyond = IndexError::Wrong("a cluster beyond the stream's end");
        let first = *self.clusters.first().ok_or(IndexError::Wrong("no segment"))?;
        let after_index = index.end.checked_add(1).and_then(|after| after.checked_sub(first));
        let base = segment.or(after_index).ok_or(beyond)?;
        let absolute = |at: u64| base.checked_add(at).ok_or(beyond);
        let end = if absolute(first)? < index.start { index.start.min(len) } else { len };
        let starts = self.clusters.iter().map(|at| absolute(*at)).collect::<Result<Vec<_>, _>>()?;
        let ends = starts.iter().skip(1).copied().chain([end]);
        let whole = |(start, next): (&u64, u64)| {
            let end = next.checked_sub(1).filter(|end| end >= start && next <= len).ok_or(beyond)?;
            Ok(ByteRange { start: *start, end })
        };
        starts.iter().zip(ends).map(whole).collect()
    }
}

/// The contents of the children with an id.
fn of_kind(content: &[u8], wanted: u32) -> impl Iterator<Item = Result<&[u8], IndexError>> {
    Children(content).filter_map(move |child| match child {
        Ok((id, content)) => (id == wanted).then_some(Ok(content)),
        Err(error) => Some(Err(error)),
    })
}
