//! What an RTMP player says, all at once: the server needs none of its answers to be waited for.

/// Bytes of C1 and of C2.
const PACKET_BYTES: usize = 1_536;
/// AMF0 null, as a command object.
const NULL: &[u8] = &[5];

/// The handshake, `connect`, `createStream` and `play` of a stream `APP/NAME`.
pub(crate) fn request(path: &str) -> Vec<u8> {
    let (app, name) = path.split_once('/').unwrap_or((path, ""));
    let mut out = vec![3];
    out.resize(1 + 2 * PACKET_BYTES, 0);
    let members = [&[3][..], &text("app")[1..], &text(app), &[0, 0, 9]].concat();
    out.extend(command("connect", 1.0, 0, &members));
    out.extend(command("createStream", 2.0, 0, NULL));
    out.extend(command("play", 3.0, 1, &[NULL, &text(name)].concat()));
    out
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or_default().to_be_bytes();
    [&[2][..], &length, text.as_bytes()].concat()
}

/// A command in one chunk, which 128 bytes are enough for.
fn command(name: &str, transaction: f64, stream: u8, arguments: &[u8]) -> Vec<u8> {
    let body = [&text(name)[..], &[0], &transaction.to_be_bytes(), arguments].concat();
    let length = u8::try_from(body.len()).unwrap_or_default();
    [&[3, 0, 0, 0, 0, 0, length, 20, stream, 0, 0, 0][..], &body].concat()
}
