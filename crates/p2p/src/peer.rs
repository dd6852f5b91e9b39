//! What one peer and we say to each other over a data channel, without the channel.
//!
//! *Input*: [`Session::handle_text`], [`Session::handle_binary`], [`Session::handle_looked`] and
//! [`Session::handle_loaded`]. *Output*, after any input: [`Session::poll_output`] until it is empty; then, while the
//! [pacer](crate::pacer) lets a message of [`Session::next_length`] go, [`Session::poll_chunk`].

mod fetch;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use sluicegate_net::allowance::Allowance;

pub use fetch::{Fetch, Progress, Step};
pub use sender::Sender;

use crate::chunk::{Code, Header, Key, Message, VERSION, unframe};

/// What one peer may make us do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Segments that wait to be sent to it, those being sent among them. Default 64.
    pub tasks: usize,
    /// Segments that are loaded for it or sent to it at the same time, chunk by chunk in turn. Default 4; each holds one
    /// segment in memory.
    pub active: usize,
    /// Questions of it that are looked into at the same time. Default 8.
    pub lookups: usize,
    /// Questions that wait for this. Default 64.
    pub questions: usize,
    /// Text messages that it may send at once. Default 400.
    pub burst: u32,
    /// Text messages that it may send in a second for long. Default 200; a browser sends a few.
    pub rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tasks: 64, active: 4, lookups: 8, questions: 64, burst: 400, rate: 200 }
    }
}

/// What a session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Say(Message),
    /// See whether the segment exists, or only whether it is at hand; the answer goes to [`Session::handle_looked`].
    Look {
        /// The segment.
        key: Key,
        /// Whether only segments count that need not be got from elsewhere.
        cached: bool,
    },
    /// Get the segment; the answer goes to [`Session::handle_loaded`].
    Load(Key),
    /// The peer has a segment that we have asked for.
    Found(Key),
    /// The peer cannot send a segment that it said it had.
    Refused(Key, Code),
    /// A part of a segment came.
    Chunk(Header, Bytes),
    /// We cannot send a segment; for logs and metrics. Where the peer speaks our version, it is told.
    Failed(Key, Code),
    /// The peer has told what it is.
    Hello {
        /// Bytes that it can take in one burst, where it is a node of ours.
        window: Option<u32>,
        /// Further connections that it takes.
        strands: usize,
    },
    /// The peer offers a further connection: its number and description.
    Offered(u32, String),
    /// The peer answers our offer of one, or refuses it.
    Answered(u32, Option<String>),
    /// A message was dropped, and why; for metrics.
    Dropped(&'static str),
}

/// One peer.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    sender: Sender,
    /// What the peer speaks beyond the old protocol.
    version: Option<u64>,
    questions: VecDeque<(Key, bool)>,
    looking: usize,
    outputs: VecDeque<Output>,
    allowance: Allowance,
}

impl Session {
    /// A peer whose channel has just opened. It is told that we can take a burst of `window` bytes, and so many further
    /// connections.
    #[must_use]
    pub fn new(now: Instant, limits: Limits, window: u32, strands: usize) -> Self {
        let sender = Sender::new(limits.tasks, limits.active);
        let allowance = Allowance::new(now, limits.burst, limits.rate);
        // Existing nodes ping at this point, and so do we; they ignore the second.
        let hello = Message::Hello { version: VERSION, window: Some(window), strands };
        let outputs = [Message::Ping, hello].map(Output::Say).into();
        Self { limits, sender, version: None, questions: VecDeque::new(), looking: 0, outputs, allowance }
    }

    /// Whether the peer speaks our version.
    #[must_use]
    pub fn speaks_ours(&self) -> bool {
        self.version.is_some()
    }

