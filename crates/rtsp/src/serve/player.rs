//! Players by TCP as the writers of their streams drive them. A connection has no task of its own meanwhile; it gets one
//! when the client pauses or ends the stream, or the stream ends.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use sluicegate_hub::{Batch, Reason};
use sluicegate_net::listener::Socket;
use sluicegate_writers::{Fate, Feed, Lost, Protocol};
use tokio::time::Instant;

use super::connection::Connection;
use super::share::Share;
use crate::Error;
use crate::server::{Event, MAX_TRACKS};

/// Why a player leaves its writer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The client has ended the stream and may ask for another.
    Ended,
    /// The client may go on with the stream later.
    Paused,
    /// The stream is over for this reason; without one the server goes away.
    Over(Option<Reason>),
    /// The connection is over.
    Failed(Error),
}

/// A player in the hands of a writer.
pub(super) struct Player {
    connection: Connection,
    share: Share,
    /// The channels of the tracks at their places.
    channels: [Option<(u8, u8)>; MAX_TRACKS],
    /// The stream has ended; what is queued is still written.
    over: Option<Reason>,
}

impl Player {
    pub(super) fn new(connection: Connection, share: Share, channels: [Option<(u8, u8)>; MAX_TRACKS]) -> Self {
        Self { connection, share, channels, over: None }
    }

    /// The connection of one who does not come to play.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Queues a batch.
    pub(super) fn put(&mut self, batch: &Batch, feed: &mut Feed) -> Result<(), Error> {
        let body = self.share.body(batch, feed.subscriber())?;
        self.share.interleave(batch, &body, &self.channels, |bytes| feed.push(bytes));
        Ok(())
    }

    fn handle_input(&mut self, bytes: BytesMut, feed: &mut Feed) -> Fate<Outcome> {
        let event = self.connection.hear(bytes);
        while let Some(answer) = self.connection.session.poll_output() {
            feed.push(answer);
        }
        match event {
            Ok(Some(Event::Ended)) => Fate::Break(Outcome::Ended),
            Ok(Some(Event::Paused)) => Fate::Break(Outcome::Paused),
            Ok(_) => Fate::Continue(()),
            Err(error) => Fate::Break(Outcome::Failed(error)),
        }
    }
}

impl Protocol for Player {
    type Socket = Socket;
    type Outcome = Outcome;

    fn socket(&mut self) -> &mut Socket {
        self.connection.line.socket()
    }

    fn stall(&self) -> Duration {
        self.connection.visit.shared.config.stall
    }

    fn is_ending(&self) -> bool {
        self.over.is_some()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, _: &mut [u8], feed: &mut Feed, _: Instant) -> Poll<Fate<Outcome>> {
        self.connection.line.poll_read(cx).map(|read| match read {
            Ok(Some(bytes)) => self.handle_input(bytes, feed),
            Ok(None) => Fate::Break(Outcome::Failed(Error::Closed)),
            Err(error) => Fate::Break(Outcome::Failed(error)),
        })
    }

    fn handle_batch(&mut self, batch: &Batch, feed: &mut Feed, _: Instant) -> Fate<Outcome> {
        match self.put(batch, feed) {
            Ok(()) => Fate::Continue(()),
            Err(error) => Fate::Break(Outcome::Failed(error)),
        }
    }

    fn handle_end(&mut self, reason: Reason, _: &mut Feed, _: Instant) -> Fate<Outcome> {
        self.over = Some(reason);
        Fate::Continue(())
    }

    fn handle_shutdown(&mut self, _: &mut Feed, _: Instant) -> Fate<Outcome> {
        Fate::Break(Outcome::Over(None))
    }

    fn handle_settled(&mut self, _: &mut Context<'_>) -> Fate<Outcome> {
        if self.over.is_some() { Fate::Break(Outcome::Over(self.over)) } else { Fate::Continue(()) }
    }

    fn lost(&mut self, lost: Lost) -> Outcome {
        Outcome::Failed(match lost {
            Lost::Failed(error) => error.into(),
            Lost::Stalled(after) => Error::Stalled { after },
            _ => Error::Closed,
        })
    }

    /// Gives the connection back to a task of its own.
    fn leave(self, feed: Feed, outcome: Outcome) {
        let name = feed.name().clone();
        tokio::spawn(self.connection.resume(self.share, name, feed.into_backlog(), outcome));
    }
}
