//! Bytes to tags, however the bytes are cut.

use bytes::Bytes;

use crate::buffer::Buffer;
use crate::error::Error;
use crate::tag::{Header, TAG_HEADER_BYTES, TRAILER_BYTES, Tag, TagKind};

/// What a decoder accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `DataSize` of one tag, bytes. Default 8 MiB: a key frame of 4K video at its worst is below 4 MiB. A peer can
    /// make us hold this much.
    pub tag_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tag_bytes: 8 << 20 }
    }
}

/// What a decoder finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The file header. It may be missing, and it may come again where files were joined.
    Header(Header),
    /// A tag; its `PreviousTagSize` may not have arrived yet.
    Tag(Tag),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A file header or a tag comes next.
    Boundary,
    /// `PreviousTagSize` of a tag of this size, or of none, comes next.
    Trailer(u32),
    /// This many bytes of a longer file header are to be left out.
    HeaderRest(usize),
}

/// Takes bytes and gives tags. After an error it gives the same error again: the boundaries are lost.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    buffer: Buffer,
    state: State,
    failed: Option<Error>,
    wrong_trailers: u64,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: Buffer::default(), state: State::Boundary, failed: None, wrong_trailers: 0 }
    }

    /// Appends bytes of the stream.
    pub fn handle_bytes(&mut self, bytes: Bytes) {
        if self.failed.is_none() {
            self.buffer.push(bytes);
        }
    }

    /// The next header or tag, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no FLV, or a tag is over the limit.
    pub fn poll(&mut self) -> Result<Option<Event>, Error> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.step().inspect_err(|error| self.failed = Some(error.clone())),
        }
    }

    /// Tags whose `PreviousTagSize` was neither right nor 0; some encoders err there, and nothing is lost by it.
    #[must_use]
    pub fn wrong_trailers(&self) -> u64 {
        self.wrong_trailers
    }

    fn step(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.state {
                State::Trailer(expected) => {
                    let Some(trailer) = self.buffer.peek::<TRAILER_BYTES>() else { return Ok(None) };
                    self.check_trailer(expected, u32::from_be_bytes(trailer));
                    self.buffer.take(TRAILER_BYTES);
                    self.state = State::Boundary;
                }
                State::HeaderRest(count) => {
                    if self.buffer.take(count).is_none() {
                        return Ok(None);
                    }
                    self.state = State::Trailer(0);
                }
                State::Boundary => match self.buffer.peek::<1>() {
                    None => return Ok(None),
                    Some([b'F']) => return self.header(),
                    // A stream without file header may still begin with its PreviousTagSize0.
                    Some([0]) if self.buffer.offset == 0 => self.state = State::Trailer(0),
                    Some([kind]) => return self.tag(kind),
                },
            }
        }
    }

    fn check_trailer(&mut self, expected: u32, got: u32) {
        if got != expected && got != 0 {
            self.wrong_trailers = self.wrong_trailers.saturating_add(1);
        }
    }

    fn header(&mut self) -> Result<Option<Event>, Error> {
        let offset = self.buffer.offset;
        let Some([b0, b1, b2, version, flags, size @ ..]) = self.buffer.peek::<9>() else { return Ok(None) };
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        let what = match (&[b0, b1, b2], version, size) {
            (b"FLV", 1, 9..=1024) => None,
            (b"FLV", 1, _) => Some("DataOffset is not 9"),
            (b"FLV", ..) => Some("the version is not 1"),
            _ => Some("the signature is not FLV"),
        };
        if let Some(what) = what {
            return Err(Error::Header { offset, what });
        }
        self.buffer.take(9);
        self.state = State::HeaderRest(size.saturating_sub(9));
        Ok(Some(Event::Header(Header { audio: flags & 4 != 0, video: flags & 1 != 0 })))
    }

    fn tag(&mut self, kind: u8) -> Result<Option<Event>, Error> {
        let offset = self.buffer.offset;
        if kind & 0x20 != 0 && matches!(kind & 0x1f, 8 | 9 | 18) {
            return Err(Error::Encrypted { offset });
        }
        let (kind, prefix) = match kind {
            8 => (TagKind::Audio, 0),
            9 => (TagKind::Video, 0),
            18 => (TagKind::Script, 0),
            15 => (TagKind::Script, 1),
            got => return Err(Error::TagType { offset, got }),
        };
        let Some([_, a, b, c, t1, t2, t3, t0, ..]) = self.buffer.peek::<TAG_HEADER_BYTES>() else { return Ok(None) };
        let size = u32::from_be_bytes([0, a, b, c]);
        let whole = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(TAG_HEADER_BYTES);
        if whole.saturating_sub(TAG_HEADER_BYTES) > self.limits.tag_bytes {
            let (size, limit) = (whole.saturating_sub(TAG_HEADER_BYTES), self.limits.tag_bytes);
            return Err(Error::TagSize { offset, size, limit });
        }
        let Some(mut bytes) = self.buffer.take(whole) else { return Ok(None) };
        self.state = State::Trailer(u32::try_from(whole).unwrap_or(u32::MAX));
        let data = bytes.split_off(TAG_HEADER_BYTES.saturating_add(prefix).min(bytes.len()));
        Ok(Some(Event::Tag(Tag { kind, timestamp: u32::from_be_bytes([t0, t1, t2, t3]), data, offset })))
    }
}

#[cfg(test)]
#[path = "decoder/tests.rs"]
mod tests;
