//! The site's end, for an upstream that is an original.

use std::collections::VecDeque;

use super::{Content, Info, Message, Request};

/// Requests that are worked on at once. The original upstream loses answers beyond a few; more would only hold memory.
pub const MAX_OPEN: usize = 32;

/// The session with one original upstream. Every request that it takes gets an answer.
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
        let Some(Message { sn, content: Content::Request(request) }) = Message::decode(text) else { return };
        if self.open.contains(&sn) {
            // The original numbers requests anew after each restart, never twice in one connection.
            return;
        }
        self.open.push(sn);
        if self.open.len() > MAX_OPEN {
            return self.handle_answer(sn, b"the site has too many requests at once");
        }
        self.requests.push_back((sn, request));
    }

    /// Answers a request. A second answer is not sent.
    pub fn handle_answer(&mut self, sn: i64, body: &[u8]) {
        if let Some(at) = self.open.iter().position(|open| *open == sn) {
            self.open.swap_remove(at);
            self.texts.push_back(Message { sn, content: Content::Response(body.to_vec()) }.encode());
        }
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
