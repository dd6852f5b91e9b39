//! What is asked of one session of an endpoint.

use std::sync::Arc;
use std::time::Instant;

use super::{Endpoint, MIN_PAUSE, Status, guarded};
use crate::media::{RtpPacket, TrackId};
use crate::{ChannelId, ChannelOptions, Error, Message, SessionId};

impl Endpoint {
    /// Takes the answer to our offer.
    ///
    /// # Errors
    /// [`Error::Closed`] where there is no such session, or what the session refuses; it goes on then.
    pub fn accept_answer(&mut self, now: Instant, id: SessionId, answer: &str) -> Result<(), Error> {
        self.command(now, id, |session| session.handle_answer(now, answer))
    }

    /// Takes a later offer of the peer, for example its ICE restart, and returns the answer.
    ///
    /// # Errors
    /// As [`accept_answer`](Self::accept_answer).
    pub fn accept_offer(&mut self, now: Instant, id: SessionId, offer: &str) -> Result<String, Error> {
        self.command(now, id, |session| session.handle_offer(now, offer))
    }

    /// Makes a later offer, with an ICE restart where `restart` is set.
    ///
    /// # Errors
    /// As [`accept_answer`](Self::accept_answer).
    pub fn renew_offer(&mut self, now: Instant, id: SessionId, restart: bool) -> Result<String, Error> {
        self.command(now, id, |session| session.create_offer(now, restart))
    }

    /// Takes a trickled candidate.
    ///
    /// # Errors
    /// As [`accept_answer`](Self::accept_answer).
    pub fn add_candidate(&mut self, now: Instant, id: SessionId, candidate: &str) -> Result<(), Error> {
        self.command(now, id, |session| session.add_remote_candidate(now, candidate))
    }

    /// Asks for a data channel.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the session refuses.
    pub fn open_channel(
        &mut self,
        now: Instant,
        id: SessionId,
        label: &str,
        options: &ChannelOptions,
    ) -> Result<ChannelId, Error> {
        self.command(now, id, |session| session.open_channel(now, label, options))
    }

    /// Closes a data channel.
    pub fn close_channel(&mut self, now: Instant, id: SessionId, channel: ChannelId) {
        // A session that is gone has no channels.
        let _ = self.command(now, id, |session| {
            session.close_channel(now, channel);
            Ok(())
        });
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the session refuses: [`Error::Full`] where its send buffer has no room.
    pub fn send(&mut self, now: Instant, id: SessionId, channel: ChannelId, message: Message) -> Result<(), Error> {
        self.command(now, id, |session| session.send(now, channel, message))
    }

    /// Sends packets of a track, with `add` added to their sequence numbers modulo 2^16. The datagrams are there without
    /// a flush.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the session refuses.
    pub fn send_rtp(
        &mut self,
        now: Instant,
        id: SessionId,
        track: TrackId,
        packets: &Arc<[RtpPacket]>,
        add: u16,
    ) -> Result<(), Error> {
        let entry = self.sessions.get_mut(&id).ok_or(Error::Closed)?;
        let mut outlet = std::mem::take(&mut self.outlet);
        let sent = guarded(entry.session.as_mut(), |session| {
            let sent = session.send_rtp(now, track, packets, add, &mut outlet);
            (sent, session.poll_timeout())
        });
        let Some((sent, deadline)) = sent else {
            self.fail(id);
            return Err(Error::Closed);
        };
        let deadline = deadline.map(|at| at.max(now + MIN_PAUSE));
        self.timers.rearm(id, &mut entry.armed, deadline);
        self.post_media(now, id, outlet.transmits.drain(..));
        self.outlet = outlet;
        sent
    }

    /// Asks the peer for a key frame on a track that we receive.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the session refuses.
    pub fn request_key_frame(&mut self, now: Instant, id: SessionId, track: TrackId) -> Result<(), Error> {
        self.command(now, id, |session| session.request_key_frame(now, track))
    }

    /// Tells the peer which timestamps stand for the moment `at`. The reports are there without a flush.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the session refuses.
    pub fn tell_clock(
        &mut self,
        now: Instant,
        id: SessionId,
        at: Instant,
        timestamps: &[(TrackId, u32)],
    ) -> Result<(), Error> {
        self.command(now, id, |session| session.tell_clock(now, at, timestamps))?;
        self.run(now, id);
        Ok(())
    }

    /// What a session's path is like.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn status(&self, id: SessionId) -> Result<Status, Error> {
        self.sessions.get(&id).map(|entry| entry.status).ok_or(Error::Closed)
    }

    /// Bytes of messages accepted by a session and not acknowledged by its peer.
    pub fn buffered(&mut self, id: SessionId) -> usize {
        self.sessions.get_mut(&id).map_or(0, |entry| entry.session.buffered())
    }
}
