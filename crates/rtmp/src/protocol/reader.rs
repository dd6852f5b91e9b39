//! Chunks to messages (RTMP 5.3), however the bytes are cut.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::Violation;
use super::input::Input;
use super::message::{Message, kind};
use super::writer::INITIAL_CHUNK_BYTES;

/// What the timestamp field holds when the timestamp follows in four bytes (RTMP 5.3.1.3).
const EXTENDED: u32 = 0x00ff_ffff;
/// The longest header of a chunk: basic header, message header, extended timestamp.
const MAX_HEADER_BYTES: usize = 18;

/// What a reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, and of all messages together that have begun and not ended. Default 8 MiB, as for an FLV
    /// tag: a key frame of 4K video at its worst is below 4 MiB. A peer can make us hold this much.
    pub message_bytes: usize,
    /// Chunk streams that a peer may use. Default 64; real ones use fewer than ten. Each costs about 100 bytes.
    pub chunk_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: 8 << 20, chunk_streams: 64 }
    }
}

/// What the last header on a chunk stream has said, and the message that is under way there.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    /// What a header without a timestamp adds: the last delta, or after a whole header its timestamp (5.3.1.2.4).
    delta: u32,
    /// The extended timestamp as it was written, where the last header had one.
    extended: Option<u32>,
    length: usize,
    kind: u8,
    stream: u32,
    /// Bytes of the message so far; `None` between messages.
    partial: Option<Partial>,
}

#[derive(Debug, Default)]
struct Partial {
    only: Bytes,
    joined: BytesMut,
}

impl Partial {
    fn len(&self) -> usize {
        self.only.len().saturating_add(self.joined.len())
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.only = piece;
            return;
        }
        if !self.only.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.only));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn finish(self) -> Bytes {
        if self.only.is_empty() { self.joined.freeze() } else { self.only }
    }
}

/// What a header says, by its format.
#[derive(Clone, Copy)]
enum Fields {
    /// Formats 0 and 1 and 2: a new message; `None` where the format leaves it out.
    New { timestamp: u32, extended: Option<u32>, absolute: bool, shape: Option<(usize, u8)>, stream: Option<u32> },
    /// Format 3: the next chunk of the message under way, or a message like the last one.
    Same,
}

/// Takes bytes and gives messages. After an error it must not be used.
#[derive(Debug)]
pub struct Reader {
    input: Input,
    limits: Limits,
    chunk_bytes: usize,
    streams: BTreeMap<u32, ChunkStream>,
    /// Bytes of all messages that have begun and not ended.
    unfinished: usize,
    /// The chunk that is being read: its chunk stream, and how much of it is to come.
    current: Option<(u32, usize)>,
}

