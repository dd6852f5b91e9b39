//! The `rtc` crate behind [`Session`]. None of its types leaves this module.

mod build;
mod channels;
mod clocks;
mod description;
mod handshake;
mod interceptors;
mod keys;
mod media;
mod passive;
mod repeats;
mod reports;
mod sending;
mod signalling;
mod sources;
mod srtp;
#[cfg(test)]
mod tests;
mod way;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

pub(crate) use build::Stack;
use handshake::Verdict;

use crate::media::{RtpPacket, TrackId};
use crate::session::{Carrier, Outlet, Session, Transmit};
use crate::wire::{Kind, classify, holds_forged_cipher_change, holds_handshake};
use crate::{ChannelId, ChannelOptions, CloseReason, Config, Error, Event, Message, State};

/// Bytes of DTLS that a peer may send before the handshake ends, and of handshake records after it. The stack queues what
/// it cannot decrypt yet without a bound of its own, and keeps each message of a handshake for ever, forged ones of epoch
/// 0 among them; a handshake of ours takes about 5 KB.
const MAX_HANDSHAKE_BYTES: usize = 256 * 1024;

/// Datagrams of DTLS held back until ICE has chosen a path; a first flight is one or two.
const MAX_EARLY: usize = 8;

/// How far a session has come. Each phase before `Up` has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing exchanged.
    New,
    /// Our offer is out.
    Offered,
    /// Paths are tried.
    Checking,
    /// Keys are agreed.
    Handshaking,
    /// Keys are there.
    Up,
    /// Over.
    Ended,
}

/// One session on the `rtc` crate.
pub(crate) struct RtcSession {
    stack: RTCPeerConnection,
    config: Arc<Config>,
    fragment: String,
    phase: Phase,
    deadline: Option<Instant>,
    /// The newest instant seen; outputs that need one are made right after an input.
    now: Instant,
    ice: RTCIceConnectionState,
    state: Option<State>,
    events: VecDeque<Event>,
    transmits: VecDeque<Transmit>,
    channels: BTreeMap<ChannelId, channels::Channel>,
    media: media::Media,
    outgoing: sending::Outgoing,
    keys: Arc<keys::Keys>,
    candidates: usize,
    handshake_bytes: usize,
    handshake: handshake::Handshake,
    sources: sources::Sources,
    /// DTLS that came before ICE chose a path. The stack drops it, and the peer repeats it only a second later.
    early: Vec<TaggedBytesMut>,
    passive: passive::Passive,
    /// DTLS came in: the peer may have said goodbye, which raises no event on sessions without channels.
    look_for_goodbye: bool,
}

/// What the stack wrote, as a datagram.
fn transmit(written: TaggedBytesMut) -> Transmit {
    let TransportContext { local_addr: local, peer_addr: remote, transport_protocol, .. } = written.transport;
    let carrier = if transport_protocol == TransportProtocol::TCP { Carrier::Tcp } else { Carrier::Udp };
    Transmit { carrier, local, remote, data: written.message }
}

