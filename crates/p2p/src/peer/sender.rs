//! The segments that go to one peer.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chunk::{CHUNK_LENGTH, Code, HEADER_LENGTH, Header, Key, chunk, chunk_count};

/// A segment that is being sent, or the chunks of it that are sent again.
#[derive(Debug)]
struct Sending {
    key: Key,
    segment: Bytes,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    From(usize),
    Listed(VecDeque<usize>),
}

impl Sending {
    fn next(&self) -> Option<usize> {
        let number = match &self.numbers {
            Numbers::From(number) => *number,
            Numbers::Listed(listed) => *listed.front()?,
        };
        (number < chunk_count(self.segment.len())).then_some(number)
    }

    /// Whether a chunk is still to come.
    fn holds(&self, number: usize) -> bool {
        match &self.numbers {
            Numbers::From(next) => number >= *next,
            Numbers::Listed(listed) => listed.contains(&number),
        }
    }

    fn advance(&mut self) {
        match &mut self.numbers {
            Numbers::From(number) => *number += 1,
            Numbers::Listed(listed) => drop(listed.pop_front()),
        }
    }
}

/// A segment that was asked for.
#[derive(Debug)]
struct Waiting {
    key: Key,
    chunks: Option<Vec<usize>>,
}

/// The segments that go to one peer, chunk by chunk in turn, so that a small one does not wait for a large one.
#[derive(Debug)]
pub struct Sender {
    waiting: VecDeque<Waiting>,
    /// Loads under way, also of segments that nobody wants any more: they hold memory too.
    loading: Vec<Key>,
    sending: VecDeque<Sending>,
    limit: usize,
    active: usize,
}

impl Sender {
    /// At most `limit` segments at once, `active` of them in memory.
    #[must_use]
    pub fn new(limit: usize, active: usize) -> Self {
        Self { waiting: VecDeque::new(), loading: Vec::new(), sending: VecDeque::new(), limit, active: active.max(1) }
    }

    /// Segments that wait or are being sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.sending.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a segment on, or some of its chunks. One that waits already is not taken twice; one that is being sent is
    /// sent once more, as the existing node does. Chunks that are still to come are not taken twice either.
    ///
    /// # Errors
    /// [`Code::Busy`] past the limit.
    pub fn resolve(&mut self, key: Key, chunks: Option<Vec<usize>>) -> Result<(), Code> {
        let covers = |waiting: &Waiting| waiting.key == key && (waiting.chunks.is_none() || waiting.chunks == chunks);
        if self.waiting.iter().any(covers) {
            return Ok(());
        }
        let chunks = chunks.map(|mut chunks| {
            let sending = self.sending.iter().filter(|sending| sending.key == key);
            sending.for_each(|sending| chunks.retain(|number| !sending.holds(*number)));
            chunks
        });
        if chunks.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        if self.len() >= self.limit {
            return Err(Code::Busy);
        }
        self.waiting.push_back(Waiting { key, chunks });
        Ok(())
    }

    /// The next segment to load, if there is room for it.
    pub fn next_load(&mut self) -> Option<Key> {
        if self.loading.len() + self.sending.len() >= self.active {
            return None;
        }
        let next = self.waiting.iter().find(|waiting| !self.loading.contains(&waiting.key))?;
        let key = next.key.clone();
        self.loading.push(key.clone());
        Some(key)
    }

    /// Takes a loaded segment; gives what cannot be sent of it, and why. Nothing where nobody wants it any more.
    #[must_use]
    pub fn loaded(&mut self, key: &Key, segment: Result<Bytes, Code>) -> Vec<Code> {
        self.loading.retain(|loading| loading != key);
        let (wanted, others) =
            std::mem::take(&mut self.waiting).into_iter().partition::<VecDeque<_>, _>(|waiting| waiting.key == *key);
        self.waiting = others;
        let segment = segment.and_then(|segment| match Header::check(key, segment.len()) {
            _ if segment.is_empty() => Err(Code::NotFound),
            Ok(()) => Ok(segment),
            Err(_) => Err(Code::Unframed),
        });
        let segment = match segment {
            Ok(segment) => segment,
            Err(code) => return wanted.iter().map(|_| code).collect(),
        };
        for waiting in wanted {
            let numbers = waiting.chunks.map_or(Numbers::From(0), |listed| Numbers::Listed(listed.into()));
            let sending = Sending { key: waiting.key, segment: segment.clone(), numbers };
            if sending.next().is_some() {
                self.sending.push_back(sending);
            }
        }
        Vec::new()
    }

    /// Sends no more of a segment.
    pub fn quit(&mut self, key: &Key) {
        self.waiting.retain(|waiting| waiting.key != *key);
        self.sending.retain(|sending| sending.key != *key);
    }

    /// Sends no more of anything.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.sending.clear();
    }

    /// Bytes of the next message.
    #[must_use]
    pub fn next_length(&self) -> Option<usize> {
        let sending = self.sending.front()?;
        let start = sending.next()?.saturating_mul(CHUNK_LENGTH);
        Some(HEADER_LENGTH + sending.segment.len().saturating_sub(start).min(CHUNK_LENGTH))
    }

    /// The next chunk with its header; the segment then goes behind the others.
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        let mut sending = self.sending.pop_front()?;
        let number = sending.next()?;
        sending.advance();
        // The headers were checked when the segment came.
        let message = chunk(&sending.key, &sending.segment, number).ok().flatten();
        if sending.next().is_some() {
            self.sending.push_back(sending);
        }
        message
    }
}
