//! Viewers of every kind, and what they saw.

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sluicegate_media::{Codec, Content, Frame};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{PATIENCE, Server, WebSocket};

/// A connection that gives media bytes.
pub(crate) enum Connection {
    WebSocket(Box<WebSocket>),
    Http(Incoming),
}

/// A viewer and the bytes that it got.
pub(crate) struct Viewer {
    connection: Connection,
    pub(crate) bytes: Vec<u8>,
    /// Text messages.
    pub(crate) texts: Vec<String>,
    /// Lengths of binary messages or body chunks.
    pub(crate) parts: Vec<usize>,
}

impl Viewer {
    pub(crate) async fn websocket(server: &Server, path: &str) -> Self {
        Self::on(Connection::WebSocket(Box::new(server.websocket(path).await)))
    }

    pub(crate) async fn http(server: &Server, path: &str) -> Self {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        Self::on(Connection::Http(response.into_body()))
    }

    fn on(connection: Connection) -> Self {
        Self { connection, bytes: Vec::new(), texts: Vec::new(), parts: Vec::new() }
    }

    /// The next bytes; `None` at the end.
    async fn part(&mut self) -> Option<Bytes> {
        match &mut self.connection {
            Connection::Http(body) => loop {
                match body.frame().await?.ok()?.into_data() {
                    Ok(data) => return Some(data),
                    Err(_) => continue,
                }
            },
            Connection::WebSocket(websocket) => loop {
                match websocket.next().await?.ok()? {
                    Message::Binary(data) => return Some(data),
                    Message::Text(text) => self.texts.push(text.to_string()),
                    Message::Close(_) => return None,
                    _ => {}
                }
            },
        }
    }

    /// Reads until `what` has been seen.
    pub(crate) async fn until(&mut self, what: &str) {
        let reading = async {
            let mut searched = self.bytes.len().saturating_sub(what.len());
            while !contains(&self.bytes[searched..], what.as_bytes()) {
                searched = self.bytes.len().saturating_sub(what.len());
                let part = self.part().await;
                let part = part.unwrap_or_else(|| panic!("the stream ended before {what}"));
                self.parts.push(part.len());
                self.bytes.extend_from_slice(&part);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{what} did not come"));
    }

    /// The frames of an FLV viewer.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let mut reader = sluicegate_flv::Reader::new(sluicegate_flv::Limits::default());
        reader.handle_bytes(Bytes::copy_from_slice(&self.bytes));
        std::iter::from_fn(|| reader.poll_frame().unwrap()).collect()
    }

    /// The pictures of an FLV viewer.
    pub(crate) fn pictures(&self) -> Vec<Frame> {
        let mut frames = self.frames();
        frames.retain(|frame| frame.codec == Codec::H264 && frame.content == Content::Media);
        frames
    }

    /// The top-level boxes of an MP4 viewer, without one that is not complete yet.
    pub(crate) fn boxes(&self) -> Vec<String> {
        let (mut rest, mut boxes) = (&self.bytes[..], Vec::new());
        while rest.len() >= 8 {
            let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            assert!(size >= 8, "box of {size} bytes");
            let Some(after) = rest.get(size..) else { break };
            boxes.push(String::from_utf8(rest[4..8].to_vec()).unwrap());
            rest = after;
        }
        boxes
    }

    /// The numbers of the pictures in any output, in order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let mark = b"picture ";
        let marks = self.bytes.windows(mark.len()).enumerate().filter(|(_, window)| window == mark);
        let digits = marks.filter_map(|(at, _)| self.bytes.get(at + 8..at + 16));
        digits.map(|digits| std::str::from_utf8(digits).unwrap().parse().unwrap()).collect()
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