impl RtcSession {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let wait = match phase {
            Phase::Offered => self.config.answer_timeout,
            Phase::Checking => self.config.connect_timeout,
            Phase::Handshaking => self.config.handshake_timeout,
            Phase::New | Phase::Up | Phase::Ended => {
                self.deadline = None;
                return;
            }
        };
        self.deadline = Some(self.now + wait);
    }

    fn show(&mut self, state: State) {
        if self.phase != Phase::Ended && self.state != Some(state) {
            self.state = Some(state);
            self.events.push_back(Event::State(state));
        }
    }

    fn end(&mut self, reason: CloseReason) {
        if self.phase == Phase::Ended {
            return;
        }
        // Whatever the stack still has to say, a goodbye among it, goes out; its errors change nothing any more.
        let _ = self.stack.close();
        self.collect_transmits();
        for (channel, _) in std::mem::take(&mut self.channels) {
            self.events.push_back(Event::ChannelClosed(channel));
        }
        self.show(State::Closed(reason));
        self.enter(Phase::Ended);
    }

    /// Lets the stack do what is due, and once more whenever ICE has moved: the first DTLS message waits for the next
    /// tick otherwise, 200 ms later.
    fn run_timers(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.forget_way();
        // The stack stops at the first part that fails, so its other parts would miss their deadlines from now on.
        if self.phase != Phase::Ended && self.stack.handle_timeout(now).is_err() {
            self.end(CloseReason::Fault);
        }
        self.report();
    }

    fn collect_events(&mut self) {
        let mut ice_moved = false;
        while let Some(event) = self.stack.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(state) => {
                    ice_moved = true;
                    self.ice = state;
                    if state == RTCIceConnectionState::Connected && self.phase == Phase::Checking {
                        self.enter(Phase::Handshaking);
                    }
                }
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => self.on_state(state),
                RTCPeerConnectionEvent::OnIceCandidateEvent(event) => {
                    if let Ok(candidate) = event.candidate.to_json() {
                        self.events
                            .push_back(Event::Candidate(description::passive(&candidate.candidate).into_owned()));
                    }
                }
                RTCPeerConnectionEvent::OnDataChannel(event) => self.on_channel(&event),
                RTCPeerConnectionEvent::OnTrack(event) => self.on_track(&event),
                _ => {}
            }
        }
        while let Some(read) = self.stack.poll_media_read() {
            self.on_media(read.message);
        }
        if ice_moved {
            // The answer to the check that chose the path leaves first: a peer that has not seen it drops our DTLS.
            self.collect_transmits();
            self.run_timers(self.now);
            self.release_early();
        }
        self.close_drained();
        if std::mem::take(&mut self.look_for_goodbye) && self.dtls_closed() {
            self.take_messages();
            self.end(CloseReason::Peer);
        }
    }

    fn ice_connected(&self) -> bool {
        matches!(self.ice, RTCIceConnectionState::Connected | RTCIceConnectionState::Completed)
    }

    /// Hands over what came before the path was chosen.
    fn release_early(&mut self) {
        if self.ice_connected() {
            for datagram in std::mem::take(&mut self.early) {
                self.hand_over(datagram);
            }
        }
    }

    fn hand_over(&mut self, datagram: TaggedBytesMut) {
        // The stack's own parts log what they refuse and go on; the call itself has no way to fail.
        let _ = self.stack.handle_read(datagram);
    }

    fn on_state(&mut self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connecting if self.phase != Phase::Up => self.show(State::Connecting),
            RTCPeerConnectionState::Connected => {
                self.enter(Phase::Up);
                self.take_sealer();
                self.show(State::Connected);
            }
            RTCPeerConnectionState::Disconnected => self.show(State::Disconnected),
            RTCPeerConnectionState::Failed if self.phase == Phase::Up => self.end(CloseReason::Vanished),
            RTCPeerConnectionState::Failed if self.phase == Phase::Handshaking => self.end(CloseReason::Vanished),
            RTCPeerConnectionState::Failed => self.end(CloseReason::NoPath),
            RTCPeerConnectionState::Closed => self.end(CloseReason::Peer),
            _ => {}
        }
    }

    fn read_message(&mut self) -> Option<(ChannelId, Message)> {
        loop {
            match self.stack.poll_read()?.message {
                RTCMessage::DataChannelMessage(id, message) => {
                    return Some((ChannelId(id), channels::message(message)));
                }
                other => self.on_media(other),
            }
        }
    }

    /// Queues what has arrived, so that the news of an end does not overtake it.
    fn take_messages(&mut self) {
        while let Some((channel, message)) = self.read_message() {
            self.events.push_back(Event::Message { channel, message });
        }
    }

    fn collect_transmits(&mut self) {
        while let Some(written) = self.stack.poll_write() {
            self.transmits.push_back(transmit(written));
        }
    }

    /// What the stack is to see of a datagram.
    fn admit(&mut self, data: BytesMut) -> Option<BytesMut> {
        match classify(&data) {
            Kind::Dtls => {}
            // There are no keys before, and nothing is read.
            Kind::Rtp if self.phase == Phase::Up => return self.sources.admits(&data).then_some(data),
            _ => return Some(data),
        }
        self.look_for_goodbye = true;
        if holds_forged_cipher_change(&data) {
            return None;
        }
        // The peer repeats its last flight where it has lost ours.
        if self.phase == Phase::Up && !holds_handshake(&data) {
            return Some(data);
        }
        self.handshake_bytes = self.handshake_bytes.saturating_add(data.len());
        if self.handshake_bytes > MAX_HANDSHAKE_BYTES {
            return None;
        }
        match self.handshake.handle_datagram(&data) {
            Verdict::All => Some(data),
            Verdict::Instead(bytes) => Some(BytesMut::from(&bytes[..])),
            Verdict::Nothing => None,
        }
    }

    fn take(
        &mut self,
        now: Instant,
        transport_protocol: TransportProtocol,
        local: SocketAddr,
        remote: SocketAddr,
        data: BytesMut,
    ) {
        self.now = self.now.max(now);
        if self.phase == Phase::Ended {
            return;
        }
        let handshakes = self.phase != Phase::Up && matches!(classify(&data), Kind::Dtls);
        let early = handshakes && !self.ice_connected();
        if early && self.early.len() >= MAX_EARLY {
            // It counts as seen once it is admitted, and its repeats would be kept away.
            return;
        }
        let Some(data) = self.admit(data) else { return };
        let transport = TransportContext { local_addr: local, peer_addr: remote, transport_protocol, ecn: None };
        let datagram = TaggedBytesMut { now, transport, message: data };
        if early {
            self.early.push(datagram);
            return;
        }
        if !matches!(classify(&datagram.message), Kind::Rtp) {
            self.forget_way();
        }
        self.hand_over(datagram);
        if handshakes {
            // The keys go to the stack's other parts by its events, and media may be right behind.
            self.collect_events();
        }
    }
}

