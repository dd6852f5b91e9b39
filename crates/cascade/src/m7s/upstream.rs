//! The public host's end: requests to one original site, and whose answer is whose.
//!
//! The original works on one request after the other and is silent about one that fails, so silence does not tell a site
//! that is busy from one that has gone past the request. The session therefore neither waits for each answer nor trusts
//! a site with everything: [`WINDOW`] requests are under way, one more after each [`STALL`] without any answer, never
//! more than [`MAX_UNANSWERED`]. An answer shows that the site is done with whatever was sent before it, so those no
//! longer count. A request counts until its deadline also when its asker has gone: the site works on it all the same.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Content, Info, Message, Request};

/// Requests that wait for a site, the sent ones included. The original answers one after the other, so more would only
/// wait for their deadline.
pub const MAX_WAITING: usize = 64;
/// Requests that are sent before their answers: enough to hide the way there and back, few enough that a request that
/// is given up while it waits here is mostly never sent.
pub const WINDOW: usize = 4;
/// Requests that are under way to a site that answers nothing, at most. A page of this many broken pictures does not
/// stop a site; a site that hangs is not made to work through more when it comes back.
pub const MAX_UNANSWERED: usize = 16;
/// How long nothing is answered before one request more than the window is sent: longer than a quick answer takes, and
/// short enough that [`MAX_UNANSWERED`] is reached within the plugin's deadline of 10 s.
pub const STALL: Duration = Duration::from_millis(500);
/// Bytes of each text in a site's [`Info`] that are kept: it is shown, and a site could fill a message with it.
pub const MAX_INFO_BYTES: usize = 256;

/// Names a request between its asker and the session.
pub type Asker = u64;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The site says who it is, each text cut at [`MAX_INFO_BYTES`].
    Info(Info),
    /// The answer to this asker's request.
    Answer(Asker, Vec<u8>),
    /// No answer came in time. Should it still come, nobody gets it.
    Expired(Asker),
    /// An answer that nobody waits for any more was dropped.
    Late,
    /// What the site sent is no message for us: bad JSON, an unknown type, a request. The original ignores it too.
    Ignored,
}

/// The site has as many requests waiting as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} requests wait for this site, which is the limit")]
pub struct Full;

#[derive(Debug)]
struct Waiting {
    /// `None` when the asker has gone and the site still works on the request.
    asker: Option<Asker>,
    expires: Instant,
    /// Its number once it is sent; until then the request.
    state: State,
}

#[derive(Debug)]
enum State {
    Queued(Request),
    Sent(i64),
}

impl Waiting {
    const fn sent(&self) -> Option<i64> {
        match self.state {
            State::Sent(sn) => Some(sn),
            State::Queued(_) => None,
        }
    }
}

/// The session with one original site.
#[derive(Debug, Default)]
pub struct Session {
    waiting: VecDeque<Waiting>,
    last_sn: i64,
    /// The newest number that was answered; the site is done with those before it.
    answered: i64,
    /// Requests beyond the window that silence has earned; with the window never more than [`MAX_UNANSWERED`].
    extra: usize,
    /// Since when requests wait for the window, or when the last extra one was granted.
    stalled: Option<Instant>,
    /// The latest instant that the session was told.
    now: Option<Instant>,
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
        self.now = Some(now);
        if self.waiting.len() >= MAX_WAITING {
            return Err(Full);
        }
        let expires = now.checked_add(deadline).unwrap_or(now);
        self.waiting.push_back(Waiting { asker: Some(asker), expires, state: State::Queued(request) });
        Ok(())
    }

    /// The asker has gone away. What is not sent yet is never sent.
    pub fn cancel(&mut self, asker: Asker) {
        let answered = self.answered;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.asker == Some(asker)) {
            waiting.asker = None;
        }
        self.waiting.retain(|waiting| waiting.asker.is_some() || waiting.sent().is_some_and(|sn| sn > answered));
    }

    /// Takes what the site sent; what is no message is an event and nothing else.
    pub fn handle_text(&mut self, text: &[u8]) {
        match Message::decode(text) {
            Some(Message { content: Content::Info(info), .. }) => self.events.push_back(Event::Info(shortened(info))),
            Some(Message { sn, content: Content::Response(body) }) => self.handle_answer(sn, body),
            Some(Message { content: Content::Request(_), .. }) | None => self.events.push_back(Event::Ignored),
        }
    }

    fn handle_answer(&mut self, sn: i64, body: Vec<u8>) {
        let at = self.waiting.iter().position(|waiting| waiting.sent() == Some(sn));
        let asker = at.and_then(|at| self.waiting.remove(at)).and_then(|waiting| waiting.asker);
        self.events.push_back(asker.map_or(Event::Late, |asker| Event::Answer(asker, body)));
        // A number that was never given says nothing about where the site is.
        if (1..=self.last_sn).contains(&sn) {
            self.answered = self.answered.max(sn);
            (self.extra, self.stalled) = (0, None);
            let answered = self.answered;
            self.waiting.retain(|waiting| waiting.asker.is_some() || waiting.sent().is_some_and(|sn| sn > answered));
        }
    }

    /// Gives up what has waited for too long, and lets one more request go to a site that is silent.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        let events = &mut self.events;
        self.waiting.retain(|waiting| {
            let over = waiting.expires <= now;
            if over {
                events.extend(waiting.asker.map(Event::Expired));
            }
            !over
        });
        self.stalled = match self.stalled {
            _ if !self.is_blocked() => None,
            Some(since) if after_stall(since) <= now => {
                self.extra = self.extra.saturating_add(1);
                Some(now)
            }
            since => since.or(Some(now)),
        };
    }

    /// When [`Session::handle_timeout`] has something to do. Empty [`Session::poll_text`] before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expires = self.waiting.iter().map(|waiting| waiting.expires).min();
        // A wait that has just begun is due at once: the timeout that follows notes when that was.
        let more = if self.is_blocked() { self.stalled.map(after_stall).or(self.now) } else { None };
        expires.into_iter().chain(more).min()
    }

    /// The next text to send.
    pub fn poll_text(&mut self) -> Option<String> {
        if self.under_way() >= self.allowed() {
            return None;
        }
        let next = self.waiting.iter_mut().find(|waiting| waiting.sent().is_none())?;
        // A number is not used again within the life of a connection.
        self.last_sn = self.last_sn.wrapping_add(1);
        let State::Queued(request) = std::mem::replace(&mut next.state, State::Sent(self.last_sn)) else { return None };
        Some(Message { sn: self.last_sn, content: Content::Request(request) }.encode())
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Requests that the site may be working on.
    fn under_way(&self) -> usize {
        self.waiting.iter().filter_map(Waiting::sent).filter(|sn| *sn > self.answered).count()
    }

    fn allowed(&self) -> usize {
        WINDOW.saturating_add(self.extra)
    }

    /// Whether requests wait for the window, and silence can open it further.
    fn is_blocked(&self) -> bool {
        let queued = || self.waiting.iter().any(|waiting| waiting.sent().is_none());
        self.allowed() < MAX_UNANSWERED && self.under_way() >= self.allowed() && queued()
    }
}

fn after_stall(since: Instant) -> Instant {
    since.checked_add(STALL).unwrap_or(since)
}

fn shortened(mut info: Info) -> Info {
    for text in [&mut info.cid, &mut info.name, &mut info.serial] {
        text.truncate(text.floor_char_boundary(MAX_INFO_BYTES));
    }
    info
}
