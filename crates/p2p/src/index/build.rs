//! From a stream's document to its segments, a fetch at a time.

use std::collections::VecDeque;

use super::cues::{self, Cues};
use super::{BoxHead, IndexError, MAX_SEGMENTS, SegmentIndex, Sidx};
use crate::media::{ByteRange, Stream};

/// Bytes of one part of an index, at most: 65,536 references of 12 bytes, with room. An index beyond it is refused before it is fetched.
pub const MAX_PART: u64 = 2 << 20;
/// Parts that an index is read in, at most; a part costs the origin a request.
const MAX_PARTS: usize = 1_024;
/// What is fetched first of a part of unknown size.
const FIRST: u64 = 4 << 10;

/// Reads the index of a stream.
///
/// [`Builder::wants`] names the bytes to fetch, [`Builder::handle`] takes exactly them; when nothing more is wanted,
/// [`Builder::finish`] gives the segments.
#[derive(Debug)]
pub struct Builder {
    len: Option<u64>,
    wants: Option<ByteRange>,
    parts: usize,
    ranges: Vec<ByteRange>,
    container: Container,
}

#[derive(Debug)]
enum Container {
    Mp4 { waiting: VecDeque<Item> },
    WebM { index: ByteRange, segment: Option<u64>, is_head_read: bool },
}

/// What a `sidx` box references, by its place.
#[derive(Debug, Clone, Copy)]
enum Item {
    Media(ByteRange),
    Index(ByteRange),
}

impl Builder {
    /// Begins with what the stream's document says.
    ///
    /// # Errors
    /// The document names no index, or one beyond [`MAX_PART`].
    pub fn new(stream: &Stream) -> Result<Self, IndexError> {
        let (Some(init), Some(index)) = (stream.init, stream.index) else {
            return Err(IndexError::Wrong("the stream has none"));
        };
        fits(index)?;
        let first = ByteRange { start: init.start, end: init.end.min(init.start.saturating_add(FIRST - 1)) };
        let (wants, container) = if stream.is_webm() {
            (first, Container::WebM { index, segment: None, is_head_read: false })
        } else {
            (index, Container::Mp4 { waiting: VecDeque::new() })
        };
        Ok(Self { len: stream.len, wants: Some(wants), parts: 0, ranges: Vec::new(), container })
    }

    /// The bytes to fetch now; `None` when it is done.
    #[must_use]
    pub fn wants(&self) -> Option<ByteRange> {
        self.wants
    }

    /// Takes the bytes that were wanted.
    ///
    /// # Errors
    /// They are damaged, too few, or ask for more than the limits.
    pub fn handle(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        let Some(wanted) = self.wants.take() else { return Ok(()) };
        if u64::try_from(bytes.len()) != Ok(wanted.count()) {
            return Err(IndexError::Short("what was asked for"));
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(IndexError::TooMany { what: "parts", limit: MAX_PARTS });
        }
        if matches!(self.container, Container::Mp4 { .. }) {
            self.handle_mp4(wanted, bytes)
        } else {
            self.handle_webm(bytes)
        }
    }

    /// The segments.
    ///
    /// # Errors
    /// Bytes are still wanted, there are no segments, or they are not within the stream.
    pub fn finish(self) -> Result<SegmentIndex, IndexError> {
        if self.wants.is_some() {
            return Err(IndexError::Short("what was asked for"));
        }
        let end = self.ranges.last().ok_or(IndexError::Wrong("no segment"))?.end;
        if self.len.is_some_and(|len| end >= len) {
            return Err(IndexError::Wrong("a segment beyond the stream's end"));
        }
        SegmentIndex::new(self.ranges)
    }

    fn handle_mp4(&mut self, wanted: ByteRange, bytes: &[u8]) -> Result<(), IndexError> {
        let Container::Mp4 { waiting } = &mut self.container else { return Ok(()) };
        let (mut at, mut rest) = (wanted.start, bytes);
        loop {
            let head = BoxHead::parse(rest)?;
            let size = head.size.ok_or(IndexError::Wrong("a box without an end"))?;
            let whole = usize::try_from(size).ok().and_then(|size| rest.get(..size));
            let next = at.checked_add(size).ok_or(IndexError::Wrong("a box beyond all ends"))?;
            let Some(whole) = whole else {
                // Only of a part that another one references is the size unknown before.
                let range = ByteRange { start: at, end: next - 1 };
                fits(range)?;
                if range.end <= wanted.end || self.parts == 1 {
                    return Err(IndexError::Short("a sidx box"));
                }
                self.wants = Some(range);
                return Ok(());
            };
            if &head.kind != b"sidx" {
                (at, rest) = (next, rest.get(whole.len()..).unwrap_or_default());
                continue;
            }
            let body = usize::try_from(head.head).ok().and_then(|head| whole.get(head..)).unwrap_or_default();
            let items = items(&Sidx::parse(body)?, next)?;
            items.into_iter().rev().for_each(|item| waiting.push_front(item));
            return self.advance();
        }
    }

    /// Takes what waits up to the next index.
    fn advance(&mut self) -> Result<(), IndexError> {
        let Container::Mp4 { waiting } = &mut self.container else { return Ok(()) };
        if waiting.len() > MAX_SEGMENTS {
            return Err(IndexError::TooMany { what: "segments", limit: MAX_SEGMENTS });
        }
        while let Some(item) = waiting.pop_front() {
            match item {
                Item::Media(range) if self.ranges.len() < MAX_SEGMENTS => self.ranges.push(range),
                Item::Media(_) => return Err(IndexError::TooMany { what: "segments", limit: MAX_SEGMENTS }),
                Item::Index(range) => {
                    let end = range.end.min(range.start.saturating_add(FIRST - 1));
                    self.wants = Some(ByteRange { start: range.start, end });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn handle_webm(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        let Container::WebM { index, segment, is_head_read } = &mut self.container else { return Ok(()) };
        if !*is_head_read {
            (*is_head_read, *segment) = (true, cues::segment_head(bytes).map(|head| head.content));
            self.wants = Some(*index);
            return Ok(());
        }
        let len = self.len.ok_or(IndexError::Wrong("a stream without its length"))?;
        self.ranges = Cues::parse(bytes)?.ranges(*segment, *index, len)?;
        Ok(())
    }
}

fn fits(range: ByteRange) -> Result<(), IndexError> {
    let limit = usize::try_from(MAX_PART).unwrap_or(usize::MAX);
    if range.count() > MAX_PART { Err(IndexError::TooMany { what: "bytes in a part", limit }) } else { Ok(()) }
}

/// The places of a box's references; `anchor` is the first byte after it.
fn items(sidx: &Sidx, anchor: u64) -> Result<Vec<Item>, IndexError> {
    let beyond = IndexError::Wrong("a segment beyond all ends");
    let mut at = anchor.checked_add(sidx.first_offset).ok_or(beyond)?;
    let mut items = Vec::with_capacity(sidx.references.len());
    for reference in &sidx.references {
        let next = at.checked_add(reference.size.into()).ok_or(beyond)?;
        let end = next.checked_sub(1).filter(|end| *end >= at).ok_or(IndexError::Wrong("an empty segment"))?;
        let range = ByteRange { start: at, end };
        items.push(if reference.is_index { Item::Index(range) } else { Item::Media(range) });
        at = next;
    }
    Ok(items)
}
