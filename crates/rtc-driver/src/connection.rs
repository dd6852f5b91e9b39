//! The owner's end of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::driver::{Command, Request};
use crate::endpoint::Status;
use crate::media::{RtpPacket, TrackId};
use crate::{ChannelId, ChannelOptions, Config, Error, Event, Message, SessionId};

/// Bytes that an event counts for beside its payload.
const EVENT_COST: usize = 64;
/// Events other than messages that may wait; a peer that makes more while nobody reads ends its session.
pub(crate) const MAX_NEWS: usize = 4096;

/// Media packets of one session that may wait for the driver: 1 to 2 s of a stream of 20 Mbit/s.
const MAX_PACKETS: usize = 4096;

/// What the driver and the owner of a session both see.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Bytes of events that the owner has not taken.
    queued: AtomicUsize,
    /// Events other than messages among them.
    news: AtomicUsize,
    /// The driver holds messages back until the owner has caught up.
    paused: AtomicBool,
    /// Media packets handed to the driver and not sent yet.
    packets: AtomicUsize,
    /// Room in the send buffer, in bytes.
    pub(crate) room: Semaphore,
    /// Room was given back, or the session has ended.
    pub(crate) released: Notify,
    config: Arc<Config>,
}

fn cost(event: &Event) -> (usize, usize) {
    match event {
        Event::Message { message, .. } => (message.len() + EVENT_COST, 0),
        Event::Rtp { packet, .. } => (packet.payload.len() + EVENT_COST, 0),
        _ => (EVENT_COST, 1),
    }
}

impl Shared {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            queued: AtomicUsize::new(0),
            news: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            packets: AtomicUsize::new(0),
            room: Semaphore::new(config.send_buffer.min(Semaphore::MAX_PERMITS)),
            released: Notify::new(),
            config,
        }
    }

    /// Counts an event on its way to the owner; tells how many other than messages wait.
    pub(crate) fn enqueued(&self, event: &Event) -> usize {
        let (bytes, news) = cost(event);
        self.queued.fetch_add(bytes, Ordering::AcqRel);
        self.news.fetch_add(news, Ordering::AcqRel) + news
    }

    /// Whether as much as allowed waits for the owner.
    pub(crate) fn behind(&self) -> bool {
        self.queued.load(Ordering::SeqCst) >= self.config.receive_buffer
    }

    /// Media packets have left the queue to the driver.
    pub(crate) fn packets_left(&self, count: usize) {
        self.packets.fetch_sub(count, Ordering::AcqRel);
    }

    /// Whether the owner is so far behind that the driver is to hold messages back.
    pub(crate) fn pause(&self) -> bool {
        // The mark is set before the level is read: an owner that empties the queue in between sees it and calls.
        let marked = self.paused.swap(true, Ordering::SeqCst);
        let behind = self.behind();
        // An earlier mark stays until the owner has caught up and calls: nobody else ends the pause.
        if !behind && !marked {
            self.paused.store(false, Ordering::SeqCst);
        }
        behind
    }

    /// Counts an event taken; tells whether the driver waits for this.
    fn taken(&self, event: &Event) -> bool {
        let (bytes, news) = cost(event);
        self.news.fetch_sub(news, Ordering::AcqRel);
        let left = self.queued.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        left <= self.config.receive_buffer / 2 && self.paused.swap(false, Ordering::SeqCst)
    }
}

/// A session's owner: takes its events, and closes it when dropped.
#[derive(Debug)]
pub struct Connection {
    handle: Handle,
    events: mpsc::UnboundedReceiver<Event>,
}

/// Speaks to a session; any number of tasks may hold one.
#[derive(Debug, Clone)]
pub struct Handle {
    id: SessionId,
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
}

impl Connection {
    pub(crate) fn new(
        id: SessionId,
        commands: mpsc::UnboundedSender<Command>,
        shared: Arc<Shared>,
        events: mpsc::UnboundedReceiver<Event>,
    ) -> Self {
        Self { handle: Handle { id, commands, shared }, events }
    }