impl Session for RtcSession {
    fn fragment(&self) -> &str {
        &self.fragment
    }

    fn create_offer(&mut self, now: Instant, restart: bool) -> Result<String, Error> {
        self.offer(now, restart)
    }

    fn handle_answer(&mut self, now: Instant, answer: &str) -> Result<(), Error> {
        self.answered(now, answer)
    }

    fn handle_offer(&mut self, now: Instant, offer: &str) -> Result<String, Error> {
        self.answer(now, offer)
    }

    fn add_remote_candidate(&mut self, now: Instant, candidate: &str) -> Result<(), Error> {
        self.trickled(now, candidate)
    }

    fn add_mapped_address(&mut self, now: Instant, base: SocketAddr, mapped: SocketAddr) -> Result<(), Error> {
        self.mapped(now, base, mapped)
    }

    fn add_passive_address(
        &mut self,
        now: Instant,
        address: SocketAddr,
        base: Option<SocketAddr>,
    ) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.announce_passive(address, base)
    }

    fn add_relayed_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), Error> {
        self.relayed(now, address)
    }

    fn open_channel(&mut self, now: Instant, label: &str, options: &ChannelOptions) -> Result<ChannelId, Error> {
        self.now = self.now.max(now);
        self.create_channel(label, options)
    }

    fn close_channel(&mut self, now: Instant, channel: ChannelId) {
        self.now = self.now.max(now);
        self.shut_channel(channel);
    }

    fn send(&mut self, now: Instant, channel: ChannelId, message: Message) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.write(channel, message)
    }

    fn send_rtp(
        &mut self,
        now: Instant,
        track: TrackId,
        packets: &Arc<[RtpPacket]>,
        add: u16,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.write_rtp(track, packets, add, out)
    }

    fn tell_clock(&mut self, now: Instant, at: Instant, timestamps: &[(TrackId, u32)]) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.tell(at, timestamps)
    }

    fn request_key_frame(&mut self, now: Instant, track: TrackId) -> Result<(), Error> {
        self.now = self.now.max(now);
        self.ask_key_frame(track)
    }

    fn buffered(&mut self) -> usize {
        self.outstanding()
    }

    fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, data: BytesMut) {
        self.take(now, TransportProtocol::UDP, local, remote, data);
    }

    fn handle_frame(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, data: BytesMut) {
        if self.passive.admits(now, self.ice_connected()) {
            self.take(now, TransportProtocol::TCP, local, remote, data);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.run_timers(now);
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.end(match self.phase {
                Phase::Offered => CloseReason::NoAnswer,
                Phase::Handshaking => CloseReason::Handshake,
                _ => CloseReason::NoPath,
            });
        }
    }

    fn close(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.end(CloseReason::Local);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        if self.phase == Phase::Ended {
            return None;
        }
        [self.stack.poll_timeout(), self.deadline, self.outgoing.due()].into_iter().flatten().min()
    }

    fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() && self.phase != Phase::Ended {
            self.collect_events();
        }
        self.events.pop_front()
    }

    fn poll_message(&mut self) -> Option<(ChannelId, Message)> {
        self.read_message()
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.transmits.is_empty() && self.phase != Phase::Ended {
            self.collect_transmits();
        }
        self.transmits.pop_front()
    }
}
