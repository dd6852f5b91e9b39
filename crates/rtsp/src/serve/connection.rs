//! One connection to our port.

use std::net::SocketAddr;

use bytes::BytesMut;
use sluicegate_hub::{Choice, Ended, Next, Publish, StreamName, Subscriber, Viewer};
use sluicegate_net::listener::Socket;
use sluicegate_writers::Backlog;
use tokio::time::Instant;

use super::intake::{Announced, Intake};
use super::line::{Line, Step, sleep_until};
use super::play::Playback;
use super::share::Share;
use super::{Ask, Visit};
use crate::server::transport::Transport;
use crate::server::{Asked, Event, ServerSession};
use crate::{Error, Violation, metrics, sdp};

/// Bytes that a client may send while it waits for a stream. Nobody has anything to say then.
const MAX_AHEAD: usize = 16 << 10;
/// Requests that are refused on one connection. Who guesses tokens has to come anew for more.
const MAX_REFUSED: u32 = 8;

/// What a client has been told of.
pub(super) struct Described {
    pub(super) name: StreamName,
    pub(super) share: Share,
    /// Holds the demand until the player's own cursor does; a player that pauses has none.
    pub(super) hold: Option<Subscriber>,
}

/// A client of ours.
pub(super) struct Connection {
    pub(super) visit: Visit,
    pub(super) session: ServerSession,
    pub(super) line: Line,
    pub(super) queue: Backlog,
    pub(super) described: Option<Described>,
    announced: Option<Announced>,
    refused: u32,
}

impl Connection {
    pub(super) fn new(visit: Visit, socket: Socket) -> Self {
        let session = ServerSession::new(rand::random(), visit.udp.is_some(), Instant::now().into_std());
        let line = Line::new(socket, visit.shared.config.stall);
        Self { visit, session, line, queue: Backlog::default(), described: None, announced: None, refused: 0 }
    }

    /// Serves the client until it leaves or has to. While it plays by TCP a writer of the stream has the connection, and
    /// this is over.
    pub(super) async fn run(mut self) {
        match self.serve().await {
            Ok(Some(playback)) => self.hand_over(playback).await,
            done => self.end(done.map(drop)).await,
        }
    }

    /// Says what is to be said, closes, and counts how it came to that.
    pub(super) async fn end(mut self, done: Result<(), Error>) {
        let peer = self.visit.peer;
        if let Err(Error::Wire(violation)) = &done {
            tracing::debug!(%peer, %violation, "an RTSP client breaks the protocol");
        }
        if !matches!(done, Err(Error::Closed | Error::Io(_) | Error::Stalled { .. })) && self.flush().await.is_ok() {
            self.line.goodbye().await;
        }
        ended(self.visit.peer, &done);
    }

    /// Answers the client until it leaves, or plays by TCP.
    async fn serve(&mut self) -> Result<Option<Playback>, Error> {
        while let Some(event) = self.next_event().await? {
            let done = match event {
                Event::Describe(asked) => self.describe(asked).await,
                Event::Announce(asked, description) => self.announce(asked, &description),
                Event::SetUp(place, how) => {
                    self.set_up(place, how);
                    Ok(())
                }
                Event::Play => match self.play().await {
                    Ok(playback) => match self.udp_ways() {
                        None => return Ok(Some(playback)),
                        Some(ways) if self.play_by_udp(playback, ways).await? => Ok(()),
                        Some(_) => return Ok(None),
                    },
                    Err(error) => Err(error),
                },
                Event::Record => return self.record().await.map(|()| None),
                Event::Ended => {
                    (self.described, self.announced) = (None, None);
                    Ok(())
                }
                Event::Paused | Event::Data { .. } => Ok(()),
            };
            match done {
                Err(error) if is_answered(&error) => self.refuse(error)?,
                done => done?,
            }
        }
        Ok(None)
    }

    /// Tells the client why not. Who gets no stream may ask for another, and who is asked for credentials may show them,
    /// but not for ever.
    fn refuse(&mut self, error: Error) -> Result<(), Error> {
        let (status, reason) = (error.status(), error.reason());
        tracing::info!(peer = %self.visit.peer, status, reason, "refused by RTSP");
        self.session.refuse(status);
        self.refused = self.refused.saturating_add(1);
        if self.refused >= MAX_REFUSED { Err(error) } else { Ok(()) }
    }

    /// Takes bytes of a client that plays.
    pub(super) fn hear(&mut self, bytes: BytesMut) -> Result<Option<Event>, Error> {
        self.session.handle_bytes(bytes);
        Ok(self.session.poll_event(Instant::now().into_std())?)
    }

