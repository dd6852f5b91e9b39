//! Players as the writers of their streams drive them. A connection has no task of its own meanwhile; it gets one when the
//! client ends the stream, or the stream ends.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Next, Output, Reason, Subscriber};
use sluicegate_net::listener::Socket;
use sluicegate_writers::{Conversion, Fate, Feed, Lost, Protocol, Viewer};
use tokio::time::Instant;

use crate::Error;
use crate::connection::Connection;
use crate::formats::taken;
use crate::protocol::{Capabilities, ServerEvent};

/// What batches become for one player.
struct Share {
    conversion: Conversion,
    capabilities: Capabilities,
}

/// A player's first batches.
pub(crate) struct Playback {
    feed: Feed,
    share: Share,
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
    share: Share,
    /// The stream has ended; what is queued is still written.
    over: Option<Reason>,
}

impl Share {
    /// Queues a batch, after a check that the client takes it when its tracks are new.
    fn put(&mut self, batch: &Batch, feed: &mut Feed) -> Result<(), Error> {
        if !self.conversion.knows(batch) {
            taken(&batch.tracks, &self.capabilities)?;
        }
        self.conversion.put(batch, feed);
        Ok(())
    }
}

impl Playback {
    /// A playback with its first batches taken.
    ///
    /// # Errors
    /// The client does not take the stream's codec.
    pub(crate) fn begin(subscriber: Subscriber, output: Output, capabilities: Capabilities) -> Result<Self, Error> {
        let (mut feed, conversion) = (Feed::new(subscriber), Conversion::new(output));
        let mut share = Share { conversion, capabilities };
        // An end that is found here is found again by the writer.
        while feed.has_room() {
            let Next::Batch(batch) = feed.try_next() else { break };
            share.put(&batch, &mut feed)?;
        }
        Ok(Self { feed, share })
    }

    /// The player, once its client has been told that the stream starts.
    pub(crate) fn viewer(self, connection: Connection) -> Viewer<Player> {
        Viewer::new(self.feed, Player { connection, share: self.share, over: None })
    }
}

impl Player {
    /// Takes what the client says. Returns whether it has ended the stream; what it asks for behind that end waits in
    /// the session.
    fn handle_input(&mut self, bytes: Bytes, feed: &mut Feed) -> Result<bool, Error> {
        self.connection.session.handle_bytes(bytes);
        let ended = self.connection.session.poll_event()? == Some(ServerEvent::Ended);
        if let Some(answer) = self.connection.session.poll_output() {
            feed.push(answer);
        }
        Ok(ended)
    }
}

impl Protocol for Player {
    type Socket = Socket;
    type Outcome = Outcome;

    fn socket(&mut self) -> &mut Socket {
        self.connection.line.socket()
    }

    fn stall(&self) -> Duration {
        self.connection.shared.config.stall
    }

    fn is_ending(&self) -> bool {
        self.over.is_some()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, _: &mut [u8], feed: &mut Feed, _: Instant) -> Poll<Fate<Outcome>> {
        self.connection.line.poll_read(cx).map(|read| {
            let done = match read {
                Ok(Some(bytes)) => self.handle_input(bytes, feed),
                Ok(None) => Err(Error::Closed),
                Err(error) => Err(error),
            };
            match done {
                Ok(false) => Fate::Continue(()),
                Ok(true) => Fate::Break(Outcome::Ended),
                Err(error) => Fate::Break(Outcome::Failed(error)),
            }
        })
    }

    fn handle_batch(&mut self, batch: &Batch, feed: &mut Feed, _: Instant) -> Fate<Outcome> {
        match self.share.put(batch, feed) {
            Ok(()) => Fate::Continue(()),
            Err(error) => Fate::Break(Outcome::Failed(error)),
        }
    }

    fn handle_end(&mut self, reason: Reason, _: &mut Feed, _: Instant) -> Fate<Outcome> {
        self.over = Some(reason);
        Fate::Continue(())
    }

    fn handle_shutdown(&mut self, _: &mut Feed, _: Instant) -> Fate<Outcome> {
        Fate::Break(Outcome::Over("the server is going away".to_owned()))
    }

    fn handle_settled(&mut self, _: &mut Context<'_>) -> Fate<Outcome> {
        match self.over {
            Some(reason) => Fate::Break(Outcome::Over(reason.to_string())),
            None => Fate::Continue(()),
        }
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
        tokio::spawn(self.connection.resume(feed.into_backlog(), outcome));
    }
}
