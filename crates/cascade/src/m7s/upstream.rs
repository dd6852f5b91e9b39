//! The public host's end: requests to one original site, and whose answer is whose.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Content, Info, Message, Request};

/// Requests that wait for a site, the sent ones included. The original answers one after the other, so more would only
/// wait for their deadline.
pub const MAX_WAITING: usize = 64;
/// Requests that are sent before their answers: enough to hide the way there and back, few enough that a request that
/// is given up while it waits here is mostly never sent.
pub const WINDOW: usize = 4;

/// Names a request between its asker and the session.
pub type Asker = u64;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The site says who it is.
    Info(Info),
    /// The answer to this asker's request.
    Answer(Asker, Vec<u8>),
    /// No answer came in time. Should it still come, nobody gets it.
    Expired(Asker),
    /// An answer that nobody waits for any more was dropped.
    Late,
}

/// The site has as many requests waiting as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} requests wait for this site, which is the limit")]
pub struct Full;

#[derive(Debug)]
struct Waiting {
    asker: Asker,
    expires: Instant,
    /// Its number once it is sent; until then the request.
    state: State,
}

#[derive(Debug)]
enum State {
    Queued(Request),
    Sent(i64),
}

/// The session with one original site.
#[derive(Debug, Default)]
pub struct Session {
    waiting: VecDeque<Waiting>,
    last_sn: i64,
    events: VecDeque<Event>,
}

impl Session {
    /// A session with a site that has just dialled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the site; the answer must come within `deadline`, the wait for others' answers included.
    ///
    /// # Errors
    /// [`Full`].
    pub fn ask(&mut self, asker: Asker, request: Request, now: Instant, deadline: Duration) -> Result<(), Full> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(Full);
        }
        let expires = now.checked_add(deadline).unwrap_or(now);
        self.waiting.push_back(Waiting { asker, expires, state: State::Queued(request) });
        Ok(())
    }

    /// The asker has gone away.
    pub fn cancel(&mut self, asker: Asker) {
        self.waiting.retain(|waiting| waiting.asker != asker);
    }

    /// Takes what the site sent; what is no message is ignored.
    pub fn handle_text(&mut self, text: &[u8]) {
        match Message::decode(text) {
            Some(Message { content: Content::Info(info), .. }) => self.events.push_back(Event::Info(info)),
            Some(Message { sn, content: Content::Response(body) }) => self.answered(sn, body),
            Some(Message { content: Content::Request(_), .. }) | None => {}
        }
    }

    fn answered(&mut self, sn: i64, body: Vec<u8>) {
        let of = |waiting: &Waiting| matches!(waiting.state, State::Sent(sent) if sent == sn);
        let at = self.waiting.iter().position(of);
        match at.and_then(|at| self.waiting.remove(at)) {
            Some(waiting) => self.events.push_back(Event::Answer(waiting.asker, body)),
            None => self.events.push_back(Event::Late),
        }
    }

    /// Gives up what has waited for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let events = &mut self.events;
        self.waiting.retain(|waiting| {
            let over = waiting.expires <= now;
            if over {
                events.push_back(Event::Expired(waiting.asker));
            }
            !over
        });
    }

    /// When [`Session::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.expires).min()
    }

    /// The next text to send.
    pub fn poll_text(&mut self) -> Option<String> {
        let sent = self.waiting.iter().filter(|waiting| matches!(waiting.state, State::Sent(_))).count();
        if sent >= WINDOW {
            return None;
        }
        let next = self.waiting.iter_mut().find(|waiting| matches!(waiting.state, State::Queued(_)))?;
        // A number is not used again within the life of a connection.
        self.last_sn = self.last_sn.wrapping_add(1);
        let State::Queued(request) = std::mem::replace(&mut next.state, State::Sent(self.last_sn)) else { return None };
        Some(Message { sn: self.last_sn, content: Content::Request(request) }.encode())
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
