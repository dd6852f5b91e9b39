//! A second reading and writing of chunks (RTMP 5.3), by the specification alone, to say a recording again in other ways.

use std::collections::HashMap;

/// `C0`, `C1`, `C2`.
pub(crate) const HANDSHAKE: usize = 1 + 1_536 + 1_536;

/// A message as a client has sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    chunk_stream: u8,
    pub(crate) timestamp: u32,
    pub(crate) kind: u8,
    stream: [u8; 4],
    pub(crate) body: Vec<u8>,
}

/// How messages are put into chunks, and what is said with them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// Bytes of a chunk; another than 128 is announced first.
    pub(crate) chunk: usize,
    /// Milliseconds at which the stream begins.
    pub(crate) shift: u32,
    /// Chunks that go on repeat an extended timestamp.
    pub(crate) repeats: bool,
    /// Commands and data are of the kinds of AMF3, with AMF0 behind one byte.
    pub(crate) amf3: bool,
    /// Neither `releaseStream` nor `FCPublish`.
    pub(crate) is_brief: bool,
}

const PLAIN: Dialect = Dialect { chunk: 128, shift: 0, repeats: true, amf3: false, is_brief: false };
/// An encoder that has run for five hours: its timestamps need four bytes (5.3.1.3).
const LATE: u32 = 0x0112_3456;

pub(crate) const ALL: [Dialect; 8] = [
    PLAIN,
    // Flash Media Live Encoder and hardware that copies it keep to 128, others send whole pictures in a chunk.
    Dialect { chunk: 4_096, ..PLAIN },
    Dialect { chunk: 65_536, ..PLAIN },
    Dialect { chunk: 1, ..PLAIN },
    Dialect { is_brief: true, ..PLAIN },
    Dialect { amf3: true, ..PLAIN },
    Dialect { shift: LATE, ..PLAIN },
    Dialect { shift: LATE, repeats: false, ..PLAIN },
];

/// The messages in a client's bytes behind the handshake. Recordings have no extended timestamps.
pub(crate) fn said(mut bytes: &[u8]) -> Vec<Said> {
    let (mut last, mut deltas): (HashMap<u8, Said>, HashMap<u8, u32>) = (HashMap::new(), HashMap::new());
    let (mut open, mut chunk, mut messages): (HashMap<u8, Said>, usize, Vec<Said>) = (HashMap::new(), 128, Vec::new());
    let mut lengths: HashMap<u8, usize> = HashMap::new();
    while let Some((&first, rest)) = bytes.split_first() {
        let (format, id) = (first >> 6, first & 0x3f);
        assert!(id >= 2, "recordings have short chunk stream ids");
        let (header, rest) = rest.split_at([11, 7, 3, 0][usize::from(format)]);
        let number = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let mut message = last.get(&id).cloned().unwrap_or_default();
        message.chunk_stream = id;
        if format < 3 {
            assert_ne!(number(0), 0xff_ffff);
            message.timestamp = if format == 0 { number(0) } else { message.timestamp + number(0) };
            deltas.insert(id, number(0));
        } else if !open.contains_key(&id) {
            message.timestamp += deltas[&id];
        }
        if format < 2 {
            lengths.insert(id, usize::try_from(number(3)).unwrap());
            message.kind = header[6];
        }
        if format == 0 {
            message.stream.copy_from_slice(&header[7..11]);
        }
        last.insert(id, message.clone());
        let message = open.entry(id).or_insert(message);
        let (piece, rest) = rest.split_at(chunk.min(lengths[&id] - message.body.len()));
        message.body.extend_from_slice(piece);
        bytes = rest;
        if message.body.len() == lengths[&id] {
            let message = open.remove(&id).unwrap();
            if message.kind == 1 {
                chunk = usize::try_from(u32::from_be_bytes(message.body.clone().try_into().unwrap())).unwrap();
            }
            messages.push(message);
        }
    }
    assert!(open.is_empty(), "recordings end with a whole message");
    messages
}

impl Dialect {
    /// The same messages in this dialect.
    pub(crate) fn say(&self, messages: &[Said]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.chunk != 128 {
            let size = u32::try_from(self.chunk).unwrap().to_be_bytes().to_vec();
            Self { chunk: 128, ..*self }
                .write(&Said { chunk_stream: 2, kind: 1, body: size, ..Said::default() }, &mut out);
        }
        // The chunk size of the recording is not that of the dialect.
        for message in messages.iter().filter(|message| message.kind != 1) {
            let names = |name: &str| message.kind == 20 && message.body[3..].starts_with(name.as_bytes());
            if self.is_brief && (names("releaseStream") || names("FCPublish") || names("FCUnpublish")) {
                continue;
            }
            let mut message = message.clone();
            if matches!(message.kind, 8 | 9) {
                message.timestamp += self.shift;
            }
            if self.amf3 && matches!(message.kind, 18 | 20) {
                message.kind -= 3;
                message.body.insert(0, 0);
            }
            self.write(&message, &mut out);
        }
        out
    }

    fn write(&self, message: &Said, out: &mut Vec<u8>) {
        let is_extended = message.timestamp >= 0xff_ffff;
        let extended = message.timestamp.to_be_bytes();
        out.push(message.chunk_stream);
        out.extend_from_slice(if is_extended { &[0xff; 3] } else { &extended[1..] });
        out.extend_from_slice(&u32::try_from(message.body.len()).unwrap().to_be_bytes()[1..]);
        out.push(message.kind);
        out.extend_from_slice(&message.stream);
        for (index, piece) in message.body.chunks(self.chunk).enumerate() {
            if index > 0 {
                out.push(0xc0 | message.chunk_stream);
            }
            if is_extended && (index == 0 || self.repeats) {
                out.extend_from_slice(&extended);
            }
            out.extend_from_slice(piece);
        }
    }
}

/// `bytes` with one text in the place of another, which must be there.
pub(crate) fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}
