//! Cues that stand behind their clusters, moved before them: there existing nodes and simple players look for them.

use super::layout::Layout;
use super::source::{ScanError, Source};
use crate::index::{Children, Element, MAX_PART, SegmentHead, unsigned};
use crate::media::ByteRange;

const CUES: u32 = 0x1c53_bb6b;
const CUE_POINT: u32 = 0xbb;
const CUE_TRACK_POSITIONS: u32 = 0xb7;
const CUE_CLUSTER_POSITION: u32 = 0xf1;
const CLUSTER: u32 = 0x1f43_b675;
const CRC_32: u32 = 0xbf;
const VOID: u8 = 0xec;
/// Bytes of a head of `Void` with the longest size.
const VOID_HEAD: u64 = 9;

/// Where things are in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) segment: SegmentHead,
    /// Where the first cluster begins.
    pub(super) cluster: u64,
    /// The Cues, behind it.
    pub(super) cues: ByteRange,
    /// What says where the Cues are.
    pub(super) seek_head: Option<ByteRange>,
}

/// Moves the Cues of a layout before the clusters, where nothing but Cues and what describes the whole stands behind them.
/// What stands behind the Cues is left out.
pub(super) fn move_before(
    source: &(impl Source + ?Sized),
    places: Places,
    layout: &mut Layout,
) -> Result<(), ScanError> {
    let Places { segment, cluster, cues, seek_head } = places;
    let after = source.read_up_to(cues.end + 1, 12)?;
    if Element::parse(&after).is_ok_and(|element| element.id == CLUSTER) {
        return Ok(());
    }
    let old = source.part(cues.start, cues.end + 1, usize::try_from(MAX_PART).unwrap_or(usize::MAX))?;
    let size = rebuilt(&old, 0).and_then(|new| u64::try_from(new.len()).ok());
    let Some((size, new)) = size.and_then(|size| Some((size, rebuilt(&old, size)?))) else { return Ok(()) };
    if size > MAX_PART {
        return Ok(());
    }
    layout.len = cues.start.saturating_add(size);
    let width = segment.size_bytes;
    if segment.size.is_some() {
        let marked = layout.len.saturating_sub(segment.content) | 1 << (7 * width);
        let bytes = marked.to_be_bytes();
        let place = segment.content.saturating_sub(u64::try_from(width).unwrap_or_default());
        let bytes = bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default();
        layout.patches.push((place, bytes.to_vec()));
    }
    if let Some(seek) = seek_head.filter(|seek| seek.count() >= VOID_HEAD && seek.end < cluster) {
        let rest = (seek.count() - VOID_HEAD) | 1 << 56;
        layout.patches.push((seek.start, [&[VOID][..], &rest.to_be_bytes()].concat()));
    }
    layout.init = Some(ByteRange { start: 0, end: cluster - 1 });
    layout.index = Some(ByteRange { start: cluster, end: cluster.saturating_add(size) - 1 });
    layout.inserted = Some(new.into());
    Ok(())
}

/// The same Cues with all positions moved; `None` when they are damaged. Their size does not depend on how far.
fn rebuilt(cues: &[u8], shift: u64) -> Option<Vec<u8>> {
    let (id, content) = Children(cues).next()?.ok()?;
    let content = (id == CUES).then(|| moved(content, shift)).flatten()?;
    let mut out = Vec::new();
    element(&mut out, CUES, &content);
    Some(out)
}

fn moved(content: &[u8], shift: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for child in Children(content) {
        match child.ok()? {
            // It would be that of the old positions.
            (CRC_32, _) => {}
            (id @ (CUE_POINT | CUE_TRACK_POSITIONS), content) => element(&mut out, id, &moved(content, shift)?),
            (CUE_CLUSTER_POSITION, content) => {
                let at = unsigned(content)?.checked_add(shift)?;
                element(&mut out, CUE_CLUSTER_POSITION, &at.to_be_bytes());
            }
            (id, content) => element(&mut out, id, content),
        }
    }
    Some(out)
}

/// An element with a size of 8 bytes.
fn element(out: &mut Vec<u8>, id: u32, content: &[u8]) {
    let id = id.to_be_bytes();
    let zeros = id.iter().take_while(|byte| **byte == 0).count();
    out.extend_from_slice(id.get(zeros..).unwrap_or_default());
    let size = u64::try_from(content.len()).unwrap_or_default() | 1 << 56;
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(content);
}
