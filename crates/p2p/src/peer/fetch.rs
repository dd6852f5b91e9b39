//! Getting one segment from whichever peer has it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::chunk::{Assembly, Header, Key, Message};

/// How long a sender may be silent until another that has the segment is asked: longer than SCTP waits before it
/// repeats the end of a burst, and than the 1.1 s that an existing node takes for its first chunk.
const SWITCH: Duration = Duration::from_secs(2);
const OLD_SWITCH: Duration = Duration::from_secs(3);
/// How long it may be silent, where there is no other, until it is asked for what is missing; then as long again. On a
/// lossy link SCTP is silent for 1, 2, 4 s, and then sends all.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is asked without sending anything.
const ASKS: u32 = 5;
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
    /// When it has sent something, or was asked first.
    heard: Instant,
    /// How often it was asked since.
    asks: u32,
    /// Whether the others were asked since.
    looked: bool,
}

impl<P> Source<P> {
    /// When something is to be done about its silence.
    fn patience(&self, others: bool) -> Instant {
        let switch = if self.ours { SWITCH } else { OLD_SWITCH };
        self.heard + if others || !self.looked { switch } else { AGAIN * self.asks }
    }
}

/// One segment on its way from peers: asks all, takes the first that has it, and the next when that one fails. `P` names
/// a peer.
#[derive(Debug)]
pub struct Fetch<P> {
    key: Key,
    peers: Vec<P>,
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
        let peers = peers.to_vec();
        let mut fetch = Self { key, peers, finders, source: None, assembly, steps, found_by, ends_at, over: false };
        if fetch.peers.is_empty() {
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
        (source.heard, source.asks, source.looked) = (now, 1, false);
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
        self.source = Some(Source { peer, ours, heard: now, asks: 0, looked: false });
        self.ask();
    }

    /// Asks the sender for the segment, or for what is missing of it.
    fn ask(&mut self) {
        let Some(source) = &mut self.source else { return };
        source.asks += 1;
        let missing = self.assembly.missing();
        let ask = match source.ours && !missing.is_empty() {
            true => Message::Resend(self.key.clone(), missing),
            false => Message::Resolve(self.key.clone()),
        };
        self.steps.push_back(Step::Say(source.peer.clone(), ask));
    }

    /// Asks the others again: somebody may have it by now.
    fn look(&mut self) {
        let Some(source) = &mut self.source else { return };
        source.looked = true;
        for peer in self.peers.iter().filter(|peer| **peer != source.peer) {
            self.steps.push_back(Step::Say(peer.clone(), Message::QueryCached(self.key.clone())));
        }
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
        let others = !self.finders.is_empty();
        match &self.source {
            None if now >= self.found_by => self.next_source(now),
            Some(source) if now < source.patience(others) => {}
            Some(source) if !others && !source.looked => self.look(),
            Some(source) if !others && source.asks < ASKS => self.ask(),
            Some(_) => {
                self.leave();
                self.next_source(now);
            }
            None => {}
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let next = self.source.as_ref().map_or(self.found_by, |source| source.patience(!self.finders.is_empty()));
        next.min(self.ends_at)
    }

    /// What is to be done.
    pub fn poll_step(&mut self) -> Option<Step<P>> {
        self.steps.pop_front()
    }
}
