//! The newest batches of a stream, shared by all viewers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::Batch;

/// Batches in order of their sequence numbers, bounded in bytes and media time.
#[derive(Debug)]
pub(crate) struct Ring {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    newest_key: Option<u64>,
    max_bytes: usize,
    max_span: Duration,
}

/// What stands at a cursor.
#[derive(Debug)]
pub(crate) enum Slot {
    /// The batch at the cursor.
    Batch(Arc<Batch>),
    /// The batch at the cursor is gone; this is where the newest key frame stands.
    Fallen(u64),
    /// It has not come yet.
    Ahead,
}

impl Ring {
    pub(crate) fn new(max_bytes: usize, max_span: Duration) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, newest_key: None, max_bytes, max_span }
    }

    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        if batch.random_access {
            self.newest_key = Some(batch.seq);
        }
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
        while self.batches.len() > 1 && (self.bytes > self.max_bytes || self.span() > self.max_span) {
            self.pop();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
        (self.bytes, self.newest_key) = (0, None);
    }

    /// Another publisher begins: viewers start at its first key frame, never with what came before it. Those who are
    /// there already go on through the batches.
    pub(crate) fn begin_anew(&mut self) {
        self.newest_key = None;
    }

    /// Where a viewer starts: the newest key frame. `None` while there is none in the ring.
    pub(crate) fn start(&self) -> Option<u64> {
        self.newest_key
    }

    /// The batch with number `seq`, or what became of it.
    pub(crate) fn at(&self, seq: u64) -> Slot {
        let Some(first) = self.batches.front().map(|batch| batch.seq) else { return Slot::Ahead };
        let Some(index) = seq.checked_sub(first) else {
            return self.newest_key.map_or(Slot::Ahead, Slot::Fallen);
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.batches.get(index).map_or(Slot::Ahead, |batch| Slot::Batch(Arc::clone(batch)))
    }

    pub(crate) fn newest(&self) -> Option<Arc<Batch>> {
        self.batches.back().cloned()
    }

    fn pop(&mut self) {
        let Some(oldest) = self.batches.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(oldest.bytes());
        if self.newest_key == Some(oldest.seq) {
            self.newest_key = None;
        }
    }

    fn span(&self) -> Duration {
        let ends = self.batches.front().zip(self.batches.back());
        ends.map_or(Duration::ZERO, |(old, new)| new.start().saturating_sub(old.start()).to_duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrackSet;
    use sluicegate_media::{Codec, Frame, Timestamp, TrackId};

    fn batch(seq: u64, key: bool, bytes: usize) -> Arc<Batch> {
        let dts = Timestamp::from_millis(i64::try_from(seq).unwrap() * 1_000);
        let frame = Frame::media(TrackId::VIDEO, Codec::Vp8, dts, vec![0; bytes].into()).with_key(key);
        Arc::new(Batch::new(seq, Arc::new(TrackSet::default()), [frame].into_iter().collect(), key))
    }

    fn ring(bytes: usize, seconds: u64, batches: impl IntoIterator<Item = (u64, bool)>) -> Ring {
        let mut ring = Ring::new(bytes, Duration::from_secs(seconds));
        batches.into_iter().for_each(|(seq, key)| ring.push(batch(seq, key, 10)));
        ring
    }

    #[test]
    fn a_viewer_starts_at_the_newest_key_frame() {
        let ring = ring(1_000, 100, [(0, true), (1, false), (2, true), (3, false)]);
        assert_eq!(ring.start(), Some(2));
        assert!(matches!(ring.at(3), Slot::Batch(batch) if batch.seq == 3));
        assert!(matches!(ring.at(4), Slot::Ahead));
    }

    #[test]
    fn nobody_starts_with_what_another_publisher_left() {
        let mut ring = ring(1_000, 100, [(0, true), (1, false)]);
        ring.begin_anew();
        ring.push(batch(2, false, 10));
        assert_eq!(ring.start(), None);
        assert!(matches!(ring.at(1), Slot::Batch(_)));
        ring.push(batch(3, true, 10));
        assert_eq!(ring.start(), Some(3));
    }

    #[test]
    fn bytes_and_span_are_bounded_and_the_slow_fall_to_the_newest_key() {
        for ring in [
            ring(30, 100, (0..9).map(|seq| (seq, seq % 2 == 0))),
            ring(9_999, 2, (0..9).map(|seq| (seq, seq % 2 == 0))),
        ] {
            assert_eq!(ring.batches.len(), 3);
            assert!(matches!(ring.at(5), Slot::Fallen(8)));
            assert!(matches!(ring.at(6), Slot::Batch(_)));
        }
    }

    #[test]
    fn a_gop_longer_than_the_ring_has_no_start() {
        let ring = ring(30, 100, (0..9).map(|seq| (seq, seq == 0)));
        assert_eq!(ring.start(), None);
        assert!(matches!(ring.at(0), Slot::Ahead));
    }
}
