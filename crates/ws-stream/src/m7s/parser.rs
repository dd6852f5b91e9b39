//! Reads the raw bytes of a pusher after the 101, quirk or not.

use bytes::{Buf, Bytes, BytesMut};

use self::header::Header;
use super::Violation;

mod header;

/// Payload of one message, at most; it is held in memory as a whole. FLV's own limit of a tag is 16 MiB, and no camera's
/// key frame comes near. The same as for other publishers.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
/// The mask key of outer headers, and of nothing else that an original sends.
const OUTER_KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const BINARY: u8 = 0x82;
/// The FLV header and `PreviousTagSize0`.
const FILE_HEADER_BYTES: usize = 13;
/// `PreviousTagSize`.
const TRAILER_BYTES: usize = 4;
/// Messages before the first tag of media: the file header and the metadata, never behind outer headers.
const BEGINNING: u64 = 2;

/// What a pusher said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes of FLV; never empty. From the third on they are one whole tag each, `PreviousTagSize` included, where the
    /// pusher sends tags behind outer headers or behind empty messages.
    Flv(Bytes),
    /// Answer with a pong of the same payload.
    Ping(Bytes),
    /// It closes, with this code if it gave one. Nothing comes after it.
    Close(Option<u16>),
}

/// How tags come. Latched at the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    /// Behind outer headers.
    Quirk,
    /// Each behind an empty message, which is how a conforming sender makes itself understood by an original.
    Paired,
    /// Cut into messages in whatever way.
    Plain,
}

/// The beginning of a message.
#[derive(Debug)]
struct Fragments {
    text: bool,
    bytes: BytesMut,
}

/// Takes bytes and gives events. After a violation it gives the same again.
///
/// Empty [`Parser::poll`] after each [`Parser::handle_bytes`]: what is held is then one message of [`MAX_FRAME_BYTES`]
/// and the bytes that were handed over last.
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    /// Bytes that have left the buffer.
    offset: u64,
    form: Form,
    /// Binary messages so far that were not empty.
    messages: u64,
    /// Whether those of the beginning were the file header and one whole tag, so that a tag comes next.
    aligned: bool,
    /// The latest binary message was empty.
    empty: bool,
    fragments: Option<Fragments>,
    /// An outer header was dropped; its inner frame comes next.
    inner: bool,
    ended: Option<Result<(), Violation>>,
}

/// What a step found.
enum Step {
    Event(Event),
    /// Something that nobody waits for.
    Nothing,
    /// It is not complete.
    Wait,
}

/// What is at the front of the buffer.
enum Front {
    Wait,
    /// A control frame, and where it begins: behind an outer header it does not begin at once.
    Control(usize, Header),
    Outer,
    Data,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            offset: 0,
            form: Form::Unknown,
            messages: 0,
            aligned: true,
            empty: false,
            fragments: None,
            inner: false,
            ended: None,
        }
    }
}

