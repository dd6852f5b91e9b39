//! Output forms: what a service makes of batches, once for all its viewers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sluicegate_media::{Timestamp, Tracks};

use crate::Batch;

/// Turns tracks and batches into the bytes of one output format.
///
/// Both functions depend on their arguments only: whichever viewer comes first makes the bytes for all.
pub trait Format: Send + Sync + 'static {
    /// The name used in metrics.
    fn name(&self) -> &'static str;

    /// What must precede the first batch with these tracks. `first` is true for a viewer that begins, false for
    /// one whose tracks have changed; `at` is the start of that batch.
    fn head(&self, tracks: &Tracks, first: bool, at: Timestamp) -> Bytes;

    /// One batch; empty when the format carries none of its tracks.
    fn body(&self, batch: &Batch) -> Bytes;
}

/// A registered [`Format`] with its slot in every batch of the hub.
#[derive(Clone)]
pub struct Output {
    format: Arc<dyn Format>,
    slot: usize,
    conversions: Arc<AtomicU64>,
}

impl Output {
    pub(crate) fn new(format: Arc<dyn Format>, slot: usize) -> Self {
        Self { format, slot, conversions: Arc::default() }
    }

    /// What a viewer needs before `batch`, made once per set of tracks. See [`Format::head`].
    #[must_use]
    pub fn head(&self, batch: &Batch, first: bool) -> Bytes {
        let tracks = &batch.tracks;
        let forms = if first { &tracks.first_heads } else { &tracks.next_heads };
        forms.get(self.slot, || self.format.head(tracks, first, batch.start()))
    }

    /// The bytes of `batch`, made once.
    #[must_use]
    pub fn body(&self, batch: &Batch) -> Bytes {
        self.finished_body(batch, |made| made)
    }

    /// The bytes of `batch`, made once: those of the format with the last touch of `finish`, which may depend on what went
    /// before. A format whose batches are numbered is finished so, in order, by one caller at a time.
    #[must_use]
    pub fn finished_body(&self, batch: &Batch, finish: impl FnOnce(Bytes) -> Bytes) -> Bytes {
        batch.forms.get(self.slot, || {
            self.conversions.fetch_add(1, Ordering::Relaxed);
            finish(self.format.body(batch))
        })
    }

    /// The bytes of `batch` if they are made.
    #[must_use]
    pub fn made_body(&self, batch: &Batch) -> Option<Bytes> {
        batch.forms.made(self.slot)
    }

    /// How many batches were converted; with any number of viewers at most one conversion a batch.
    #[must_use]
    pub fn conversions(&self) -> u64 {
        self.conversions.load(Ordering::Relaxed)
    }

    /// The format's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.format.name()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("format", &self.format.name()).field("slot", &self.slot).finish_non_exhaustive()
    }
}