    /// The next event; `None` when the client or the server goes away.
    async fn next_event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let event = self.session.poll_event(Instant::now().into_std());
            // What is to be said before the end is said.
            self.flush().await?;
            if let Some(event) = event? {
                return Ok(Some(event));
            }
            let deadline = self.session.poll_timeout().map(Instant::from_std);
            let shutdown = self.visit.shutdown.clone();
            tokio::select! {
                step = self.line.step(&mut self.queue) => match step? {
                    Step::Read(Some(bytes)) => self.session.handle_bytes(bytes),
                    Step::Read(None) => return Ok(None),
                    Step::Written(_) => {}
                },
                () = sleep_until(deadline) => self.session.handle_timeout(Instant::now().into_std())?,
                () = shutdown.begun() => return Ok(None),
            }
        }
    }

    /// Queues what the session wants written.
    pub(super) fn queue_output(&mut self) {
        self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
    }

    /// Writes what the session wants written.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        self.queue_output();
        if self.queue.is_empty() { Ok(()) } else { self.line.write(&mut self.queue).await }
    }

    fn admitted(&self, asked: &Asked, publishes: bool) -> Result<StreamName, Error> {
        let name = StreamName::parse(&asked.name)?;
        let ask = Ask { publishes, name: &name, credentials: &asked.credentials, peer: self.visit.peer };
        if self.visit.shared.gate.admits(&ask) { Ok(name) } else { Err(Error::Denied) }
    }

    pub(super) fn subscribe(&self, name: &StreamName, choice: Choice) -> Subscriber {
        let viewer = Viewer::by("rtsp").from_address(self.visit.peer).choosing(choice);
        self.visit.shared.hub.subscribe(name, viewer)
    }

    async fn describe(&mut self, asked: Asked) -> Result<(), Error> {
        let (name, choice) = Choice::of(&self.admitted(&asked, false)?, &asked.query)?;
        let mut subscriber = self.subscribe(&name, choice);
        let name = subscriber.name().clone();
        let wait = self.visit.shared.config.wait;
        tokio::select! {
            ready = subscriber.ready(wait) => ready?,
            gone = self.until_it_leaves() => return Err(gone),
        }
        let Next::Batch(batch) = subscriber.try_next() else { return Err(Error::Closed) };
        let text = sdp::describe(&name.to_string(), &batch.tracks).ok_or(Violation::Description)?;
        let share = Share::new(self.visit.shared.output.clone(), &name, &batch.tracks);
        self.described = Some(Described { name, share, hold: Some(subscriber) });
        self.session.accept_description(text);
        Ok(())
    }

    fn announce(&mut self, asked: Asked, description: &[u8]) -> Result<(), Error> {
        let name = self.admitted(&asked, true)?;
        let media = sdp::parse(description);
        let announced = Announced::new(name, media, asked.agent).ok_or(Violation::Description)?;
        self.announced = Some(announced);
        self.session.accept();
        Ok(())
    }

    fn set_up(&mut self, place: usize, how: Transport) {
        let described = self.described.as_ref().is_some_and(|described| described.share.has(place));
        let announced = self.announced.as_ref().is_some_and(|announced| announced.has(place));
        if !described && !announced {
            return self.session.refuse(404);
        }
        let ssrc = self.described.as_ref().map_or(0, |described| described.share.ssrc(place));
        let ports = self.visit.udp.as_ref().map(|ports| ports.numbers());
        self.session.accept_transport(place, how, ports, ssrc);
    }

    /// Takes what a client says while it waits, until it has left.
    async fn until_it_leaves(&mut self) -> Error {
        let (shutdown, mut ahead) = (self.visit.shutdown.clone(), 0_usize);
        loop {
            let step = tokio::select! {
                step = self.line.step(&mut self.queue) => step,
                () = shutdown.begun() => return Error::Closed,
            };
            match step {
                Ok(Step::Read(Some(bytes))) => {
                    ahead = ahead.saturating_add(bytes.len());
                    if ahead > MAX_AHEAD {
                        return Violation::Head { limit: MAX_AHEAD }.into();
                    }
                    self.session.handle_bytes(bytes);
                }
                Ok(Step::Read(None)) => return Error::Closed,
                Ok(Step::Written(_)) => {}
                Err(error) => return error,
            }
        }
    }

    /// Takes the publisher's place and feeds it until the client ends the stream or leaves.
    async fn record(&mut self) -> Result<(), Error> {
        let Some(announced) = self.announced.take() else { return Err(Error::Closed) };
        let config = &self.visit.shared.config;
        let by = Publish { replace: config.replace_publisher, ..Publish::by("rtsp") };
        let by = by.from_address(self.visit.peer).expecting(announced.expects(&self.session.tracks()));
        let publisher = match self.visit.shared.hub.publish(&announced.name, by) {
            Ok(publisher) => publisher,
            Err(error) => {
                let error = Error::from(error);
                tracing::info!(peer = %self.visit.peer, reason = error.reason(), "refused by RTSP");
                self.session.refuse(error.status());
                return Err(error);
            }
        };
        let silence = config.publisher_silence;
        tracing::info!(peer = %self.visit.peer, stream = %announced.name, software = announced.agent, "publishing by RTSP");
        let mut intake = Intake::new(&announced, &self.session.tracks());
        self.session.accept();
        self.line.expect_media();
        let closed = publisher.closed();
        tokio::pin!(closed);
        let shutdown = self.visit.shutdown.clone();
        loop {
            while let Some(event) = self.session.poll_event(Instant::now().into_std())? {
                match event {
                    Event::Data { channel, payload } => intake.take(channel, payload, &publisher)?,
                    _ => return Ok(()),
                }
            }
            intake.advance(&publisher)?;
            self.queue_output();
            tokio::select! {
                step = self.line.step(&mut self.queue) => match step? {
                    Step::Read(Some(bytes)) => self.session.handle_bytes(bytes),
                    Step::Read(None) => return Ok(()),
                    Step::Written(_) => {}
                },
                () = tokio::time::sleep_until(intake.progress() + silence) => return Err(Error::Silent { after: silence }),
                reason = &mut closed => return Err(sluicegate_hub::Error::from(Ended { reason }).into()),
                () = sleep_until(intake.deadline()) => {}
                () = shutdown.begun() => return Ok(()),
            }
        }
    }
}

/// Whether the client is told and may go on.
fn is_answered(error: &Error) -> bool {
    matches!(error, Error::Denied | Error::Hub(_) | Error::Wire(Violation::Description))
}

/// Counts and tells how a connection came to its end.
pub(super) fn ended(peer: SocketAddr, done: &Result<(), Error>) {
    match done {
        Ok(()) => metrics::ended("done"),
        Err(error) => {
            metrics::ended(error.label());
            tracing::debug!(%peer, error = error.reason(), "an RTSP connection ended");
        }
    }
}