    /// Segments that wait to be sent.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.sender.len()
    }

    /// Takes a text message.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        if !self.allowance.take(now) {
            self.outputs.push_back(Output::Dropped("rate"));
            return;
        }
        let Some(message) = Message::decode(text) else {
            self.outputs.push_back(Output::Dropped("unknown"));
            return;
        };
        match message {
            Message::Ping => self.outputs.push_back(Output::Say(Message::Pong)),
            Message::Pong => {}
            Message::Query(key) => self.question(key, false),
            Message::QueryCached(key) => self.question(key, true),
            Message::Found(key) => self.outputs.push_back(Output::Found(key)),
            Message::Resolve(key) => self.task(key, None),
            Message::Resend(key, chunks) => self.task(key, Some(chunks)),
            Message::Quit(key) => {
                self.sender.quit(&key);
                self.questions.retain(|(asked, _)| *asked != key);
                self.load();
            }
            Message::QuitAll => {
                self.sender.clear();
                self.questions.clear();
            }
            Message::Hello { version, window, strands } => {
                self.version = Some(version);
                self.outputs.push_back(Output::Hello { window, strands });
            }
            Message::Offer(strand, sdp) if self.speaks_ours() => self.outputs.push_back(Output::Offered(strand, sdp)),
            Message::Answer(strand, sdp) => self.outputs.push_back(Output::Answered(strand, sdp)),
            Message::Offer(..) => self.outputs.push_back(Output::Dropped("unknown")),
            Message::Error(key, code) => self.outputs.push_back(Output::Refused(key, code)),
        }
    }

    /// Takes a binary message.
    pub fn handle_binary(&mut self, bytes: &Bytes) {
        self.outputs.push_back(match unframe(bytes) {
            Some((header, payload)) => Output::Chunk(header, payload),
            None => Output::Dropped("unknown"),
        });
    }

    fn question(&mut self, key: Key, cached: bool) {
        if key.parts().is_none() || Header::check(&key, 1).is_err() {
            return;
        }
        if self.questions.len() < self.limits.questions {
            self.questions.push_back((key, cached));
            self.look();
        } else {
            self.outputs.push_back(Output::Dropped("questions"));
        }
    }

    fn look(&mut self) {
        while self.looking < self.limits.lookups
            && let Some((key, cached)) = self.questions.pop_front()
        {
            self.looking += 1;
            self.outputs.push_back(Output::Look { key, cached });
        }
    }

    /// Takes what came of [`Output::Look`]: the segment's bytes where it exists.
    pub fn handle_looked(&mut self, key: Key, length: Option<u64>) {
        self.looking = self.looking.saturating_sub(1);
        // Nobody can read chunks whose header does not fit: they are not promised.
        let length = length.and_then(|length| usize::try_from(length).ok()).filter(|length| *length > 0);
        if length.is_some_and(|length| Header::check(&key, length).is_ok()) {
            self.outputs.push_back(Output::Say(Message::Found(key)));
        }
        self.look();
    }

    fn task(&mut self, key: Key, chunks: Option<Vec<usize>>) {
        let framed = Header::check(&key, 1).map_err(|_| Code::Unframed);
        let named = key.parts().map(drop).ok_or(Code::NotFound);
        match named.and(framed).and_then(|()| self.sender.resolve(key.clone(), chunks)) {
            Ok(()) => self.load(),
            Err(code) => self.fail(key, code),
        }
    }

    fn load(&mut self) {
        while let Some(key) = self.sender.next_load() {
            self.outputs.push_back(Output::Load(key));
        }
    }

    /// Takes what came of [`Output::Load`].
    pub fn handle_loaded(&mut self, key: &Key, segment: Result<Bytes, Code>) {
        for code in self.sender.loaded(key, segment) {
            self.fail(key.clone(), code);
        }
        self.load();
    }

    fn fail(&mut self, key: Key, code: Code) {
        if self.speaks_ours() {
            self.outputs.push_back(Output::Say(Message::Error(key.clone(), code)));
        }
        self.outputs.push_back(Output::Failed(key, code));
    }

    /// What is to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Bytes of the next chunk's message, if there is one to send.
    #[must_use]
    pub fn next_length(&self) -> Option<usize> {
        self.sender.next_length()
    }

    /// The next chunk's message.
    pub fn poll_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.sender.next_chunk();
        self.load();
        chunk
    }
}