impl Parser {
    /// Appends bytes of the connection.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.ended.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next event, `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn poll(&mut self) -> Result<Option<Event>, Violation> {
        if let Some(ended) = self.ended {
            return ended.map(|()| None);
        }
        let event = self.next();
        match &event {
            Ok(Some(Event::Close(_))) => self.ended = Some(Ok(())),
            Err(violation) => self.ended = Some(Err(*violation)),
            Ok(_) => {}
        }
        event
    }

    /// Whether all that came was whole messages, so that a connection that ends here breaks nothing off.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.ended.is_some() || self.buffer.is_empty() && self.fragments.is_none() && !self.inner
    }

    fn next(&mut self) -> Result<Option<Event>, Violation> {
        loop {
            let Some(header) = self.header(0)? else { return Ok(None) };
            let step = match self.front(header)? {
                Front::Wait => Step::Wait,
                Front::Control(at, control) => self.control(at, control),
                Front::Outer => {
                    self.advance(header.size);
                    (self.form, self.inner) = (Form::Quirk, true);
                    Step::Nothing
                }
                Front::Data if self.inner => self.inner_frame(header)?,
                Front::Data => self.data(header)?,
            };
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Nothing => {}
                Step::Wait => return Ok(None),
            }
        }
    }

    /// The header `at` bytes into the buffer; `None` when it is not complete.
    fn header(&self, at: usize) -> Result<Option<Header>, Violation> {
        let offset = self.offset.saturating_add(at as u64);
        Header::decode(self.buffer.get(at..).unwrap_or_default(), offset)
    }

    /// What the header begins. It is an outer one when the frame behind it begins as it does; control frames may sit
    /// between the two. A payload that conforms begins with a tag's type, and masked by this key that is neither a
    /// binary frame's first byte nor a control frame's.
    fn front(&self, header: Header) -> Result<Front, Violation> {
        if header.is_control() {
            return Ok(Front::Control(0, header));
        }
        let may_be_outer = self.messages >= BEGINNING
            && matches!(self.form, Form::Unknown | Form::Quirk)
            && !self.inner
            && self.fragments.is_none()
            && header.first == BINARY
            && header.key == OUTER_KEY
            && header.length > 0;
        if !may_be_outer {
            return Ok(Front::Data);
        }
        Ok(match self.buffer.get(header.size) {
            None => Front::Wait,
            Some(0x88..=0x8a) => {
                self.header(header.size)?.map_or(Front::Wait, |control| Front::Control(header.size, control))
            }
            Some(&BINARY) => {
                let end = header.size.saturating_add(header.before_key());
                match self.buffer.get(header.size..end) {
                    None => Front::Wait,
                    inner if inner == self.buffer.get(..header.before_key()) => Front::Outer,
                    Some(_) => Front::Data,
                }
            }
            Some(_) => Front::Data,
        })
    }

    /// The frame that an outer header announced: one whole tag.
    fn inner_frame(&mut self, header: Header) -> Result<Step, Violation> {
        let offset = self.offset;
        let Some(payload) = self.take(header) else { return Ok(Step::Wait) };
        self.inner = false;
        whole_tag(payload, offset)
    }

    /// An ordinary frame.
    fn data(&mut self, header: Header) -> Result<Step, Violation> {
        let offset = self.offset;
        if header.is_continuation() != self.fragments.is_some() {
            return Err(Violation::Fragment { offset });
        }
        let text = self.fragments.as_ref().map_or_else(|| header.is_text(), |fragments| fragments.text);
        if self.form == Form::Quirk && header.length > 0 && !text {
            return Err(Violation::Form { offset });
        }
        let length = self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.len()).saturating_add(header.length);
        if length > MAX_FRAME_BYTES {
            return Err(Violation::TooLarge { offset, length: length as u64 });
        }
        let Some(mut payload) = self.take(header) else { return Ok(Step::Wait) };
        if text {
            payload.clear();
        }
        let bytes = match self.fragments.take() {
            Some(Fragments { mut bytes, .. }) => {
                bytes.extend_from_slice(&payload);
                bytes
            }
            None => payload,
        };
        if !header.is_final() {
            self.fragments = Some(Fragments { text, bytes });
            return Ok(Step::Nothing);
        }
        if text { Ok(Step::Nothing) } else { self.message(bytes, offset) }
    }

    /// A whole binary message.
    fn message(&mut self, bytes: BytesMut, offset: u64) -> Result<Step, Violation> {
        if bytes.is_empty() {
            self.empty = true;
            return Ok(Step::Nothing);
        }
        let behind_empty = std::mem::take(&mut self.empty);
        self.messages = self.messages.saturating_add(1);
        if self.messages <= BEGINNING {
            self.aligned &= if self.messages == 1 { bytes.len() == FILE_HEADER_BYTES } else { is_whole_tag(&bytes) };
            return Ok(Step::Event(Event::Flv(bytes.freeze())));
        }
        if self.form == Form::Unknown {
            if self.aligned && !matches!(bytes.first(), Some(8 | 9 | 18)) {
                return Err(Violation::Form { offset });
            }
            self.form = if behind_empty && is_whole_tag(&bytes) { Form::Paired } else { Form::Plain };
        }
        if self.form == Form::Paired { whole_tag(bytes, offset) } else { Ok(Step::Event(Event::Flv(bytes.freeze()))) }
    }

    /// Takes the control frame `at` bytes into the buffer out of it.
    fn control(&mut self, at: usize, header: Header) -> Step {
        let size = header.size.saturating_add(header.length);
        let Some(frame) = self.buffer.get(at..).and_then(|rest| rest.get(..size)) else { return Step::Wait };
        let mut payload = BytesMut::from(frame.get(header.size..).unwrap_or_default());
        header.unmask(&mut payload);
        let mut rest = self.buffer.split_off(at);
        rest.advance(size);
        self.offset = self.offset.saturating_add(size as u64);
        self.buffer.unsplit(rest);
        match (header.first & 0x0f, payload.as_ref()) {
            (8, [high, low, ..]) => Step::Event(Event::Close(Some(u16::from_be_bytes([*high, *low])))),
            (8, _) => Step::Event(Event::Close(None)),
            (9, _) => Step::Event(Event::Ping(payload.freeze())),
            _ => Step::Nothing,
        }
    }

    /// The unmasked payload of the frame at the front, once it is complete.
    fn take(&mut self, header: Header) -> Option<BytesMut> {
        if self.buffer.len() < header.size.saturating_add(header.length) {
            return None;
        }
        self.advance(header.size);
        self.offset = self.offset.saturating_add(header.length as u64);
        let mut payload = self.buffer.split_to(header.length);
        header.unmask(&mut payload);
        Some(payload)
    }

    fn advance(&mut self, count: usize) {
        self.buffer.advance(count);
        self.offset = self.offset.saturating_add(count as u64);
    }
}

/// The size of the tag at the front, its header included and its trailer not.
fn tag_bytes(bytes: &[u8]) -> Option<usize> {
    let [8 | 9 | 18, a, b, c, ..] = bytes else { return None };
    usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?.checked_add(11)
}

/// Whether it is one tag, with its trailer or without.
fn is_whole_tag(bytes: &[u8]) -> bool {
    tag_bytes(bytes).is_some_and(|size| [0, TRAILER_BYTES].iter().any(|more| bytes.len() == size.saturating_add(*more)))
}

/// One tag with its trailer; one that has none is completed, so that what follows is FLV.
fn whole_tag(mut bytes: BytesMut, offset: u64) -> Result<Step, Violation> {
    if !is_whole_tag(&bytes) {
        return Err(Violation::Form { offset });
    }
    if let Some(size) = tag_bytes(&bytes).filter(|size| *size == bytes.len()) {
        bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    }
    Ok(Step::Event(Event::Flv(bytes.freeze())))
}

#[cfg(test)]
mod tests;
