//! One viewer's socket, cursor and what is still to be written.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Next, Output, StreamName, Subscriber, TrackSet};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::backlog::Backlog;
use crate::Error;
use crate::error::ended_code;
use crate::formats::Container;
use crate::frame::{self, Event, Opcode, Parser};

/// Reads of one socket before others have their turn.
const MAX_READS: usize = 4;
/// How long the peer may take to answer our close frame, or to take the last bytes.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A socket of any kind.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Whether the viewer stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays.
    Stays,
    /// It is done with; drop it.
    Gone,
}

/// Where the connection is in its life.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// No batch has come yet, since then.
    Waiting(Instant),
    /// Batches flow.
    Playing,
    /// Our close frame is on its way or waits for its answer, since then.
    Closing(Instant),
    /// The last bytes are on their way, since then; nothing is awaited.
    Leaving(Instant),
}

/// A viewer of one stream, driven by its writer.
pub(crate) struct Viewer {
    wire: Box<dyn Wire>,
    pub(super) subscriber: Subscriber,
    output: Output,
    container: Container,
    /// Reads the client's WebSocket frames; `None` when there is only an HTTP response that lasts until the end.
    parser: Option<Box<Parser>>,
    phase: Phase,
    tracks: Option<Arc<TrackSet>>,
    backlog: Backlog,
    /// Newest ping that is not answered yet.
    pong: Option<Bytes>,
    /// The socket takes nothing at the moment, since then; its waker tells.
    blocked: Option<Instant>,
    wait: Duration,
    stall: Duration,
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewer")
            .field("stream", self.subscriber.name())
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// How a viewer plays.
#[derive(Debug)]
pub(crate) struct Playback {
    /// The cursor.
    pub(crate) subscriber: Subscriber,
    /// The form of the bytes.
    pub(crate) output: Output,
    /// The container that the form is of.
    pub(crate) container: Container,
    /// How long to wait for the stream.
    pub(crate) wait: Duration,
    /// How long the peer may take nothing.
    pub(crate) stall: Duration,
}

impl Viewer {
    /// A viewer on an upgraded socket; `output` makes server frames.
    pub(crate) fn websocket(wire: Box<dyn Wire>, playback: Playback) -> Self {
        Self::new(wire, playback, Some(Box::default()))
    }

    /// A viewer whose response head has been sent, from its `first` batch on; `output` makes bare bytes.
    pub(crate) fn bare(wire: Box<dyn Wire>, playback: Playback, first: &Batch) -> Self {
        let mut viewer = Self::new(wire, playback, None);
        viewer.phase = Phase::Playing;
        viewer.enqueue(first);
        viewer
    }

    fn new(wire: Box<dyn Wire>, playback: Playback, parser: Option<Box<Parser>>) -> Self {
        let Playback { subscriber, output, container, wait, stall } = playback;
        Self {
            wire,
            subscriber,
            output,
            container,
            parser,
            phase: Phase::Waiting(Instant::now()),
            tracks: None,
            backlog: Backlog::default(),
            pong: None,
            blocked: None,
            wait,
            stall,
        }
    }

    /// The stream that it watches.
    pub(super) fn name(&self) -> &StreamName {
        self.subscriber.name()
    }

    /// The server goes away.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate {
        self.close(crate::close::GOING_AWAY, "the server is going away", now);
        self.write(cx, now)
    }

