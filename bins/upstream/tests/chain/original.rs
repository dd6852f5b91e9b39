//! A site that runs the original plugin, scripted from its description and its recorded bytes: it shares no code with ours.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// A push of the original, byte for byte: `live/test` of site `test-c001`.
const PUSH: &[u8] = include_bytes!("../../../../crates/ws-stream/testdata/push.downstream-to-upstream.bin");

/// A registered original site. It hands over what it is asked and answers when it is told to.
pub(crate) struct Original {
    asked: mpsc::Receiver<Value>,
    write: OwnedWriteHalf,
    waiting: VecDeque<i64>,
}

/// The status that a request is answered with before anything else.
pub(crate) async fn status(address: &str, target: &str) -> u16 {
    let (_, status, _) = dial(address, target).await;
    status
}

async fn dial(address: &str, target: &str) -> (BufReader<OwnedReadHalf>, u16, OwnedWriteHalf) {
    let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    let mut read = BufReader::new(read);
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(read.read_u8().await.unwrap());
    }
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap();
    (read, status, write)
}

/// A masked frame, as Go's library sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => out.push(0x80 | short.to_be_bytes()[1]),
        Ok(medium) => out.extend([&[0xfe][..], &medium.to_be_bytes()].concat()),
        Err(_) => out.extend([&[0xff][..], &(payload.len() as u64).to_be_bytes()].concat()),
    }
    let key = [0x3d, 0x9a, 0x01, 0xf7];
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

impl Original {
    /// Registers in the original's own spelling, behind a path prefix if there is one.
    pub(crate) async fn register(address: &str, prefix: &str, cid: &str) -> Self {
        let target = format!("{prefix}/erwscascade/wsocket/register%3Fcid={cid}");
        let (read, status, mut write) = dial(address, &target).await;
        assert_eq!(status, 101);
        let info = json!({"cid": cid, "name": "gate", "serial": "s1"}).to_string();
        let hello = json!({"sn": 1, "type": 0, "pad": STANDARD.encode(info)}).to_string();
        write.write_all(&frame(0x81, hello.as_bytes())).await.unwrap();
        let (asks, asked) = mpsc::channel(100);
        tokio::spawn(async move { listen(read, asks).await });
        Self { asked, write, waiting: VecDeque::new() }
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> Value {
        let message = sluicegate_testbed::soon("a request", self.asked.recv()).await.unwrap();
        assert_eq!(message["type"], 1, "{message}");
        self.waiting.push_back(message["sn"].as_i64().unwrap());
        let pad = STANDARD.decode(message["pad"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&pad).unwrap()
    }

    /// Answers the oldest request that is not answered.
    pub(crate) async fn answer(&mut self, body: &[u8]) {
        let sn = self.waiting.pop_front().unwrap();
        let text = json!({"sn": sn, "type": 2, "pad": STANDARD.encode(body)}).to_string();
        self.write.write_all(&frame(0x81, text.as_bytes())).await.unwrap();
    }

    /// Answers the newest request that is not answered.
    pub(crate) async fn answer_newest(&mut self, body: &[u8]) {
        let newest = self.waiting.pop_back().unwrap();
        self.waiting.push_front(newest);
        self.answer(body).await;
    }

    /// Whether the other side has hung up.
    pub(crate) async fn is_cut(&mut self) -> bool {
        sluicegate_testbed::soon("the end of the connection", self.asked.recv()).await.is_none()
    }

    /// Does with the oldest request what the original does when it fails: nothing.
    pub(crate) fn fail(&mut self) {
        self.waiting.pop_front().unwrap();
    }
}

/// Reads unmasked frames; nothing of a server's is fragmented here.
async fn listen(mut read: BufReader<OwnedReadHalf>, asks: mpsc::Sender<Value>) -> Option<()> {
    loop {
        let first = read.read_u8().await.ok()?;
        let length = match read.read_u8().await.ok()? {
            126 => usize::from(read.read_u16().await.ok()?),
            127 => usize::try_from(read.read_u64().await.ok()?).ok()?,
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        read.read_exact(&mut payload).await.ok()?;
        if first & 0x0f == 1 {
            asks.send(serde_json::from_slice(&payload).ok()?).await.ok()?;
        }
    }
}

/// Replays the recorded push from its request on. The connection stays open as long as what is returned.
pub(crate) async fn push(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(PUSH).await.unwrap();
    socket
}

/// Pushes an FLV file as the original does, at its own pace, again and again: each tag behind a header without payload.
pub(crate) async fn push_file(address: &str, target: &str, flv: &[u8]) -> tokio::task::JoinHandle<()> {
    let (_read, status, mut write) = dial(address, target).await;
    assert_eq!(status, 101);
    let (start, mut rest) = flv.split_at(13);
    let mut tags = Vec::new();
    while rest.len() > 11 {
        let size = usize::try_from(u32::from_be_bytes([0, rest[1], rest[2], rest[3]])).unwrap();
        let (tag, more) = rest.split_at(size + 15);
        tags.push(tag.to_vec());
        rest = more;
    }
    let metadata = tags.remove(0);
    write.write_all(&[frame(0x82, start), frame(0x82, &metadata)].concat()).await.unwrap();
    tokio::spawn(async move {
        let _read = _read;
        let begun = tokio::time::Instant::now();
        loop {
            for tag in &tags {
                let at = u64::from(u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]));
                tokio::time::sleep_until(begun + std::time::Duration::from_millis(at)).await;
                if write.write_all(&quirk(tag)).await.is_err() {
                    return;
                }
            }
            if begun.elapsed() > std::time::Duration::from_secs(60) {
                return;
            }
        }
    })
}

/// The outer header, then the whole frame.
pub(crate) fn quirk(tag: &[u8]) -> Vec<u8> {
    let inner = frame(0x82, tag);
    let mut outer = inner[..inner.len() - tag.len() - 4].to_vec();
    outer.extend([0x12, 0x34, 0x56, 0x78]);
    [outer, inner].concat()
}
