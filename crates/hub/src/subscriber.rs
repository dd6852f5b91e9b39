//! The end that frames go to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::hub::Shared;
use crate::stream::{Stream, Ticket};
use crate::{Batch, Choice, Ended, Error, Reason, StreamName, ViewerPath, metrics};

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    /// The protocol, for the API and metrics.
    pub protocol: &'static str,
    /// Where it connects from.
    pub address: Option<SocketAddr>,
    /// Which variant of the stream it gets.
    pub choice: Choice,
}

impl Viewer {
    /// A viewer by this protocol.
    #[must_use]
    pub fn by(protocol: &'static str) -> Self {
        Self { protocol, address: None, choice: Choice::Exact }
    }

    /// The same, from this address.
    #[must_use]
    pub fn from_address(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// The same, getting the variant of this choice.
    #[must_use]
    pub fn choosing(self, choice: Choice) -> Self {
        Self { choice, ..self }
    }
}

/// What a cursor stands before.
#[derive(Debug)]
pub enum Next {
    /// The next batch; the cursor has moved behind it.
    Batch(Arc<Batch>),
    /// Nothing yet; wait with [`Subscriber::changed`].
    Empty,
    /// The stream is over for this viewer.
    Ended(Reason),
}

/// A viewer's cursor in a stream. It counts as demand from its making to its drop, also before there is a publisher.
#[derive(Debug)]
pub struct Subscriber {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    protocol: &'static str,
    ticket: Ticket,
    cursor: Option<u64>,
}

impl Subscriber {
    pub(crate) fn new(shared: Arc<Shared>, stream: Arc<Stream>, viewer: Viewer) -> Self {
        metrics::viewer_came(viewer.protocol);
        let ticket = stream.enter(viewer.protocol, viewer.address);
        Self { shared, stream, protocol: viewer.protocol, ticket, cursor: None }
    }

    /// The stream; its variant if one was chosen.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.stream.name
    }

    /// Takes the next batch if there is one. A viewer that has fallen behind the ring gets the newest key frame.
    pub fn try_next(&mut self) -> Next {
        if self.ticket.refused {
            return Next::Ended(Reason::TooManyViewers);
        }
        self.stream.take(self.ticket.life, &mut self.cursor, &self.ticket.counters)
    }

    /// The batch with this number, wherever the cursor stands, if the stream still has it. A viewer that has yet to take a
    /// batch finds it here.
    #[must_use]
    pub fn batch(&self, seq: u64) -> Option<Arc<Batch>> {
        self.stream.batch(self.ticket.life, seq)
    }

    /// The newest batch of the stream, wherever the cursor stands.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Batch>> {
        self.stream.newest(self.ticket.life)
    }

    /// Waits for the next batch.
    ///
    /// # Errors
    /// The stream is over for this viewer.
    pub async fn next(&mut self) -> Result<Arc<Batch>, Ended> {
        loop {
            match self.try_next() {
                Next::Batch(batch) => return Ok(batch),
                Next::Ended(reason) => return Err(Ended { reason }),
                Next::Empty => self.changed().await,
            }
        }
    }

    /// Waits until there may be something to take. The caller tries first and waits then; nothing is missed between.
    pub async fn changed(&mut self) {
        // The sender lives in the stream that this cursor holds, so the channel cannot close.
        let _ = self.ticket.news.changed().await;
    }

    /// The stream's news, the same for all its viewers: changes when there may be something to take. A task that drives
    /// many cursors of one stream waits on one of these.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.ticket.news.clone()
    }

    /// Waits until the next batch can be taken, at most `timeout`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing came, [`Error::Ended`] when the stream ended meanwhile.
    pub async fn ready(&mut self, timeout: Duration) -> Result<(), Error> {
        let waiting = async {
            loop {
                let mut look_ahead = self.cursor;
                let next = match self.ticket.refused {
                    true => Next::Ended(Reason::TooManyViewers),
                    false => self.stream.take(self.ticket.life, &mut look_ahead, &self.ticket.counters),
                };
                match next {
                    Next::Batch(_) => return Ok(()),
                    Next::Ended(reason) => return Err(Ended { reason }.into()),
                    Next::Empty => self.changed().await,
                }
            }
        };
        let ready = tokio::time::timeout(timeout, waiting).await;
        ready.unwrap_or_else(|_| Err(Error::NotFound { name: self.stream.name.clone() }))
    }

    /// Asks the publisher for a key frame. Those whose protocol can ask their source do; the others let it be.
    pub fn want_key_frame(&self) {
        self.stream.want_key_frame();
    }

    /// Counts bytes that were handed to the viewer's socket.
    pub fn sent(&self, bytes: usize) {
        self.ticket.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Tells how the viewer's path is, for the API.
    pub fn set_path(&self, path: ViewerPath) {
        *self.ticket.counters.path() = Some(path);
    }

    /// Batches that this viewer was too slow for.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.ticket.counters.skipped.load(Ordering::Relaxed)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        metrics::viewer_left(self.protocol);
        self.stream.leave(self.ticket.id);
        self.shared.forget_if_idle(&self.stream);
    }
}
