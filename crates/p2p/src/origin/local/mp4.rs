//! MP4 files (ISO/IEC 14496-12): with a `sidx`, in fragments without one, or in one piece.

use super::fragments::{Fragments, Reader};
use super::layout::Layout;
use super::movie::Movie;
use super::source::{ScanError, Source};
use crate::index::{BoxHead, Builder, Sidx, write_sidx};
use crate::media::{ByteRange, Stream};

/// Boxes of a file, at most: 36 hours of fragments of a second have 260,000.
const MAX_BOXES: usize = 1_000_000;
/// Bytes of a `moov`, at most. That of a file in one piece has some 30 bytes a picture.
const MAX_MOOV: usize = 64 << 20;

/// A box of the file itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) kind: [u8; 4],
    pub(super) start: u64,
    pub(super) end: u64,
    /// Bytes of the head.
    pub(super) head: u64,
}

/// Finds out how a file is served.
pub(super) fn scan(source: &(impl Source + ?Sized)) -> Result<Layout, ScanError> {
    let tops = tops(source)?;
    let moov = tops.iter().find(|top| &top.kind == b"moov").ok_or(ScanError::Wrong("it has no moov box"))?;
    let movie = Movie::parse(&source.part(moov.start + moov.head, moov.end, MAX_MOOV)?)?;
    let mut layout = Layout { len: source.len(), ..Layout::default() };
    layout.mime = movie.mime();
    layout.height = movie.height();
    layout.duration = movie.milliseconds();
    let after: Vec<Top> = tops.iter().copied().filter(|top| top.start >= moov.end).collect();
    let Some(first) = after.iter().find(|top| &top.kind == b"moof") else { return Ok(layout) };
    let given = after.iter().find(|top| &top.kind == b"sidx").filter(|sidx| sidx.end <= first.start);
    if let Some(sidx) = given
        && covers(source, sidx, &after)
    {
        layout.init = Some(ByteRange { start: 0, end: sidx.start - 1 });
        layout.index = Some(ByteRange { start: sidx.start, end: sidx.end - 1 });
        if layout.duration == 0 {
            layout.duration = milliseconds(&Sidx::parse(&source.part(sidx.start + sidx.head, sidx.end, MAX_MOOV)?)?);
        }
        return Ok(layout);
    }
    index_fragments(source, &movie, &after, moov.end, layout)
}

/// Puts an index after the `moov` of a file in fragments.
fn index_fragments(
    source: &(impl Source + ?Sized),
    movie: &Movie,
    after: &[Top],
    moov_end: u64,
    mut layout: Layout,
) -> Result<Layout, ScanError> {
    let mut fragments = Fragments::new(movie.reference());
    let reader = Reader { source, movie };
    for top in after {
        match &top.kind {
            b"moof" => fragments.moof(top, reader.fragment(top)?),
            b"mdat" => fragments.mdat(),
            b"mfra" => fragments.end(top.start),
            b"styp" | b"sidx" | b"emsg" | b"prft" | b"free" | b"skip" => fragments.prefix(top.start),
            _ => {}
        }
    }
    let found = fragments.finish(source.len());
    let sidx = Sidx {
        timescale: movie.timescale(),
        earliest: found.earliest,
        first_offset: found.first.saturating_sub(moov_end),
        references: found.references,
    };
    if sidx.references.is_empty() {
        return Ok(layout);
    }
    if layout.duration == 0 {
        layout.duration = milliseconds(&sidx);
    }
    let inserted = write_sidx(&sidx)?;
    let size = u64::try_from(inserted.len()).unwrap_or(u64::MAX);
    let shifted = |(at, base): (u64, u64)| (at + size, base.saturating_add(size).to_be_bytes().to_vec());
    layout.patches = found.bases.into_iter().map(shifted).collect();
    layout.len = found.end.saturating_add(size);
    layout.init = Some(ByteRange { start: 0, end: moov_end - 1 });
    layout.index = Some(ByteRange { start: moov_end, end: moov_end + size - 1 });
    layout.inserted = Some(inserted);
    Ok(layout)
}

/// How long what a `sidx` references lasts.
fn milliseconds(sidx: &Sidx) -> u64 {
    let ticks: u64 = sidx.references.iter().map(|reference| u64::from(reference.duration)).sum();
    ticks.saturating_mul(1_000) / u64::from(sidx.timescale.max(1))
}

/// Whether the segments of a `sidx` reach to the end of the last fragment.
fn covers(source: &(impl Source + ?Sized), sidx: &Top, after: &[Top]) -> bool {
    let stream = Stream {
        len: Some(source.len()),
        init: Some(ByteRange { start: 0, end: sidx.start - 1 }),
        index: Some(ByteRange { start: sidx.start, end: sidx.end - 1 }),
        ..Stream::default()
    };
    let read = || {
        let mut builder = Builder::new(&stream)?;
        while let Some(range) = builder.wants() {
            let count = usize::try_from(range.count()).unwrap_or(usize::MAX);
            builder.handle(&source.read(range.start, count)?)?;
        }
        Ok::<_, ScanError>(builder.finish()?)
    };
    let media = after.iter().filter(|top| &top.kind == b"mdat").map(|top| top.end).max();
    let Ok(index) = read() else { return false };
    index.segments().last().zip(media).is_some_and(|(last, media)| last.end + 1 >= media)
}

/// The boxes of the file. One that is cut off ends with the file.
fn tops(source: &(impl Source + ?Sized)) -> Result<Vec<Top>, ScanError> {
    let (mut tops, mut at) = (Vec::new(), 0);
    while at < source.len() {
        if tops.len() == MAX_BOXES {
            return Err(ScanError::Wrong("it has more than a million boxes"));
        }
        let head = source.read_up_to(at, 16)?;
        // What follows the last box and is none is left alone.
        let Ok(head) = BoxHead::parse(&head) else { break };
        let end = head.size.map_or(source.len(), |size| at.saturating_add(size).min(source.len()));
        tops.push(Top { kind: head.kind, start: at, end, head: head.head.min(end - at) });
        at = end;
    }
    Ok(tops)
}
