//! Getting one segment from whichever peer has it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::chunk::{Assembly, Header, Key, Message};

/// How long a peer that speaks our version may send nothing before we ask for what is missing: longer than SCTP waits
/// before it repeats the end of a burst.
const STALL: Duration = Duration::from_millis(1_500);
/// How long an existing peer may send nothing before we ask another: its first chunk takes 1.1 s.
const OLD_STALL: Duration = Duration::from_secs(3);
/// How long it may take until its first chunk: others come before us.
const FIRST: Duration = Duration::from_secs(2);
/// How often the missing chunks are asked for in a row without one coming.
const RESENDS: u32 = 3;
/// How long a segment may take in all.
const WHOLE: Duration = Duration::from_secs(60);

/// What a fetch wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<P> {
    /// Say this to a peer.
    Say(P, Message),
    /// The segment is complete; nothing follows.
    Done(Bytes),
    /// Nobody has it, or nobody sent all of it; nothing follows.
    Failed,
}

/// What came from a peer about the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It has it.
    Found {
        /// Whether it speaks our version.
        ours: bool,
    },
    /// A chunk.
    Chunk(Header, Bytes),
    /// It cannot send it, or is gone.
    Gone,
}

#[derive(Debug)]
struct Source<P> {
    peer: P,
    ours: bool,
    stalled_at: Instant,
    resends: u32,
}

/// One segment on its way from peers: asks all, takes the first that has it, and the next when that one fails. `P` names
/// a peer.
#[derive(Debug)]
pub struct Fetch<P> {
    key: Key,
    finders: VecDeque<(P, bool)>,
    source: Option<Source<P>>,
    assembly: Assembly,
    steps: VecDeque<Step<P>>,
    /// Until when somebody must have been found.
    found_by: Instant,
    ends_at: Instant,
    over: bool,
}

impl<P: Clone + PartialEq> Fetch<P> {
    /// Asks these peers who has the segment at hand, and waits for the first for `found`.
    #[must_use]
    pub fn new(now: Instant, key: Key, peers: &[P], found: Duration) -> Self {
        let steps = peers.iter().map(|peer| Step::Say(peer.clone(), Message::QueryCached(key.clone()))).collect();
        let (finders, assembly) = (VecDeque::new(), Assembly::default());
        let (found_by, ends_at) = (now + found, now + WHOLE);
        let mut fetch = Self { key, finders, source: None, assembly, steps, found_by, ends_at, over: false };
        if peers.is_empty() {
            fetch.end(Step::Failed);
        }
        fetch
    }

    /// Takes what came of a peer.
    pub fn handle_progress(&mut self, now: Instant, peer: &P, progress: Progress) {
        if self.over {
            return;
        }
        match progress {
            Progress::Found { ours } => {
                if self.finders.iter().all(|(known, _)| known != peer) && !self.sends(peer) {
                    self.finders.push_back((peer.clone(), ours));
                }
                if self.source.is_none() {
                    self.next_source(now);
                }
            }
            Progress::Chunk(header, payload) => self.chunk(now, peer, &header, payload),
            Progress::Gone => {
                self.finders.retain(|(known, _)| known != peer);
                if self.sends(peer) {
                    self.next_source(now);
                }
            }
        }
    }

    fn sends(&self, peer: &P) -> bool {
        self.source.as_ref().is_some_and(|source| source.peer == *peer)
    }

    fn chunk(&mut self, now: Instant, peer: &P, header: &Header, payload: Bytes) {
        // What comes unasked counts for nothing: one peer cannot spoil what another sends.
        let Some(source) = self.source.as_mut().filter(|source| source.peer == *peer) else { return };
        source.stalled_at = now + if source.ours { STALL } else { OLD_STALL };
        source.resends = 0;
        match self.assembly.insert(header, payload) {
            Ok(None) => {}
            Ok(Some(segment)) => self.end(Step::Done(segment)),
            Err(_) => {
                // Which of the two was wrong is not known, so both are left.
                self.assembly = Assembly::default();
                self.leave();
                self.next_source(now);
            }
        }
    }

    fn leave(&mut self) {
        if let Some(source) = self.source.take() {
            self.steps.push_back(Step::Say(source.peer, Message::Quit(self.key.clone())));
        }
    }

    fn next_source(&mut self, now: Instant) {
        self.source = None;
        let Some((peer, ours)) = self.finders.pop_front() else {
            if now >= self.found_by {
                self.end(Step::Failed);
            }
            return;
        };
        let missing = self.assembly.missing();
        let ask = match ours && !missing.is_empty() {
            true => Message::Resend(self.key.clone(), missing),
            false => Message::Resolve(self.key.clone()),
        };
        self.steps.push_back(Step::Say(peer.clone(), ask));
        let stalled_at = now + if ours { FIRST } else { OLD_STALL };
        self.source = Some(Source { peer, ours, stalled_at, resends: 0 });
    }

    fn end(&mut self, step: Step<P>) {
        self.over = true;
        self.steps.push_back(step);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if now >= self.ends_at {
            self.leave();
            return self.end(Step::Failed);
        }
        match &mut self.source {
            None if now >= self.found_by => self.next_source(now),
            Some(source) if now >= source.stalled_at => {
                let missing = self.assembly.missing();
                if source.ours && source.resends < RESENDS && !missing.is_empty() {
                    source.resends += 1;
                    source.stalled_at = now + STALL;
                    let ask = Message::Resend(self.key.clone(), missing);
                    self.steps.push_back(Step::Say(source.peer.clone(), ask));
                } else {
                    self.leave();
                    self.next_source(now);
                }
            }
            _ => {}
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let next = self.source.as_ref().map_or(self.found_by, |source| source.stalled_at);
        next.min(self.ends_at)
    }

    /// What is to be done.
    pub fn poll_step(&mut self) -> Option<Step<P>> {
        self.steps.pop_front()
    }
}
