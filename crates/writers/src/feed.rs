//! One viewer's cursor and what is still to be written, and how shared bytes get from the one to the other.

use std::sync::Arc;

use bytes::Bytes;
use sluicegate_hub::{Batch, Next, Output, StreamName, Subscriber, TrackSet};
use tokio::sync::watch;

use crate::Backlog;

/// A cursor, and the bytes that the viewer's socket has not taken yet.
#[derive(Debug)]
pub struct Feed {
    subscriber: Subscriber,
    pub(crate) backlog: Backlog,
}

impl Feed {
    /// A feed that has taken nothing from the cursor.
    #[must_use]
    pub fn new(subscriber: Subscriber) -> Self {
        Self { subscriber, backlog: Backlog::default() }
    }

    /// The stream.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        self.subscriber.name()
    }

    /// The cursor.
    #[must_use]
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    /// Queues bytes that begin and end with a message; nothing for none.
    pub fn push(&mut self, bytes: Bytes) {
        self.backlog.push(bytes);
    }

    /// Whether more may be gathered for the next write.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.backlog.has_room()
    }

    /// Takes the next batch from the cursor. Writers do so by themselves; it is for what is checked before a viewer is
    /// given to them.
    pub fn try_next(&mut self) -> Next {
        self.subscriber.try_next()
    }

    /// Counts bytes that the viewer got: those that a protocol sends by other ways than the viewer's socket.
    pub fn sent(&self, bytes: usize) {
        self.subscriber.sent(bytes);
    }

    /// What the socket has not taken. The cursor goes, and with it the viewer's demand.
    #[must_use]
    pub fn into_backlog(self) -> Backlog {
        self.backlog
    }

    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.subscriber.news()
    }
}

/// One of the hub's output formats as one viewer gets it: a head where the tracks are new, then bodies. The bytes are
/// made once and shared by all viewers.
#[derive(Debug)]
pub struct Conversion {
    output: Output,
    tracks: Option<Arc<TrackSet>>,
}

impl Conversion {
    /// A viewer's share of `output`, before its first batch.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self { output, tracks: None }
    }

    /// Whether the head for the tracks of this batch has been queued. Where it has not, it is the time to check that the
    /// viewer can take them.
    #[must_use]
    pub fn knows(&self, batch: &Batch) -> bool {
        self.tracks.as_ref().is_some_and(|tracks| Arc::ptr_eq(tracks, &batch.tracks))
    }

    /// Queues a batch, behind a head where its tracks are new.
    pub fn put(&mut self, batch: &Batch, feed: &mut Feed) {
        if !self.knows(batch) {
            feed.push(self.output.head(batch, self.tracks.is_none()));
            self.tracks = Some(Arc::clone(&batch.tracks));
        }
        feed.push(self.output.body(batch));
    }
}
