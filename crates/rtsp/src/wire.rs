//! RTSP on the wire (RFC 2326 sections 4 to 7, and 10.12 for interleaved data): bytes to messages and back, bounded.

use bytes::{Buf, Bytes, BytesMut};

pub(crate) mod rtp;

/// Bytes of a message's first line and headers. Real ones have some hundred; digest credentials make the longest.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// Headers of a message.
const MAX_HEADERS: usize = 64;
/// Bytes of a message's body. Session descriptions have about one KiB.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// `$`, which begins interleaved data.
pub(crate) const DOLLAR: u8 = b'$';
/// `$`, channel and length.
pub(crate) const FRAME_HEAD: usize = 4;

/// What a peer says that it must not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A head, or the number of its headers, is beyond the limit.
    #[error("a head of more than {limit} bytes")]
    Head {
        /// The limit in bytes.
        limit: usize,
    },
    /// A body beyond the limit.
    #[error("a body of more than {limit} bytes")]
    Body {
        /// The limit in bytes.
        limit: usize,
    },
    /// A first line or a header that is none.
    #[error("a line that is neither RTSP nor a header")]
    Line,
    /// `Content-Length` is no number.
    #[error("Content-Length is no number")]
    Length,
    /// An answer to nothing, or an unusable one.
    #[error("the server's answer to {method} cannot be used")]
    Answer {
        /// What was asked.
        method: &'static str,
    },
    /// Nothing came for too long.
    #[error("the other side was silent for too long")]
    Silent,
    /// The other side refuses.
    #[error("the server answers {method} with {status}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// The status code (RFC 2326 section 7.1.1).
        status: u16,
    },
    /// The session description is none, or has nothing that can be carried.
    #[error("nothing in the session description can be carried")]
    Description,
}

/// A request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) start: Start,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// A first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    Request { method: String, uri: String },
    Answer { status: u16 },
}

/// What arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Message),
    /// A packet on a channel, cut from what was read.
    Data {
        channel: u8,
        payload: Bytes,
    },
}

impl Message {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str())
    }

    /// Its number, which an answer repeats.
    pub(crate) fn cseq(&self) -> Option<u32> {
        self.header("CSeq")?.trim().parse().ok()
    }

    /// Its bytes. A body gets its length.
    pub(crate) fn encode(&self) -> Bytes {
        let mut head = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} RTSP/1.0\r\n"),
            Start::Answer { status } => format!("RTSP/1.0 {status} {}\r\n", phrase(*status)),
        };
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {}\r\n", one_line(value)));
        }
        if !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = BytesMut::from(head.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.freeze()
    }
}

/// A header's value cannot begin another header.
fn one_line(value: &str) -> String {
    value.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The words behind a status code (RFC 2326 section 7.1.1).
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        415 => "Unsupported Media Type",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        461 => "Unsupported Transport",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "RTSP Version Not Supported",
        551 => "Option not supported",
        _ => "Error",
    }
}

/// Cuts messages and packets from bytes in any pieces.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: BytesMut,
    /// How far the head was searched for its end, so that slow bytes are not searched again and again.
    searched: usize,
    /// A head whose body is awaited, and the body's length.
    open: Option<(Message, usize)>,
}

impl Reader {
    /// Takes bytes. Those that follow the last ones in memory, too, are not copied.
    pub(crate) fn handle_bytes(&mut self, bytes: BytesMut) {
        self.buffer.unsplit(bytes);
    }

    /// The next message or packet, `None` when bytes are missing.
    pub(crate) fn poll(&mut self) -> Result<Option<Item>, Violation> {
        if let Some(message) = self.body() {
            return Ok(Some(Item::Message(message)));
        }
        if self.open.is_some() {
            return Ok(None);
        }
        // Empty lines between messages are keep-alives of some clients.
        while self.searched == 0 && matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
            self.buffer.advance(1);
        }
        if self.buffer.first() == Some(&DOLLAR) {
            return Ok(self.data());
        }
        let Some(length) = self.head_length() else {
            let too_long = self.buffer.len() > MAX_HEAD;
            return if too_long { Err(Violation::Head { limit: MAX_HEAD }) } else { Ok(None) };
        };
        if length > MAX_HEAD {
            return Err(Violation::Head { limit: MAX_HEAD });
        }
        let head = self.buffer.split_to(length);
        self.searched = 0;
        let message = parse(&String::from_utf8_lossy(&head))?;
        let length = match message.header("Content-Length") {
            Some(length) => length.trim().parse().map_err(|_| Violation::Length)?,
            None => 0,
        };
        if length > MAX_BODY {
            return Err(Violation::Body { limit: MAX_BODY });
        }
        self.open = Some((message, length));
        Ok(self.body().map(Item::Message))
    }

    fn body(&mut self) -> Option<Message> {
        let (_, length) = self.open.as_ref()?;
        if self.buffer.len() < *length {
            return None;
        }
        let (mut message, length) = self.open.take()?;
        message.body = self.buffer.split_to(length).freeze();
        Some(message)
    }

    fn data(&mut self) -> Option<Item> {
        let &[_, channel, high, low] = self.buffer.first_chunk::<FRAME_HEAD>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.buffer.len() < FRAME_HEAD.saturating_add(length) {
            return None;
        }
        self.buffer.advance(FRAME_HEAD);
        Some(Item::Data { channel, payload: self.buffer.split_to(length).freeze() })
    }

    /// The length of the head with its empty line.
    fn head_length(&mut self) -> Option<usize> {
        let length = head_length(&self.buffer, self.searched);
        if length.is_none() {
            self.searched = self.buffer.len();
        }
        length
    }
}

/// The length of a head with its empty line, of which the first bytes were `searched` in vain; lines may end without a
/// carriage return.
pub(crate) fn head_length(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    let rest = bytes.get(from..).unwrap_or_default();
    for (at, &byte) in rest.iter().enumerate() {
        let rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        let ends = if rest.starts_with(b"\n") { 2 } else { 3 };
        if byte == b'\n' && (ends == 2 || rest.starts_with(b"\r\n")) {
            return Some(from.saturating_add(at).saturating_add(ends));
        }
    }
    None
}

fn parse(head: &str) -> Result<Message, Violation> {
    let mut lines = head.lines();
    let start = start(lines.next().unwrap_or_default()).ok_or(Violation::Line)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            // A header goes on (RFC 2326 section 4, as RFC 822 has it).
            let (_, value) = headers.last_mut().ok_or(Violation::Line)?;
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(Violation::Line)?;
        if headers.len() >= MAX_HEADERS {
            return Err(Violation::Head { limit: MAX_HEAD });
        }
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Message { start, headers, body: Bytes::new() })
}

/// A first line, `None` for what is none.
pub(crate) fn start(line: &str) -> Option<Start> {
    if let Some(rest) = line.strip_prefix("RTSP/1.") {
        let status = rest.split_ascii_whitespace().nth(1)?;
        return Some(Start::Answer { status: status.parse().ok()? });
    }
    // URIs of some clients have spaces.
    let (method, rest) = line.split_once(' ')?;
    let (uri, version) = rest.trim().rsplit_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let uri = uri.trim().to_owned();
    (is_method && version.starts_with("RTSP/1.")).then(|| Start::Request { method: method.to_owned(), uri })
}

/// One fuzzed run over bytes of a peer.
pub fn fuzz_reader(data: &[u8]) {
    let mut reader = Reader::default();
    reader.handle_bytes(data.into());
    while let Ok(Some(_)) = reader.poll() {}
}

#[cfg(test)]
mod tests;
