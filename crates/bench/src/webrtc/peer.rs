//! One session on a socket of its own, with as little around the protocol as possible.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use quinn_udp::{RecvMeta, UdpSocketState};
use sluicegate_rtc_driver::endpoint::Datagram;
use sluicegate_rtc_driver::media::{Codec, Options, Track};
use sluicegate_rtc_driver::{Config, Endpoint, Event, SessionId};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::error::{Doing, Error};

/// Bytes asked of the host for a socket: a viewer starts with 256 KB at once, of which the host counts twice as many.
const SOCKET_BUFFER: usize = 1 << 20;
/// What the host joins at most.
const READ: usize = 64 << 10;

/// A session and its socket.
pub(super) struct Peer {
    endpoint: Endpoint,
    id: SessionId,
    socket: UdpSocket,
    state: UdpSocketState,
    buffer: Vec<u8>,
}

/// Whether a datagram is RTP rather than RTCP, DTLS or STUN (RFC 7983 section 7, RFC 5761 section 4).
fn is_rtp(data: &[u8]) -> bool {
    matches!(data, [128..=191, kind, ..] if !(64..=95).contains(&(kind & 0x7F)))
}

impl Peer {
    /// Makes a session that wants sound and pictures, and its offer.
    pub(super) fn viewer() -> Result<(Self, String), Error> {
        let tracks = vec![Track::Receive(vec![Codec::opus()]), Track::Receive(vec![Codec::h264()])];
        let raw = StdSocket::bind("127.0.0.1:0").doing("binding a viewer's socket")?;
        raw.set_nonblocking(true).doing("binding a viewer's socket")?;
        // A smaller buffer is a worse viewer, not none.
        let _ = socket2::SockRef::from(&raw).set_recv_buffer_size(SOCKET_BUFFER);
        let local = raw.local_addr().doing("binding a viewer's socket")?;
        let state = UdpSocketState::new((&raw).into()).doing("binding a viewer's socket")?;
        let socket = UdpSocket::from_std(raw).doing("binding a viewer's socket")?;
        let now = Instant::now();
        let mut endpoint = Endpoint::new(now, Arc::new(Config::default()), vec![vec![local]])?;
        let (id, offer) = endpoint.offer(now, &Options { tracks, ..Options::default() })?;
        Ok((Self { endpoint, id, socket, state, buffer: vec![0; READ] }, offer))
    }

    /// Takes the answer.
    pub(super) fn accept(&mut self, answer: &str) -> Result<(), Error> {
        self.endpoint.accept_answer(Instant::now(), self.id, answer)?;
        self.settle(Instant::now());
        Ok(())
    }

    /// Waits for datagrams or a deadline. RTP goes by `rtp`, which tells whether the session is to have it too; then
    /// what the session says comes out of `event`.
    pub(super) async fn turn(
        &mut self,
        mut rtp: impl FnMut(Instant, &[u8]) -> bool,
        mut event: impl FnMut(Instant, Event),
    ) {
        let deadline = self.endpoint.poll_timeout();
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let mut due = true;
        tokio::select! {
            _ = poll_fn(|context| self.socket.poll_recv_ready(context)) => due = false,
            () = sleep => {}
        }
        let now = Instant::now();
        if !due && !self.read(now, &mut rtp) && deadline.is_some_and(|at| now < at) {
            return;
        }
        self.endpoint.handle_timeout(now);
        self.settle(now);
        while let Some((_, told)) = self.endpoint.poll_event() {
            event(now, told);
        }
    }

    /// Reads once; tells whether the session got anything.
    fn read(&mut self, now: Instant, rtp: &mut impl FnMut(Instant, &[u8]) -> bool) -> bool {
        let Self { endpoint, socket, state, buffer, .. } = self;
        let mut meta = [RecvMeta::default()];
        let receive = || state.recv((&*socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta);
        if !matches!(socket.try_io(Interest::READABLE, receive), Ok(1..)) {
            return false;
        }
        let [meta] = meta;
        let mut handed = false;
        for data in buffer.get(..meta.len).unwrap_or_default().chunks(meta.stride.max(1)) {
            if is_rtp(data) && !rtp(now, data) {
                continue;
            }
            handed = true;
            let data = BytesMut::from(data);
            endpoint.handle_datagram(now, Datagram { socket: 0, to: meta.dst_ip, from: meta.addr, data });
        }
        handed
    }

    fn settle(&mut self, now: Instant) {
        self.endpoint.flush(now);
        while let Some(outgoing) = self.endpoint.poll_transmit() {
            self.send(outgoing.to, &outgoing.data);
        }
    }

    fn send(&self, to: SocketAddr, data: &[u8]) {
        match self.socket.try_send_to(data, to) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                crate::report::line(&format!("a viewer cannot send: {error}"));
            }
            // A full socket loses, as any network does.
            _ => {}
        }
    }
}
