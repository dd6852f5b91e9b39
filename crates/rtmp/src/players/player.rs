//! One player: its socket, its cursor and what is still to be written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sluicegate_hub::{Batch, Next, Output, StreamName, Subscriber, TrackSet};
use tokio::time::Instant;

use crate::Error;
use crate::connection::Connection;
use crate::formats::taken;
use crate::line::MAX_SLICES;
use crate::protocol::{Capabilities, ServerEvent};

/// Bytes gathered for one write. A player that falls behind holds on to no more than this and one batch.
const GATHER_BYTES: usize = 64 << 10;
/// Reads of one socket before others have their turn.
const MAX_READS: usize = 4;

/// A cursor, and what its batches become.
pub(crate) struct Playback {
    subscriber: Subscriber,
    output: Output,
    capabilities: Capabilities,
    tracks: Option<Arc<TrackSet>>,
    queue: VecDeque<Bytes>,
}

/// What a look at the cursor has found.
#[derive(Debug)]
enum Found {
    /// As much as one write should hold; there may be more.
    Much,
    /// All that there is, perhaps nothing.
    All,
    /// The stream is over, as this says.
    End(String),
}

/// Why a player leaves its writer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The client has ended the stream and may ask for another.
    Ended,
    /// The stream is over, as this says.
    Over(String),
    /// The connection is.
    Failed(Error),
}

/// A player in the hands of a writer.
pub(crate) struct Player {
    connection: Connection,
    playback: Playback,
    /// The socket takes nothing at the moment, since then; its waker tells.
    blocked: Option<Instant>,
}

impl Playback {
    /// A playback with its first batches taken.
    ///
    /// # Errors
    /// The client does not take the stream's codec.
    pub(crate) fn begin(subscriber: Subscriber, output: Output, capabilities: Capabilities) -> Result<Self, Error> {
        let mut playback = Self { subscriber, output, capabilities, tracks: None, queue: VecDeque::new() };
        // An end that is found here is found again by the writer.
        playback.gather()?;
        Ok(playback)
    }

    /// Takes batches from the cursor, as many as one write should hold.
    fn gather(&mut self) -> Result<Found, Error> {
        let mut bytes = 0_usize;
        // Two slices a batch at most: a head and a body.
        while bytes < GATHER_BYTES && self.queue.len() + 2 <= MAX_SLICES {
            match self.subscriber.try_next() {
                Next::Batch(batch) => bytes = bytes.saturating_add(self.enqueue(&batch)?),
                Next::Empty => return Ok(Found::All),
                Next::Ended(reason) => return Ok(Found::End(reason.to_string())),
            }
        }
        Ok(Found::Much)
    }

    fn enqueue(&mut self, batch: &Batch) -> Result<usize, Error> {
        let known = self.tracks.as_ref().is_some_and(|tracks| Arc::ptr_eq(tracks, &batch.tracks));
        let head = if known {
            Bytes::new()
        } else {
            taken(&batch.tracks, &self.capabilities)?;
            let head = self.output.head(batch, self.tracks.is_none());
            self.tracks = Some(Arc::clone(&batch.tracks));
            head
        };
        let body = self.output.body(batch);
        let bytes = head.len().saturating_add(body.len());
        self.queue.extend([head, body].into_iter().filter(|part| !part.is_empty()));
        Ok(bytes)
    }
}

impl Player {
    /// A player that has been told that its stream starts.
    pub(crate) const fn new(connection: Connection, playback: Playback) -> Self {
        Self { connection, playback, blocked: None }
    }

    /// The stream.
    pub(super) fn name(&self) -> &StreamName {
        self.playback.subscriber.name()
    }

    /// The stream's news.
    pub(super) fn news(&self) -> tokio::sync::watch::Receiver<u64> {
        self.playback.subscriber.news()
    }

    /// Whether a new batch can be written.
    pub(super) const fn is_open(&self) -> bool {
        self.blocked.is_none()
    }

    /// Gives the connection back to a task of its own.
    pub(super) fn leave(self, outcome: Outcome) {
        let Self { connection, playback: Playback { queue, .. }, .. } = self;
        tokio::spawn(connection.resume(queue, outcome));
    }

    /// The socket may be readable or writable.
    pub(super) fn handle_ready(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<Outcome> {
        for read in 0.. {
            if read == MAX_READS {
                cx.waker().wake_by_ref();
                break;
            }
            match self.connection.line.poll_read(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(bytes))) => match self.handle_input(bytes) {
                    Ok(true) => return Some(Outcome::Ended),
                    Ok(false) => {}
                    Err(error) => return Some(Outcome::Failed(error)),
                },
                Poll::Ready(Ok(None)) => return Some(Outcome::Failed(Error::Closed)),
                Poll::Ready(Err(error)) => return Some(Outcome::Failed(error)),
            }
        }
        self.write(cx, now)
    }

    /// Takes what the client says. Returns whether it has ended the stream; what it asks for behind that end waits in
    /// the session.
    fn handle_input(&mut self, bytes: Bytes) -> Result<bool, Error> {
        self.connection.session.handle_bytes(bytes);
        let ended = self.connection.session.poll_event()? == Some(ServerEvent::Ended);
        self.playback.queue.extend(self.connection.session.poll_output());
        Ok(ended)
    }

    /// Writes until there is nothing to write or the socket takes no more.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<Outcome> {
        loop {
            let found = match self.playback.gather() {
                Ok(found) => found,
                Err(error) => return Some(Outcome::Failed(error)),
            };
            while !self.playback.queue.is_empty() {
                match self.connection.line.poll_write(&mut self.playback.queue, cx) {
                    Poll::Pending => {
                        self.blocked.get_or_insert(now);
                        return None;
                    }
                    Poll::Ready(Ok(0)) => return Some(Outcome::Failed(Error::Closed)),
                    Poll::Ready(Ok(written)) => {
                        self.blocked = None;
                        self.playback.subscriber.sent(written);
                    }
                    Poll::Ready(Err(error)) => return Some(Outcome::Failed(error.into())),
                }
            }
            match found {
                Found::Much => {}
                Found::All => return self.flush(cx, now),
                Found::End(reason) => return Some(Outcome::Over(reason)),
            }
        }
    }

    /// Writes what TLS holds back.
    fn flush(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<Outcome> {
        match self.connection.line.poll_flush(cx) {
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Ready(Err(error)) => return Some(Outcome::Failed(error.into())),
            Poll::Pending => {
                self.blocked.get_or_insert(now);
            }
        }
        None
    }

    /// Acts on the deadline. Called about once a second.
    pub(super) fn handle_time(&self, now: Instant) -> Option<Outcome> {
        let stall = self.connection.shared.config.stall;
        let since = self.blocked.filter(|since| now.duration_since(*since) >= stall)?;
        tracing::debug!(blocked = ?now.duration_since(since), "a player takes nothing");
        Some(Outcome::Failed(Error::Stalled { after: stall }))
    }
}
