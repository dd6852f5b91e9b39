//! One connection to our port.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use sluicegate_hub::{Batch, Ended, Publish, StreamName, Subscriber, TrackSet, Viewer};
use sluicegate_net::listener::Socket;
use tokio::time::Instant;

use super::format::Numbers;
use super::intake::{Announced, Intake};
use super::line::{Line, Step, sleep_until};
use super::player::{Player, Way};
use super::{Ask, Visit};
use crate::server::transport::Transport;
use crate::server::{Asked, Event, MAX_TRACKS, ServerSession};
use crate::{Error, Violation, sdp};

/// Bytes that a client may send while it waits for a stream. Nobody has anything to say then.
const MAX_AHEAD: usize = 16 << 10;
/// Requests that are refused on one connection. Who guesses tokens has to come anew for more.
const MAX_REFUSED: u32 = 8;

/// What a client has been told of.
struct Described {
    /// Holds the demand until the player's own cursor does.
    subscriber: Subscriber,
    tracks: Arc<TrackSet>,
    numbers: Numbers,
}

/// A client of ours.
pub(super) struct Connection {
    visit: Visit,
    session: ServerSession,
    line: Line,
    queue: VecDeque<Bytes>,
    described: Option<Described>,
    announced: Option<Announced>,
}

impl Connection {
    pub(super) fn new(visit: Visit, socket: Socket) -> Self {
        let session = ServerSession::new(rand::random(), visit.udp.is_some(), Instant::now().into_std());
        let line = Line::new(socket, visit.shared.config.stall);
        Self { visit, session, line, queue: VecDeque::new(), described: None, announced: None }
    }