    /// For speaking to the session, also from other tasks.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The next event. The last is [`Event::State`] with `Closed`; then, or when the driver has stopped, `None`.
    ///
    /// While events are left unread past `Config::receive_buffer`, the peer is made to wait. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        if self.handle.shared.taken(&event) {
            self.handle.post(Request::Resume);
        }
        Some(event)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Handle {
    /// The session's number, for logs.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    fn post(&self, request: Request) {
        // A driver that has stopped has closed the session already.
        let _ = self.commands.send(Command::Session(self.id, request));
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.post(make(reply));
        answer.await.unwrap_or(Err(Error::Stopped))
    }

    /// Takes the peer's answer to our offer.
    ///
    /// # Errors
    /// What the session refuses; it goes on, and another answer may be given.
    pub async fn accept_answer(&self, answer: impl Into<String>) -> Result<(), Error> {
        let answer = answer.into();
        self.ask(|reply| Request::AcceptAnswer(answer, reply)).await
    }

    /// Takes a later offer of the peer, for example its ICE restart, and returns the answer.
    ///
    /// # Errors
    /// What the session refuses; it goes on as before.
    pub async fn accept_offer(&self, offer: impl Into<String>) -> Result<String, Error> {
        let offer = offer.into();
        self.ask(|reply| Request::AcceptOffer(offer, reply)).await
    }

    /// Makes a later offer; with `restart` it begins an ICE restart, for a session whose network has changed.
    ///
    /// # Errors
    /// [`Error::Refused`] while another exchange is under way.
    pub async fn renew_offer(&self, restart: bool) -> Result<String, Error> {
        self.ask(|reply| Request::RenewOffer(restart, reply)).await
    }

    /// Takes a trickled candidate of the peer (`candidate:…`).
    ///
    /// # Errors
    /// [`Error::Refused`] where it cannot be read, [`Error::TooManyCandidates`] past the limit.
    pub async fn add_candidate(&self, candidate: impl Into<String>) -> Result<(), Error> {
        let candidate = candidate.into();
        self.ask(|reply| Request::AddCandidate(candidate, reply)).await
    }

    /// Asks for a data channel; [`Event::ChannelOpen`] follows when the peer has agreed.
    ///
    /// # Errors
    /// [`Error::TooManyChannels`], or [`Error::Refused`] for options that do not fit together.
    pub async fn open_channel(&self, label: impl Into<String>, options: ChannelOptions) -> Result<ChannelId, Error> {
        let label = label.into();
        self.ask(|reply| Request::OpenChannel(label, options, reply)).await
    }

    /// Closes a data channel once all that was sent is acknowledged.
    pub fn close_channel(&self, channel: ChannelId) {
        self.post(Request::CloseChannel(channel));
    }

    /// Sends a message; waits for room in the session's send buffer. A message of a cancelled call is not sent unless
    /// the driver already had it.
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::MessageTooLong`], [`Error::Closed`].
    pub async fn send(&self, channel: ChannelId, message: Message) -> Result<(), Error> {
        let bytes = self.length(&message)?;
        let room = self.shared.room.acquire_many(bytes).await.map_err(|_| Error::Closed)?;
        // The driver gives the room back as the peer acknowledges.
        room.forget();
        self.ask(|reply| Request::Send(channel, message, reply)).await
    }

    /// As [`send`](Self::send), without waiting for room.
    ///
    /// # Errors
    /// [`Error::Full`], and those of [`send`](Self::send).
    pub async fn try_send(&self, channel: ChannelId, message: Message) -> Result<(), Error> {
        let bytes = self.length(&message)?;
        if self.shared.room.is_closed() {
            return Err(Error::Closed);
        }
        self.shared.room.try_acquire_many(bytes).map_err(|_| Error::Full)?.forget();
        self.ask(|reply| Request::Send(channel, message, reply)).await
    }

    /// Sends packets of a track, best a whole frame's at once. Packets that the track's state or the network does not
    /// let out are lost.
    ///
    /// # Errors
    /// [`Error::Full`] while 4,096 packets of this session wait for the driver: leave out frames until a key frame.
    pub fn send_rtp(&self, track: TrackId, packets: Vec<RtpPacket>) -> Result<(), Error> {
        self.send_shared(track, packets.into(), 0)
    }

    /// As [`send_rtp`](Self::send_rtp), packets that any number of sessions share: each adds its own `add` to their
    /// sequence numbers, modulo 2^16.
    ///
    /// # Errors
    /// As [`send_rtp`](Self::send_rtp).
    pub fn send_shared(&self, track: TrackId, packets: Arc<[RtpPacket]>, add: u16) -> Result<(), Error> {
        let waiting = self.shared.packets.fetch_add(packets.len(), Ordering::AcqRel);
        if waiting + packets.len() > MAX_PACKETS {
            self.shared.packets_left(packets.len());
            return Err(Error::Full);
        }
        self.post(Request::SendRtp(track, packets, add));
        Ok(())
    }

    /// Asks the peer for a key frame on a track that we receive.
    pub fn request_key_frame(&self, track: TrackId) {
        self.post(Request::KeyFrame(track));
    }

    /// Tells the peer by sender reports, before any further packet, which timestamps of its tracks stand for the same
    /// moment; for an owner that begins with what is older on one track than on another. Later reports follow the
    /// packets.
    pub fn tell_clock(&self, at: Instant, timestamps: Vec<(TrackId, u32)>) {
        self.post(Request::Clock(at, timestamps));
    }

    fn length(&self, message: &Message) -> Result<u32, Error> {
        let limit = self.shared.config.max_message;
        let too_long = Error::MessageTooLong { got: message.len(), limit };
        if message.len() > limit { Err(too_long) } else { u32::try_from(message.len()).map_err(|_| too_long) }
    }

    /// What the session's path is like: address, round trip, bytes.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Stopped`].
    pub async fn status(&self) -> Result<Status, Error> {
        self.ask(Request::Status).await
    }

    /// Bytes sent that the peer has not acknowledged.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.shared.config.send_buffer.saturating_sub(self.shared.room.available_permits())
    }

    /// Waits until the peer has acknowledged all but so many bytes, or the session has ended. Safe to cancel.
    pub async fn drained(&self, bytes: usize) {
        loop {
            // The wait begins before the level is read, so that no release in between is missed.
            let mut released = std::pin::pin!(self.shared.released.notified());
            released.as_mut().enable();
            if self.buffered() <= bytes || self.shared.room.is_closed() {
                return;
            }
            released.await;
        }
    }

    /// Ends the session; the peer is told, and the owner gets its last event.
    pub fn close(&self) {
        self.post(Request::Close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lasts_until_the_owner_has_caught_up() {
        let shared = Shared::new(Arc::new(Config { receive_buffer: 4 * EVENT_COST, ..Config::default() }));
        let event = Event::ChannelClosed(ChannelId(0));
        assert_eq!((0..4).map(|_| shared.enqueued(&event)).last(), Some(4));
        assert!(shared.pause());
        // The owner has begun to read; the driver looks again before it has caught up.
        assert!(!shared.taken(&event) && !shared.pause());
        assert!(shared.taken(&event), "the driver waits for this call");
        assert!(!shared.taken(&event) && !shared.pause() && !shared.taken(&event));
    }
}
