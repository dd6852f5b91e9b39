//! What the endpoint asks of a WebRTC stack, in bytes and instants. A second stack would answer these few questions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::media::{RtpPacket, TrackId};
use crate::{ChannelId, ChannelOptions, Error, Event, Message};

/// What carries a session's datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// UDP.
    Udp,
    /// TCP, each datagram in a frame (RFC 6544).
    Tcp,
}

/// A datagram that a session wants sent.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// What carries it.
    pub carrier: Carrier,
    /// The announced local address it leaves from.
    pub local: SocketAddr,
    /// Where it goes.
    pub remote: SocketAddr,
    /// Its bytes.
    pub data: BytesMut,
}

/// Bytes of the memory that packets are encrypted in, which all sessions share: what the driver sends at once, and the
/// largest pictures. It is held for good, and free again with each flush: memory from the host would be cleared each time.
const ROOM: usize = 1_280 * 1024;

/// Takes packets of sessions that leave at once.
#[derive(Debug, Default)]
pub struct Outlet {
    /// The packets.
    pub transmits: Vec<Transmit>,
    room: BytesMut,
}

impl Outlet {
    /// Room for so many bytes, from which packets are split off as they are filled, and where they go. What may wait for
    /// long is to lie elsewhere: one packet holds all of the room.
    pub fn room(&mut self, bytes: usize) -> (&mut BytesMut, &mut Vec<Transmit>) {
        if !self.room.try_reclaim(ROOM) && self.room.capacity() < bytes {
            self.room = BytesMut::with_capacity(bytes.max(ROOM));
        }
        (&mut self.room, &mut self.transmits)
    }
}

/// One WebRTC session without socket and clock.
///
/// *Signalling*: [`create_offer`](Self::create_offer) and [`handle_answer`](Self::handle_answer), or
/// [`handle_offer`](Self::handle_offer); candidates by [`add_remote_candidate`](Self::add_remote_candidate).
/// *Input*: [`handle_datagram`](Self::handle_datagram) and [`handle_timeout`](Self::handle_timeout).
/// *Output*, after any input or command: [`poll_event`](Self::poll_event), then [`poll_message`](Self::poll_message),
/// then [`poll_transmit`](Self::poll_transmit), again until all three are empty; then
/// [`poll_timeout`](Self::poll_timeout).
///
/// A session that has ended says so by one last [`Event::State`] with [`State::Closed`](crate::State::Closed), and
/// ignores further input. A method may panic on what a peer sent: the endpoint then drops the session.
pub trait Session: Send {
    /// The fragment that a peer's STUN requests name; an ICE restart changes it.
    fn fragment(&self) -> &str;

    /// Makes an offer with all known candidates, with new ICE credentials where `restart` is set.
    ///
    /// # Errors
    /// [`Error::Refused`] where an exchange is already under way.
    fn create_offer(&mut self, now: Instant, restart: bool) -> Result<String, Error>;

    /// Takes the peer's answer to our offer.
    ///
    /// # Errors
    /// [`Error::Refused`] where it does not fit, or a limit of the configuration.
    fn handle_answer(&mut self, now: Instant, answer: &str) -> Result<(), Error>;

    /// Takes the peer's offer, the first or a later one, and returns the answer.
    ///
    /// # Errors
    /// [`Error::Refused`] where it does not fit, or a limit of the configuration.
    fn handle_offer(&mut self, now: Instant, offer: &str) -> Result<String, Error>;

    /// Takes a trickled candidate (`candidate:…`); an empty one says that no more follow.
    ///
    /// # Errors
    /// [`Error::Refused`] where it cannot be read, [`Error::TooManyCandidates`] past the limit.
    fn add_remote_candidate(&mut self, now: Instant, candidate: &str) -> Result<(), Error>;

    /// Announces one more local address, found by asking a STUN server from `base`.
    ///
    /// # Errors
    /// [`Error::Refused`] where the stack does not take it.
    fn add_mapped_address(&mut self, now: Instant, base: SocketAddr, mapped: SocketAddr) -> Result<(), Error>;