impl Reader {
    /// A reader behind the handshake.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let chunk_bytes = usize::try_from(INITIAL_CHUNK_BYTES).unwrap_or(usize::MAX);
        let (input, streams) = (Input::default(), BTreeMap::new());
        Self { input, limits, chunk_bytes, streams, unfinished: 0, current: None }
    }

    /// Appends bytes of the connection.
    pub fn handle_bytes(&mut self, bytes: Bytes) {
        self.input.push(bytes);
    }

    /// Bytes read so far, for acknowledgements.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.input.taken
    }

    /// The next message, `None` when more bytes are needed. Set Chunk Size and Abort are acted on here and not given.
    ///
    /// # Errors
    /// The peer breaks the protocol or a limit.
    pub fn poll(&mut self) -> Result<Option<Message>, Violation> {
        loop {
            let Some((id, left)) = self.current else {
                match self.header()? {
                    Some((id, fields)) => self.begin(id, fields)?,
                    None => return Ok(None),
                }
                continue;
            };
            if left > 0 && self.input.is_empty() {
                return Ok(None);
            }
            let piece = self.input.take_piece(left);
            let left = left.saturating_sub(piece.len());
            self.current = (left > 0).then_some((id, left));
            if let Some(message) = self.append(id, piece, left == 0)? {
                match message.kind {
                    kind::CHUNK_SIZE => self.set_chunk_size(message.number()?)?,
                    kind::ABORT => self.abort(message.number()?),
                    _ => return Ok(Some(message)),
                }
            }
        }
    }

    fn set_chunk_size(&mut self, size: u32) -> Result<(), Violation> {
        if size == 0 || size > i32::MAX.cast_unsigned() {
            return Err(Violation::ChunkSize { got: size });
        }
        self.chunk_bytes = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Forgets the message under way on a chunk stream.
    fn abort(&mut self, id: u32) {
        if let Some(partial) = self.streams.get_mut(&id).and_then(|stream| stream.partial.take()) {
            self.unfinished = self.unfinished.saturating_sub(partial.len());
        }
    }

    /// Reads a header once all of it is there.
    fn header(&mut self) -> Result<Option<(u32, Fields)>, Violation> {
        let (bytes, count) = self.input.peek::<MAX_HEADER_BYTES>();
        let mut cursor = Cursor { bytes: bytes.get(..count).unwrap_or_default(), read: 0 };
        let header = self.parse(&mut cursor)?;
        if header.is_some() {
            self.input.skip(cursor.read);
        }
        Ok(header)
    }

    fn parse(&self, cursor: &mut Cursor<'_>) -> Result<Option<(u32, Fields)>, Violation> {
        let Some([first]) = cursor.array() else { return Ok(None) };
        let id = match first & 0x3f {
            0 => cursor.array().map(|[low]| u32::from(low).saturating_add(64)),
            1 => cursor.array().map(|low| u32::from(u16::from_le_bytes(low)).saturating_add(64)),
            id => Some(u32::from(id)),
        };
        let Some(id) = id else { return Ok(None) };
        let known = self.streams.get(&id);
        let format = first >> 6;
        if format > 0 && known.is_none() {
            return Err(Violation::Header { chunk_stream: id });
        }
        if format == 3 {
            return Ok(cursor.repeated(known.and_then(|stream| stream.extended)).map(|()| (id, Fields::Same)));
        }
        Ok(cursor.fields(format).map(|fields| (id, fields)))
    }

    /// Starts a chunk.
    fn begin(&mut self, id: u32, fields: Fields) -> Result<(), Violation> {
        if !self.streams.contains_key(&id) && self.streams.len() >= self.limits.chunk_streams {
            return Err(Violation::ChunkStreams { limit: self.limits.chunk_streams });
        }
        if !matches!(fields, Fields::Same) {
            // A peer that begins anew has given the old message up.
            self.abort(id);
        }
        let stream = self.streams.entry(id).or_default();
        match fields {
            Fields::New { timestamp, extended, absolute, shape, stream: message_stream } => {
                stream.timestamp = if absolute { timestamp } else { stream.timestamp.wrapping_add(timestamp) };
                (stream.delta, stream.extended) = (timestamp, extended);
                if let Some(shape) = shape {
                    (stream.length, stream.kind) = shape;
                }
                stream.stream = message_stream.unwrap_or(stream.stream);
            }
            Fields::Same if stream.partial.is_none() => {
                stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
            }
            Fields::Same => {}
        }
        if stream.length > self.limits.message_bytes {
            return Err(Violation::MessageSize { got: stream.length, limit: self.limits.message_bytes });
        }
        let begun = stream.partial.get_or_insert_default().len();
        self.current = Some((id, stream.length.saturating_sub(begun).min(self.chunk_bytes)));
        Ok(())
    }

    /// Adds a piece to the message of a chunk stream. Gives the message when that was its last.
    fn append(&mut self, id: u32, piece: Bytes, chunk_ends: bool) -> Result<Option<Message>, Violation> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(None) };
        let partial = stream.partial.get_or_insert_default();
        self.unfinished = self.unfinished.saturating_add(piece.len());
        partial.push(piece);
        if chunk_ends && partial.len() >= stream.length {
            let payload = stream.partial.take().unwrap_or_default().finish();
            self.unfinished = self.unfinished.saturating_sub(payload.len());
            let (timestamp, message_stream) = (stream.timestamp, stream.stream);
            return Ok(Some(Message { kind: stream.kind, timestamp, stream: message_stream, payload }));
        }
        if self.unfinished > self.limits.message_bytes {
            return Err(Violation::Unfinished { limit: self.limits.message_bytes });
        }
        Ok(None)
    }
}

/// Reads the fields of a header from the front; `None` when bytes are missing.
struct Cursor<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.bytes.split_first_chunk::<N>()?;
        (self.bytes, self.read) = (rest, self.read.saturating_add(N));
        Some(*front)
    }

    fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// The message header of formats 0, 1 and 2.
    fn fields(&mut self, format: u8) -> Option<Fields> {
        let short = self.u24()?;
        let shape = if format < 2 {
            let length = usize::try_from(self.u24()?).unwrap_or(usize::MAX);
            let [kind] = self.array()?;
            Some((length, kind))
        } else {
            None
        };
        let stream = if format == 0 { Some(u32::from_le_bytes(self.array()?)) } else { None };
        let extended = if short == EXTENDED { Some(u32::from_be_bytes(self.array()?)) } else { None };
        let timestamp = extended.unwrap_or(short);
        Some(Fields::New { timestamp, extended, absolute: format == 0, shape, stream })
    }

    /// The extended timestamp of format 3, which repeats that of the header before it. Some encoders leave it out there,
    /// so bytes that are not the expected ones are payload.
    fn repeated(&mut self, expected: Option<u32>) -> Option<()> {
        let Some(expected) = expected else { return Some(()) };
        let (next, _) = self.bytes.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*next) == expected {
            self.array::<4>()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
