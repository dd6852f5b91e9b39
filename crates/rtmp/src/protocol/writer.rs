//! Messages to chunks (RTMP 5.3.1).

use bytes::{BufMut, BytesMut};

use super::message::kind;

/// Payload bytes of a chunk that we send. 60,000, as SRS and librtmp's users have long sent; a picture of a usual stream
/// is one chunk then, and a key frame a few.
pub const CHUNK_BYTES: u32 = 60_000;
/// The message stream on which we serve media: the first that `createStream` gives.
pub const MEDIA_STREAM: u32 = 1;
/// The chunk size before anybody sets one (RTMP 5.4.1).
pub(super) const INITIAL_CHUNK_BYTES: u32 = 128;
/// What the timestamp field holds when the timestamp follows in four bytes (RTMP 5.3.1.3).
const EXTENDED: u32 = 0x00ff_ffff;

/// The chunk stream of a message type. All are below 64, so the basic header has one byte.
const fn chunk_stream(message_kind: u8) -> u8 {
    match message_kind {
        kind::AUDIO => 4,
        kind::VIDEO => 6,
        kind::DATA | kind::DATA_AMF3 => 5,
        kind::COMMAND | kind::COMMAND_AMF3 => 3,
        _ => 2,
    }
}

/// Appends a message in chunks of up to `chunk_bytes`. The first has a whole header, so the bytes mean the same on every
/// connection that has this chunk size. A payload over 16 MiB cannot be told in its length field and is left out.
///
/// ```text
/// fmt 0, csid  timestamp  length  type  message stream, little endian  [extended timestamp]  payload
/// u8           u24        u24     u8    u32                            u32
/// fmt 3, csid  [extended timestamp]  payload, for each further chunk
/// ```
pub fn write_message(
    message_kind: u8,
    timestamp: u32,
    stream: u32,
    payload: &[u8],
    chunk_bytes: u32,
    out: &mut BytesMut,
) {
    let Some([0, length @ ..]) = u32::try_from(payload.len()).ok().map(u32::to_be_bytes) else { return };
    let id = chunk_stream(message_kind);
    let extended = timestamp >= EXTENDED;
    let [_, a, b, c] = timestamp.min(EXTENDED).to_be_bytes();
    out.put_slice(&[id, a, b, c]);
    out.put_slice(&length);
    out.put_u8(message_kind);
    out.put_u32_le(stream);
    let size = usize::try_from(chunk_bytes).unwrap_or(usize::MAX).max(1);
    let mut chunks = payload.chunks(size);
    if extended {
        out.put_u32(timestamp);
    }
    out.put_slice(chunks.next().unwrap_or_default());
    for chunk in chunks {
        out.put_u8(0b1100_0000 | id);
        if extended {
            out.put_u32(timestamp);
        }
        out.put_slice(chunk);
    }
}
