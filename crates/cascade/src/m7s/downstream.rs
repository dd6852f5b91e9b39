//! The site's end, for an upstream that is an original.
//!
//! The original upstream waits for each answer and cannot be told a status, so every request is answered: also one that
//! cannot be read, one too many, and one whose answer is too large, with a body that says why.

use std::collections::VecDeque;

use super::message::{Incoming, read};
use super::{Content, Info, Message, Request};

/// Requests that are worked on at once. The original upstream loses answers beyond a few; more would only hold memory.
pub const MAX_OPEN: usize = 32;
/// Bytes of the body of an answer, at most. Base64 makes it a third larger, which keeps the message below
/// [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES); the original upstream holds such a message several times.
pub const MAX_ANSWER_BYTES: usize = 48 << 20;

/// The session with one original upstream. Every request that it takes gets an answer.
///
/// Empty [`Session::poll_text`] before the next [`Session::handle_text`]: an upstream that sends without reading then
/// waits for itself, and no more than one refusal is held.
#[derive(Debug)]
pub struct Session {
    open: Vec<i64>,
    texts: VecDeque<String>,
    requests: VecDeque<(i64, Request)>,
}

impl Session {
    /// A session of a site that begins by saying who it is.
    #[must_use]
    pub fn new(info: Info) -> Self {
        let hello = Message { sn: 1, content: Content::Info(info) }.encode();
        Self { open: Vec::new(), texts: VecDeque::from([hello]), requests: VecDeque::new() }
    }

    /// Takes what the upstream sent; what is no request is ignored, as the original does.
    pub fn handle_text(&mut self, text: &[u8]) {
        let (sn, request) = match read(text) {
            Incoming::Message(Message { sn, content: Content::Request(request) }) => (sn, Some(request)),
            Incoming::DamagedRequest(sn) => (sn, None),
            Incoming::Message(_) | Incoming::Nothing => return,
        };
        if self.open.contains(&sn) {
            // The answer that is being made has this number, so it answers both.
            return;
        }
        match request {
            None => self.answer(sn, b"the request cannot be read"),
            Some(_) if self.open.len() >= MAX_OPEN => {
                let why = format!("the site works on {MAX_OPEN} requests, which is the limit; ask again later");
                self.answer(sn, why.as_bytes());
            }
            Some(request) => {
                self.open.push(sn);
                self.requests.push_back((sn, request));
            }
        }
    }

    /// Answers a request. A second answer is not sent; one beyond [`MAX_ANSWER_BYTES`] is replaced by a text that says
    /// so.
    pub fn handle_answer(&mut self, sn: i64, body: &[u8]) {
        let Some(at) = self.open.iter().position(|open| *open == sn) else { return };
        self.open.swap_remove(at);
        if body.len() > MAX_ANSWER_BYTES {
            let why = format!("the answer has {} bytes, more than the limit of {MAX_ANSWER_BYTES}", body.len());
            return self.answer(sn, why.as_bytes());
        }
        self.answer(sn, body);
    }

    fn answer(&mut self, sn: i64, body: &[u8]) {
        self.texts.push_back(Message { sn, content: Content::Response(body.to_vec()) }.encode());
    }

    /// The next text to send.
    pub fn poll_text(&mut self) -> Option<String> {
        self.texts.pop_front()
    }

    /// The next request to work on, with the number to answer it by.
    pub fn poll_request(&mut self) -> Option<(i64, Request)> {
        self.requests.pop_front()
    }
}