    /// Whether a new batch can be written: neither blocked nor closing.
    pub(super) fn is_open(&self) -> bool {
        self.blocked.is_none() && !self.is_ending()
    }

    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Closing(_) | Phase::Leaving(_))
    }

    /// Takes what the client sent before the socket was handed over.
    pub(super) fn handle_read_ahead(&mut self, bytes: &[u8], now: Instant) -> Fate {
        self.handle_input(bytes, now)
    }

    /// The socket may be readable or writable.
    pub(super) fn handle_ready(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], now: Instant) -> Fate {
        for _ in 0..MAX_READS {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut *self.wire).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.write(cx, now),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    if self.handle_input(buffer.filled(), now) == Fate::Gone {
                        return Fate::Gone;
                    }
                }
                Poll::Ready(_) => return Fate::Gone,
            }
        }
        cx.waker().wake_by_ref();
        self.write(cx, now)
    }

    fn handle_input(&mut self, mut bytes: &[u8], now: Instant) -> Fate {
        let Some(parser) = &mut self.parser else { return Fate::Stays };
        loop {
            match parser.next(&mut bytes) {
                Ok(None) => return Fate::Stays,
                Ok(Some(Event::Data(_) | Event::Pong)) => {}
                Ok(Some(Event::Ping(payload))) => self.pong = Some(payload),
                Ok(Some(Event::Close(code))) => {
                    if matches!(self.phase, Phase::Closing(_)) {
                        return Fate::Gone;
                    }
                    self.backlog.push(frame::encode_close(code.unwrap_or(crate::close::NORMAL), ""));
                    self.phase = Phase::Leaving(now);
                    return Fate::Stays;
                }
                Err(violation) => {
                    self.close(crate::close::PROTOCOL, &violation.to_string(), now);
                    return Fate::Stays;
                }
            }
        }
    }

    /// Ends the viewer with a close frame where there are frames, after what is already queued.
    pub(super) fn close(&mut self, code: u16, reason: &str, now: Instant) {
        if self.is_ending() {
            return;
        }
        self.phase = match self.parser {
            None => Phase::Leaving(now),
            Some(_) => {
                self.backlog.push(frame::encode_close(code, reason));
                Phase::Closing(now)
            }
        };
    }

    /// Writes until there is nothing to write or the socket takes no more.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate {
        loop {
            let more = self.gather(now);
            if self.backlog.is_empty() {
                return self.settle(cx, now);
            }
            match self.backlog.poll_write(Pin::new(&mut *self.wire), cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Fate::Gone,
                Poll::Ready(Ok(written)) => {
                    self.blocked = None;
                    self.subscriber.sent(written);
                    if self.backlog.is_empty() && !more {
                        return self.settle(cx, now);
                    }
                }
                Poll::Pending => {
                    self.blocked.get_or_insert(now);
                    return Fate::Stays;
                }
            }
        }
    }

    /// Takes batches from the cursor. Returns whether there may be more.
    fn gather(&mut self, now: Instant) -> bool {
        if let Some(payload) = self.pong.take_if(|_| self.backlog.has_room()) {
            self.backlog.push(frame::encode(Opcode::Pong, &payload));
        }
        while self.backlog.has_room() {
            if self.is_ending() {
                return false;
            }
            match self.subscriber.try_next() {
                Next::Batch(batch) => self.take(&batch, now),
                Next::Empty => return false,
                Next::Ended(reason) => self.close(ended_code(reason), &reason.to_string(), now),
            }
        }
        true
    }

    /// Queues a batch, after a check that the container can carry it when its tracks are new.
    fn take(&mut self, batch: &Batch, now: Instant) {
        self.phase = Phase::Playing;
        if let (false, Err(error)) = (self.knows(batch), self.container.carries(&batch.tracks)) {
            return self.close(error.close_code(), &error.to_string(), now);
        }
        self.enqueue(batch);
    }

    fn enqueue(&mut self, batch: &Batch) {
        if !self.knows(batch) {
            self.backlog.push(self.output.head(batch, self.tracks.is_none()));
            self.tracks = Some(Arc::clone(&batch.tracks));
        }
        self.backlog.push(self.output.body(batch));
    }

    /// Whether the head for the tracks of this batch has been queued.
    fn knows(&self, batch: &Batch) -> bool {
        self.tracks.as_ref().is_some_and(|tracks| Arc::ptr_eq(tracks, &batch.tracks))
    }

    /// Everything is written: flushes what TLS holds, and ends a connection that is closing.
    fn settle(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate {
        match Pin::new(&mut *self.wire).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Ready(Err(_)) => return Fate::Gone,
            Poll::Pending => {
                self.blocked.get_or_insert(now);
                return Fate::Stays;
            }
        }
        if matches!(self.phase, Phase::Leaving(_)) && Pin::new(&mut *self.wire).poll_shutdown(cx).is_ready() {
            return Fate::Gone;
        }
        Fate::Stays
    }

    /// Acts on deadlines. Called about once a second.
    pub(super) fn handle_time(&mut self, cx: &mut Context<'_>, now: Instant) -> Fate {
        match self.phase {
            Phase::Closing(since) | Phase::Leaving(since) if now.duration_since(since) >= CLOSE_WAIT => {
                return Fate::Gone;
            }
            Phase::Waiting(since) if now.duration_since(since) >= self.wait => {
                let error = Error::from(sluicegate_hub::Error::NotFound { name: self.subscriber.name().clone() });
                self.close(error.close_code(), &error.to_string(), now);
                return self.write(cx, now);
            }
            _ => {}
        }
        match self.blocked {
            Some(since) if now.duration_since(since) >= self.stall => {
                crate::metrics::stalled();
                Fate::Gone
            }
            _ => Fate::Stays,
        }
    }
}