    /// Serves the client until it leaves or has to.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let done = self.serve().await;
        if let Err(Error::Wire(violation)) = &done {
            tracing::debug!(peer = %self.visit.peer, %violation, "an RTSP client breaks the protocol");
        }
        if !matches!(done, Err(Error::Closed | Error::Io(_) | Error::Stalled { .. })) && self.flush().await.is_ok() {
            self.line.goodbye().await;
        }
        done
    }

    async fn serve(&mut self) -> Result<(), Error> {
        let mut refused = 0_u32;
        while let Some(event) = self.next_event().await? {
            let done = match event {
                Event::Describe(asked) => self.describe(asked).await,
                Event::Announce(asked, description) => self.announce(asked, &description),
                Event::SetUp(place, how) => {
                    self.set_up(place, how);
                    Ok(())
                }
                Event::Play => match self.play().await {
                    Ok(true) => Ok(()),
                    Ok(false) => return Ok(()),
                    Err(error) => Err(error),
                },
                Event::Record => return self.record().await,
                Event::Ended => {
                    (self.described, self.announced) = (None, None);
                    Ok(())
                }
                Event::Data { .. } => Ok(()),
            };
            match done {
                Err(error) if is_answered(&error) => {
                    let (status, reason) = (error.status(), error.reason());
                    tracing::info!(peer = %self.visit.peer, status, reason, "refused by RTSP");
                    self.session.refuse(status);
                    // Who gets no stream may ask for another, and who is asked for credentials may show them.
                    refused = refused.saturating_add(1);
                    if refused >= MAX_REFUSED {
                        return Err(error);
                    }
                }
                done => done?,
            }
        }
        Ok(())
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
                    Step::Read(Some(bytes)) => self.session.handle_bytes(&bytes),
                    Step::Read(None) => return Ok(None),
                    Step::Written(_) => {}
                },
                () = sleep_until(deadline) => self.session.handle_timeout(Instant::now().into_std())?,
                () = shutdown.begun() => return Ok(None),
            }
        }
    }

    /// Writes what the session wants written.
    async fn flush(&mut self) -> Result<(), Error> {
        self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
        if self.queue.is_empty() { Ok(()) } else { self.line.write(&mut self.queue).await }
    }

    fn admitted(&self, asked: &Asked, publishes: bool) -> Result<StreamName, Error> {
        let name = StreamName::parse(&asked.name)?;
        let ask = Ask { publishes, name: &name, credentials: &asked.credentials, peer: self.visit.peer };
        if self.visit.shared.gate.admits(&ask) { Ok(name) } else { Err(Error::Denied) }
    }

    fn subscribe(&self, name: &StreamName) -> Subscriber {
        self.visit.shared.hub.subscribe(name, Viewer::by("rtsp").from_address(self.visit.peer))
    }

    async fn describe(&mut self, asked: Asked) -> Result<(), Error> {
        let name = self.admitted(&asked, false)?;
        let mut subscriber = self.subscribe(&name);
        let wait = self.visit.shared.config.wait;
        let batch = tokio::select! {
            batch = first_batch(&mut subscriber, wait) => batch?,
            gone = self.until_it_leaves() => return Err(gone),
        };
        let text = sdp::describe(&name.to_string(), &batch.tracks).ok_or(Violation::Description)?;
        let numbers = Numbers::new(&batch.tracks);
        self.described = Some(Described { subscriber, tracks: Arc::clone(&batch.tracks), numbers });
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
        let described = self.described.as_ref().is_some_and(|described| described.numbers.has(place));
        let announced = self.announced.as_ref().is_some_and(|announced| announced.has(place));
        if !described && !announced {
            return self.session.refuse(404);
        }
        let ssrc = self.described.as_ref().map_or(0, |described| described.numbers.ssrc(place));
        let ports = self.visit.udp.as_ref().map(|ports| ports.numbers());
        self.session.accept_transport(place, how, ports, ssrc);
    }

    /// Where the tracks go that the client has set up.
    fn ways(&self) -> [Option<Way>; MAX_TRACKS] {
        self.session.tracks().map(|track| match track? {
            Transport::Interleaved(rtp, rtcp) => Some(Way::Interleaved(rtp, rtcp)),
            Transport::Udp(rtp, rtcp) => {
                let ports = Arc::clone(self.visit.udp.as_ref()?);
                Some(Way::Udp { ports, rtp: self.visit.port(rtp), rtcp: self.visit.port(rtcp) })
            }
        })
    }

    /// Sends the stream until it ends, which ends the connection, or the client ends it, which does not.
    async fn play(&mut self) -> Result<bool, Error> {
        let Some(Described { subscriber, tracks, numbers }) = self.described.take() else { return Err(Error::Closed) };
        // The newest key frame at this moment, not that of the description.
        let mut fresh = self.subscribe(subscriber.name());
        let batch = first_batch(&mut fresh, self.visit.shared.config.wait).await?;
        drop(subscriber);
        let mut player = Player::new(fresh, self.visit.shared.output.clone(), tracks, numbers, self.ways());
        let info = player.info(&self.session.base(), &batch);
        self.session.accept_play(info);
        self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
        tracing::debug!(peer = %self.visit.peer, stream = %player.subscriber.name(), "playing by RTSP");
        player.put(&batch, &mut self.queue)?;
        loop {
            if self.queue.is_empty()
                && player.is_idle()
                && let Some(reason) = player.gather(&mut self.queue)?
            {
                tracing::debug!(%reason, "the stream has ended for an RTSP player");
                return Ok(false);
            }
            if let Some(goes_on) = self.play_step(&mut player).await? {
                return Ok(goes_on);
            }
        }
    }

    /// Writes, reads or waits. Returns whether the connection goes on when the stream does not.
    async fn play_step(&mut self, player: &mut Player) -> Result<Option<bool>, Error> {
        let deadline = self.session.poll_timeout().map(Instant::from_std);
        let shutdown = self.visit.shutdown.clone();
        let idle = self.queue.is_empty() && player.is_idle();
        tokio::select! {
            step = self.line.step(&mut self.queue) => match step? {
                Step::Written(bytes) => player.subscriber.sent(bytes),
                Step::Read(None) => return Err(Error::Closed),
                Step::Read(Some(bytes)) => {
                    self.session.handle_bytes(&bytes);
                    let event = self.session.poll_event(Instant::now().into_std())?;
                    self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
                    if matches!(event, Some(Event::Ended)) {
                        self.line.write(&mut self.queue).await?;
                        return Ok(Some(true));
                    }
                }
            },
            () = player.next(idle) => {}
            () = sleep_until(deadline) => self.session.handle_timeout(Instant::now().into_std())?,
            () = shutdown.begun() => return Ok(Some(false)),
        }
        Ok(None)
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
                    self.session.handle_bytes(&bytes);
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
            self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
            tokio::select! {
                step = self.line.step(&mut self.queue) => match step? {
                    Step::Read(Some(bytes)) => self.session.handle_bytes(&bytes),
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

async fn first_batch(subscriber: &mut Subscriber, wait: std::time::Duration) -> Result<Arc<Batch>, Error> {
    match tokio::time::timeout(wait, subscriber.next()).await {
        Ok(next) => Ok(next.map_err(sluicegate_hub::Error::from)?),
        Err(_) => Err(sluicegate_hub::Error::NotFound { name: subscriber.name().clone() }.into()),
    }
}