    /// Announces an address where connections by TCP are accepted (RFC 6544), the last resort of peers without UDP: an
    /// own one, or the public one of `base`. It is asked before the first description; a stack without TCP leaves it.
    ///
    /// # Errors
    /// [`Error::Refused`] where the stack does not take it.
    fn add_passive_address(
        &mut self,
        now: Instant,
        address: SocketAddr,
        base: Option<SocketAddr>,
    ) -> Result<(), Error> {
        let _ = (now, address, base);
        Ok(())
    }

    /// Announces the address of our relay on a TURN server, the last resort of all. Datagrams that leave from it are put
    /// into the relay by whoever sends them; a stack without relays leaves it.
    ///
    /// # Errors
    /// [`Error::Refused`] where the stack does not take it.
    fn add_relayed_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), Error> {
        let _ = (now, address);
        Ok(())
    }

    /// Asks for a data channel. [`Event::ChannelOpen`] or [`Event::ChannelClosed`] follows.
    ///
    /// # Errors
    /// [`Error::TooManyChannels`] past the limit, [`Error::Refused`] where the options do not fit together.
    fn open_channel(&mut self, now: Instant, label: &str, options: &ChannelOptions) -> Result<ChannelId, Error>;

    /// Closes a data channel, for both ends. Messages already accepted are sent first.
    fn close_channel(&mut self, now: Instant, channel: ChannelId);

    /// Queues a message.
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::MessageTooLong`], or [`Error::Full`] where the send buffer has no room.
    fn send(&mut self, now: Instant, channel: ChannelId, message: Message) -> Result<(), Error>;

    /// Sends packets of a track, with `add` added to their sequence numbers modulo 2^16, and keeps them for a while for a
    /// peer that asks again. Their sequence numbers follow one another. What can leave at once goes to `out`, the rest
    /// comes by [`poll_transmit`](Self::poll_transmit).
    ///
    /// # Errors
    /// [`Error::NoTrack`] before the peer has agreed, [`Error::Refused`] for a packet that does not fit.
    fn send_rtp(
        &mut self,
        now: Instant,
        track: TrackId,
        packets: &Arc<[RtpPacket]>,
        add: u16,
        out: &mut Outlet,
    ) -> Result<(), Error>;

    /// Tells the peer by sender reports which timestamps of tracks that we send stand for the moment `at`
    /// (RFC 3550 section 6.4.1). Reports that follow go on from there with what is sent.
    ///
    /// # Errors
    /// [`Error::Closed`] before the session is connected.
    fn tell_clock(&mut self, now: Instant, at: Instant, timestamps: &[(TrackId, u32)]) -> Result<(), Error>;

    /// Asks the peer for a key frame on a track that we receive (PLI).
    ///
    /// # Errors
    /// [`Error::NoTrack`] before its first packet has come.
    fn request_key_frame(&mut self, now: Instant, track: TrackId) -> Result<(), Error>;

    /// Bytes of messages accepted and not acknowledged by the peer, over all channels.
    fn buffered(&mut self) -> usize;

    /// Takes a datagram that arrived at the announced address `local`.
    fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, data: BytesMut);

    /// Takes a frame that arrived by TCP at the announced address `local`.
    fn handle_frame(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, data: BytesMut) {
        let _ = (now, local, remote, data);
    }

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);

    /// Says goodbye and ends.
    fn close(&mut self, now: Instant);

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// The next event that is not a message.
    fn poll_event(&mut self) -> Option<Event>;

    /// The next message. While nobody asks, the peer's window closes.
    fn poll_message(&mut self) -> Option<(ChannelId, Message)>;

    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Transmit>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(outlet: &mut Outlet, bytes: usize) -> BytesMut {
        let (room, _) = outlet.room(bytes);
        room.resize(bytes, 1);
        room.split()
    }

    #[test]
    fn what_was_sent_makes_room_for_more() {
        let mut outlet = Outlet::default();
        let first = fill(&mut outlet, 1_000);
        let start = first.as_ptr();
        let second = fill(&mut outlet, 1_000);
        assert_eq!(first.as_ptr_range().end, second.as_ptr());
        drop((first, second));
        let held = fill(&mut outlet, 1_000);
        assert_eq!(held.as_ptr(), start, "the same memory");
        let other = fill(&mut outlet, ROOM);
        assert_ne!(other.as_ptr(), start);
        assert_eq!((held[999], other.len()), (1, ROOM));
        assert_eq!(fill(&mut outlet, 2 * ROOM).len(), 2 * ROOM);
    }
}
