//! An upstream that runs the original plugin, scripted from its description: it shares no code with ours.
//!
//! It knows two routes and answers everything else with 404. It reads a push as the original does: it drops one frame
//! header and takes the frame behind it for a tag.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What it sees.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A request for a route that it does not know.
    Unknown(String),
    /// A site registers; its connection.
    Register(String, TcpStream),
    /// A tag of a push: the target, the tag.
    Tag(String, Vec<u8>),
}

/// Starts one on a free port.
pub(crate) async fn start() -> (String, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, seen) = mpsc::channel(1_000);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, tell.clone()));
        }
    });
    (address, seen)
}

async fn serve(mut socket: TcpStream, tell: mpsc::Sender<Seen>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    if !target.contains("/register") && !target.starts_with("/erwscascade/wspush/") {
        let _ = socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        return tell.send(Seen::Unknown(target)).await.ok();
    }
    assert!(head.contains("Upgrade: websocket"), "the original wants it in lower case: {head}");
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await.ok()?;
    if target.contains("/register") {
        return tell.send(Seen::Register(target, socket)).await.ok();
    }
    let (_, start) = message(&mut socket).await?;
    assert!(start.starts_with(b"FLV"), "{start:x?}");
    let (_, metadata) = message(&mut socket).await?;
    assert_eq!(metadata[0], 0x12);
    loop {
        header(&mut socket).await?;
        let (_, tag) = message(&mut socket).await?;
        tell.send(Seen::Tag(target.clone(), tag)).await.ok()?;
    }
}

async fn header(socket: &mut TcpStream) -> Option<(u8, usize, [u8; 4])> {
    let first = socket.read_u8().await.ok()?;
    let length = match socket.read_u8().await.ok()? & 0x7f {
        126 => usize::from(socket.read_u16().await.ok()?),
        127 => usize::try_from(socket.read_u64().await.ok()?).ok()?,
        short => usize::from(short),
    };
    let mut key = [0; 4];
    socket.read_exact(&mut key).await.ok()?;
    Some((first, length, key))
}

/// The first byte and the payload of the next frame.
pub(crate) async fn message(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let (first, length, key) = header(socket).await?;
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).await.ok()?;
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((first, payload))
}

/// The next message of a register connection that is one; pings are answered as Go's library does.
pub(crate) async fn said(socket: &mut TcpStream) -> Option<Value> {
    loop {
        let (first, payload) = message(socket).await?;
        match first & 0x0f {
            1 | 2 => return serde_json::from_slice(&payload).ok(),
            9 => write(socket, 0x8a, &payload).await,
            _ => {}
        }
    }
}

/// Asks the site.
pub(crate) async fn ask(socket: &mut TcpStream, sn: i64, url: &str) {
    let pad = json!({"url": url, "header": {}, "method": "GET", "body": null}).to_string();
    let text = json!({"sn": sn, "type": 1, "pad": STANDARD.encode(pad)}).to_string();
    write(socket, 0x81, text.as_bytes()).await;
}

/// An unmasked frame.
pub(crate) async fn write(socket: &mut TcpStream, first: u8, payload: &[u8]) {
    let mut out = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => out.push(short.to_be_bytes()[1]),
        Ok(medium) => out.extend([&[126][..], &medium.to_be_bytes()].concat()),
        Err(_) => out.extend([&[127][..], &(payload.len() as u64).to_be_bytes()].concat()),
    }
    out.extend(payload);
    socket.write_all(&out).await.unwrap();
}

/// What a message carries.
pub(crate) fn pad(message: &Value) -> Vec<u8> {
    STANDARD.decode(message["pad"].as_str().unwrap()).unwrap()
}
