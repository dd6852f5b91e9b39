//! What RTMP players and publishers say, all at once: the server needs none of its answers to be waited for.

/// Bytes of C1 and of C2.
const PACKET_BYTES: usize = 1_536;
/// AMF0 null, as a command object.
const NULL: &[u8] = &[5];

/// Bytes of a chunk of a publisher: a message is one.
const CHUNK: u32 = 65_536;

/// The handshake, `connect`, `createStream` and `play` of a stream `APP/NAME`.
pub(crate) fn request(path: &str) -> Vec<u8> {
    let (mut out, name) = opening(path);
    out.extend(command("play", 3.0, 1, &[NULL, &text(name)].concat()));
    out
}

/// The same to publish, and the size of its chunks.
pub(crate) fn announcement(path: &str) -> Vec<u8> {
    let (mut out, name) = opening(path);
    out.extend(command("publish", 3.0, 1, &[NULL, &text(name), &text("live")].concat()));
    out.extend(message(2, 1, 0, 0, &CHUNK.to_be_bytes()));
    out
}

/// The tags of FLV as messages of stream 1, each in one chunk. What is not a tag of sound or pictures is left out.
pub(crate) fn messages(mut flv: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if flv.starts_with(b"FLV") {
        flv = flv.get(13..).unwrap_or_default();
    }
    while let [kind @ (8 | 9), s0, s1, s2, t0, t1, t2, t3, _, _, _, rest @ ..] = flv {
        let size = usize::try_from(u32::from_be_bytes([0, *s0, *s1, *s2])).unwrap_or_default();
        let body = rest.get(..size).unwrap_or_default();
        out.extend(message(kind - 4, *kind, u32::from_be_bytes([*t3, *t0, *t1, *t2]), 1, body));
        flv = rest.get(size + 4..).unwrap_or_default();
    }
    out
}

/// A message in one chunk of type 0, with a timestamp of 24 bits.
fn message(chunk_stream: u8, kind: u8, millis: u32, stream: u8, body: &[u8]) -> Vec<u8> {
    let [_, time @ ..] = millis.to_be_bytes();
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    [&[chunk_stream][..], &time, &length, &[kind, stream, 0, 0, 0], body].concat()
}

/// The handshake, `connect` and `createStream`; and the stream's name in its application.
fn opening(path: &str) -> (Vec<u8>, &str) {
    let (app, name) = path.split_once('/').unwrap_or((path, ""));
    let mut out = vec![3];
    out.resize(1 + 2 * PACKET_BYTES, 0);
    let members = [&[3][..], &text("app")[1..], &text(app), &[0, 0, 9]].concat();
    out.extend(command("connect", 1.0, 0, &members));
    out.extend(command("createStream", 2.0, 0, NULL));
    (out, name)
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or_default().to_be_bytes();
    [&[2][..], &length, text.as_bytes()].concat()
}

/// A command in one chunk, which 128 bytes are enough for.
fn command(name: &str, transaction: f64, stream: u8, arguments: &[u8]) -> Vec<u8> {
    let body = [&text(name)[..], &[0], &transaction.to_be_bytes(), arguments].concat();
    message(3, 20, 0, stream, &body)
}
