//! Viewers as the writers of their streams drive them: WebSocket clients, and HTTP clients whose response goes on.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Output, Reason, Subscriber};
use sluicegate_net::listener::Socket;
use sluicegate_writers::{Conversion, Fate, Feed, Lost, Protocol, Viewer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::error::ended_code;
use crate::formats::Container;
use crate::frame::{self, Event, Opcode, Parser};
use crate::{Error, metrics};

/// How long the peer may take to answer our close frame, or to take the last bytes.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// The viewer is done with.
const GONE: Fate<()> = ControlFlow::Break(());
/// The viewer stays.
const STAYS: Fate<()> = ControlFlow::Continue(());

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

/// What a viewer's connection is beside its cursor.
pub(crate) struct Watching {
    socket: Box<Socket>,
    conversion: Conversion,
    container: Container,
    /// Reads the client's WebSocket frames; `None` when there is only an HTTP response that lasts until the end.
    parser: Option<Box<Parser>>,
    phase: Phase,
    /// Newest ping that is not answered yet.
    pong: Option<Bytes>,
    wait: Duration,
    stall: Duration,
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

impl Playback {
    /// A viewer on an upgraded socket, and what it has sent already; `output` makes server frames.
    pub(crate) fn websocket(self, socket: Box<Socket>, read_ahead: &[u8]) -> Viewer<Watching> {
        let (mut feed, mut watching) = self.begin(socket, Some(Box::default()));
        // Nothing that a client sends first can end it before our answer is written.
        let _ = watching.handle_input(read_ahead, &mut feed, Instant::now());
        Viewer::new(feed, watching)
    }

    /// A viewer whose response head has been sent, from its `first` batch on; `output` makes bare bytes.
    pub(crate) fn bare(self, socket: Box<Socket>, first: &Batch) -> Viewer<Watching> {
        let (mut feed, mut watching) = self.begin(socket, None);
        watching.phase = Phase::Playing;
        watching.conversion.put(first, &mut feed);
        Viewer::new(feed, watching)
    }

    fn begin(self, socket: Box<Socket>, parser: Option<Box<Parser>>) -> (Feed, Watching) {
        let Self { subscriber, output, container, wait, stall } = self;
        metrics::viewer_came();
        let (conversion, phase) = (Conversion::new(output), Phase::Waiting(Instant::now()));
        let watching = Watching { socket, conversion, container, parser, phase, pong: None, wait, stall };
        (Feed::new(subscriber), watching)
    }
}

impl Watching {
    fn handle_input(&mut self, mut bytes: &[u8], feed: &mut Feed, now: Instant) -> Fate<()> {
        let Some(parser) = &mut self.parser else { return STAYS };
        loop {
            match parser.next(&mut bytes) {
                Ok(None) => return STAYS,
                Ok(Some(Event::Data(_) | Event::Pong)) => {}
                Ok(Some(Event::Ping(payload))) => self.pong = Some(payload),
                Ok(Some(Event::Close(code))) => {
                    if matches!(self.phase, Phase::Closing(_)) {
                        return GONE;
                    }
                    feed.push(frame::encode_close(code.unwrap_or(crate::close::NORMAL), ""));
                    self.phase = Phase::Leaving(now);
                    return STAYS;
                }
                Err(violation) => {
                    self.close(crate::close::PROTOCOL, &violation.to_string(), feed, now);
                    return STAYS;
                }
            }
        }
    }

    /// Ends the viewer with a close frame where there are frames, after what is already queued.
    fn close(&mut self, code: u16, reason: &str, feed: &mut Feed, now: Instant) {
        if self.is_ending() {
            return;
        }
        self.phase = match self.parser {
            None => Phase::Leaving(now),
            Some(_) => {
                feed.push(frame::encode_close(code, reason));
                Phase::Closing(now)
            }
        };
    }
}

impl Protocol for Watching {
    type Socket = Socket;
    type Outcome = ();

    fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    fn stall(&self) -> Duration {
        self.stall
    }

    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Closing(_) | Phase::Leaving(_))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], feed: &mut Feed, now: Instant) -> Poll<Fate<()>> {
        let mut buffer = ReadBuf::new(scratch);
        Pin::new(&mut *self.socket).poll_read(cx, &mut buffer).map(|read| match read {
            Ok(()) if !buffer.filled().is_empty() => self.handle_input(buffer.filled(), feed, now),
            _ => GONE,
        })
    }

    fn handle_room(&mut self, feed: &mut Feed) {
        if let Some(payload) = self.pong.take_if(|_| feed.has_room()) {
            feed.push(frame::encode(Opcode::Pong, &payload));
        }
    }

    /// Queues a batch, after a check that the container can carry it when its tracks are new.
    fn handle_batch(&mut self, batch: &Batch, feed: &mut Feed, now: Instant) -> Fate<()> {
        self.phase = Phase::Playing;
        if let (false, Err(error)) = (self.conversion.knows(batch), self.container.carries(&batch.tracks)) {
            self.close(error.close_code(), &error.to_string(), feed, now);
        } else {
            self.conversion.put(batch, feed);
        }
        STAYS
    }

    fn handle_end(&mut self, reason: Reason, feed: &mut Feed, now: Instant) -> Fate<()> {
        self.close(ended_code(reason), &reason.to_string(), feed, now);
        STAYS
    }

    fn handle_shutdown(&mut self, feed: &mut Feed, now: Instant) -> Fate<()> {
        self.close(crate::close::GOING_AWAY, "the server is going away", feed, now);
        STAYS
    }

    fn handle_time(&mut self, feed: &mut Feed, now: Instant) -> Fate<()> {
        match self.phase {
            Phase::Closing(since) | Phase::Leaving(since) if now.duration_since(since) >= CLOSE_WAIT => return GONE,
            Phase::Waiting(since) if now.duration_since(since) >= self.wait => {
                let error = Error::from(sluicegate_hub::Error::NotFound { name: feed.name().clone() });
                self.close(error.close_code(), &error.to_string(), feed, now);
            }
            _ => {}
        }
        STAYS
    }

    /// Ends a connection that has nothing to wait for.
    fn handle_settled(&mut self, cx: &mut Context<'_>) -> Fate<()> {
        if matches!(self.phase, Phase::Leaving(_)) && Pin::new(&mut *self.socket).poll_shutdown(cx).is_ready() {
            return GONE;
        }
        STAYS
    }

    fn lost(&mut self, lost: Lost) {
        if matches!(lost, Lost::Stalled(_)) {
            metrics::stalled();
        }
    }

    fn leave(self, _feed: Feed, (): ()) {
        metrics::viewer_left();
    }
}
