//! One connection to our port, until it publishes or plays.

use std::net::SocketAddr;
use std::sync::Arc;

use sluicegate_hub::StreamName;
use sluicegate_net::listener::Socket;
use sluicegate_net::port::Place;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_writers::Backlog;
use tokio::time::Instant;
use tracing::Instrument;

use crate::line::Line;
use crate::metrics::Counted;
use crate::protocol::{Request, ServerEvent, ServerSession};
use crate::service::Shared;
use crate::{Ask, Error, metrics};

/// A client of ours.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) session: ServerSession,
    pub(crate) line: Line,
    pub(crate) peer: SocketAddr,
    pub(crate) shutdown: Shutdown,
    _held: Held,
}

/// What a connection holds while it is there: its place at the port, and its place in the count.
type Held = (Place, Counted);

/// How the task of a connection came to its end.
pub(crate) enum Run {
    /// The connection is over.
    Done,
    /// A writer has it.
    Playing,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, socket: Socket, peer: SocketAddr, shutdown: Shutdown, held: Held) -> Self {
        let session = ServerSession::new(rand::random(), Instant::now().into_std());
        let line = Line::new(socket, shared.config.stall);
        Self { shared, session, line, peer, shutdown, _held: held }
    }

    /// Serves the client until it leaves or has to. A client may publish or play one stream after another; while it plays
    /// a writer of the stream has the connection, and this is over.
    pub(crate) async fn serve(self) {
        let peer = self.peer;
        ended(peer, &self.run().await);
    }

    pub(crate) async fn run(mut self) -> Result<Run, Error> {
        loop {
            match self.next_event().await? {
                None => return Ok(Run::Done),
                Some(ServerEvent::Publish(request)) => {
                    let span = tracing::info_span!("stream", name = request.place.name);
                    self.publish(&request).instrument(span).await?;
                }
                Some(ServerEvent::Play(request)) => match self.play(&request).await? {
                    Some(idle) => self = idle,
                    None => return Ok(Run::Playing),
                },
                Some(ServerEvent::Media(_) | ServerEvent::Ended) => {}
            }
        }
    }

    /// The next event; `None` when the client or the server goes away.
    async fn next_event(&mut self) -> Result<Option<ServerEvent>, Error> {
        loop {
            let event = self.session.poll_event();
            // What is to be said before the end is said.
            self.flush().await?;
            if let Some(event) = event? {
                return Ok(Some(event));
            }
            let deadline = self.session.poll_timeout().map(Instant::from_std);
            let shutdown = self.shutdown.clone();
            tokio::select! {
                read = self.line.read() => match read? {
                    Some(bytes) => self.session.handle_bytes(bytes),
                    None => return Ok(None),
                },
                () = sleep_until(deadline) => self.session.handle_timeout(Instant::now().into_std())?,
                () = shutdown.begun() => return Ok(None),
            }
        }
    }

    /// Writes what the session wants written.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        let mut queue: Backlog = std::iter::from_fn(|| self.session.poll_output()).collect();
        if queue.is_empty() { Ok(()) } else { self.line.write(&mut queue).await }
    }

    /// The stream that is asked for, if the name is one and the client may do what it asks for.
    pub(crate) fn admitted(&self, request: &Request, publishes: bool) -> Result<StreamName, Error> {
        let name = StreamName::parse(&request.place.name)?;
        let token = request.place.parameter("token");
        let ask = Ask { publishes, name: &name, token: token.as_deref(), peer: self.peer };
        if self.shared.gate.admits(&ask) { Ok(name) } else { Err(Error::Denied) }
    }

    /// Tells the client why not, and ends the connection with this error.
    pub(crate) async fn refuse(&mut self, error: Error, publishes: bool) -> Result<(), Error> {
        let (code, reason) = (error.status(publishes), error.reason());
        tracing::info!(peer = %self.peer, code, reason, "refused");
        self.session.refuse(code, &reason);
        self.flush().await?;
        self.line.goodbye().await;
        Err(error)
    }
}

/// Counts and tells how a connection came to its end.
pub(crate) fn ended(peer: SocketAddr, done: &Result<Run, Error>) {
    match done {
        Ok(Run::Playing) => {}
        Ok(Run::Done) => metrics::ended("done"),
        Err(error) => {
            metrics::ended(error.label());
            tracing::debug!(%peer, error = error.reason(), "an RTMP connection ended");
        }
    }
}

/// Waits for ever without a deadline.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
