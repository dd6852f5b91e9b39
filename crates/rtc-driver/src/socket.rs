//! A UDP socket that takes and gives many datagrams per system call, and what waits to leave.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;
use crate::endpoint::{Datagram, Outgoing};

/// Bytes that one receive call may return per slot: the host joins datagrams of one sender up to this size.
const SLOT: usize = 64 * 1024;
/// Bytes of one segmented send; the host's limit is 65,507 with headers.
const MAX_BATCH: usize = 60_000;

/// One bound socket, watched for what arrives only: a socket that is watched for room, too, wakes its task for every
/// datagram that has left.
#[derive(Debug)]
pub(crate) struct Socket {
    io: AsyncFd<StdSocket>,
    state: UdpSocketState,
    pub(crate) local: SocketAddr,
    /// Bytes that the host's receive buffer has, its own bookkeeping among them.
    pub(crate) receive_buffer: usize,
}

/// Watches a socket for one thing.
#[expect(deprecated, reason = "its successor is `unsafe`, for types whose descriptor may change; a socket's does not")]
fn watched(socket: StdSocket, interest: Interest) -> io::Result<AsyncFd<StdSocket>> {
    AsyncFd::with_interest(socket, interest)
}

/// The sockets by the numbers that the endpoint knows them by.
pub(crate) type Sockets = HashMap<usize, Arc<Socket>>;

/// The receiving side of a socket.
#[derive(Debug)]
pub(crate) struct Reader {
    number: usize,
    socket: Arc<Socket>,
    buffer: Vec<u8>,
}

impl Socket {
    /// Binds, with buffers of `buffer` bytes as far as the host allows. An IPv6 socket takes IPv6 only.
    pub(crate) fn bind(address: SocketAddr, buffer: usize) -> Result<Self, Error> {
        Self::try_bind(address, buffer).map_err(|source| Error::Listen { address, source })
    }

    fn try_bind(address: SocketAddr, buffer: usize) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        // The host may cap the sizes; a smaller buffer is no reason not to serve.
        let _ = raw.set_recv_buffer_size(buffer);
        let _ = raw.set_send_buffer_size(buffer);
        let receive_buffer = raw.recv_buffer_size()?;
        raw.set_nonblocking(true)?;
        raw.bind(&address.into())?;
        let socket = StdSocket::from(raw);
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        Ok(Self { io: watched(socket, Interest::READABLE)?, state, local, receive_buffer })
    }

    /// A second handle, watched for room.
    fn full(&self) -> io::Result<Full> {
        Ok(Full(watched(self.io.get_ref().try_clone()?, Interest::WRITABLE)?))
    }

    fn send(&self, batch: &Batch) -> io::Result<()> {
        let transmit = Transmit {
            destination: batch.to,
            ecn: None,
            contents: &batch.bytes,
            segment_size: (batch.segments > 1).then_some(batch.segment),
            src_ip: None,
        };
        self.state.try_send(self.io.get_ref().into(), &transmit)
    }
}

/// A socket that took no more.
#[derive(Debug)]
pub(crate) struct Full(AsyncFd<StdSocket>);

impl Full {
    /// Waits until it may take more.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_write_ready(context).map(|_| ())
    }
}

impl Reader {
    /// Reads a socket, at most `slots` joined batches of the host at a time; each costs 64 KiB.
    pub(crate) fn new(number: usize, socket: Arc<Socket>, slots: usize) -> Self {
        Self { number, socket, buffer: vec![0; SLOT * slots.clamp(1, BATCH_SIZE)] }
    }

    /// Takes what has arrived, one batch at most.
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>, into: &mut Vec<Datagram>) -> Poll<io::Result<()>> {
        let Self { number, socket, buffer } = self;
        loop {
            let mut arrived = ready!(socket.io.poll_read_ready(context))?;
            let mut slots: Vec<IoSliceMut<'_>> = buffer.chunks_mut(SLOT).map(IoSliceMut::new).collect();
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            match arrived.try_io(|io| socket.state.recv(io.get_ref().into(), &mut slots, &mut metas)) {
                Ok(Ok(count)) => {
                    for (slot, meta) in slots.iter().zip(&metas).take(count) {
                        let bytes = slot.get(..meta.len).unwrap_or_default();
                        let datagram = |data: &[u8]| Datagram {
                            socket: *number,
                            to: meta.dst_ip,
                            from: meta.addr,
                            data: BytesMut::from(data),
                        };
                        into.extend(bytes.chunks(meta.stride.max(1)).map(datagram));
                    }
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

/// Datagrams of one size to one peer, the last perhaps shorter, that leave by one call.
#[derive(Debug)]
struct Batch {
    socket: usize,
    to: SocketAddr,
    bytes: BytesMut,
    segment: usize,
    segments: usize,
    /// Whether `bytes` was put together anew.
    copied: bool,
}

impl Batch {
    /// Adds a datagram, without a copy where it lies behind the others in one buffer, as the packets of a picture do.
    fn add(&mut self, next: BytesMut, spare: &mut BytesMut) {
        self.segments += 1;
        if !self.copied && self.bytes.as_ptr_range().end == next.as_ptr() {
            self.bytes.unsplit(next);
            return;
        }
        if !self.copied {
            let mut anew = std::mem::take(spare);
            anew.clear();
            anew.extend_from_slice(&self.bytes);
            (self.bytes, self.copied) = (anew, true);
        }
        self.bytes.extend_from_slice(&next);
    }
}

/// What waits to leave, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    queued: usize,
    queue: VecDeque<Outgoing>,
    blocked: Option<(Batch, Full)>,
    /// The buffer of the last batch that was put together, kept for the next.
    spare: BytesMut,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, queued: 0, queue: VecDeque::new(), blocked: None, spare: BytesMut::new() }
    }

    /// Queues a datagram, or says that there is no room.
    pub(crate) fn push(&mut self, outgoing: Outgoing) -> bool {
        let room = self.queued + outgoing.data.len() <= self.limit;
        if room {
            self.queued += outgoing.data.len();
            self.queue.push_back(outgoing);
        }
        room
    }

    /// Bytes that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// The socket that has to take more before anything else leaves.
    pub(crate) fn blocked_on(&self) -> Option<&Full> {
        self.blocked.as_ref().map(|(_, full)| full)
    }

    /// Sends what the sockets take. Datagrams that the host refuses are lost, as on any network.
    pub(crate) fn flush(&mut self, sockets: &Sockets) {
        while let Some(batch) = self.blocked.take().map(|(batch, _)| batch).or_else(|| self.next_batch(sockets)) {
            let Some(socket) = sockets.get(&batch.socket) else { continue };
            match socket.send(&batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.full() {
                    Ok(full) => {
                        self.blocked = Some((batch, full));
                        return;
                    }
                    Err(error) => tracing::debug!(to = %batch.to, %error, "datagrams not sent"),
                },
                Err(error) => tracing::debug!(to = %batch.to, %error, "datagrams not sent"),
                Ok(()) => {}
            }
            if batch.copied {
                self.spare = batch.bytes;
            }
        }
    }

    fn next_batch(&mut self, sockets: &Sockets) -> Option<Batch> {
        let first = self.take_first()?;
        let most = sockets.get(&first.socket).map_or(1, |socket| socket.state.max_gso_segments());
        let Outgoing { socket, to, data: bytes } = first;
        let segment = bytes.len();
        let mut batch = Batch { socket, to, bytes, segment, segments: 1, copied: false };
        while batch.segments < most && batch.bytes.len() == segment * batch.segments {
            let fits = |next: &Outgoing| {
                let alike = next.socket == batch.socket && next.to == batch.to;
                alike && next.data.len() <= segment && batch.bytes.len() + next.data.len() <= MAX_BATCH
            };
            if !self.queue.front().is_some_and(fits) {
                break;
            }
            let Some(next) = self.take_first() else { break };
            batch.add(next.data, &mut self.spare);
        }
        Some(batch)
    }

    fn take_first(&mut self) -> Option<Outgoing> {
        let first = self.queue.pop_front()?;
        self.queued -= first.data.len();
        Some(first)
    }
}

/// The addresses under which a socket is announced: the public ones of its family, else its own, else that of the
/// default route.
pub(crate) fn announced(local: SocketAddr, public: &[IpAddr]) -> Vec<SocketAddr> {
    let of_family = public.iter().filter(|ip| ip.is_ipv4() == local.is_ipv4());
    let mut addresses: Vec<SocketAddr> = of_family.map(|ip| SocketAddr::new(*ip, local.port())).collect();
    if addresses.is_empty() {
        let ip = if local.ip().is_unspecified() { default_route(local.is_ipv4()) } else { Some(local.ip()) };
        addresses.extend(ip.map(|ip| SocketAddr::new(ip, local.port())));
    }
    addresses
}

/// The local address of the default route. Connecting a UDP socket sends nothing; the target is from the ranges for
/// documentation (RFC 5737, RFC 3849).
fn default_route(v4: bool) -> Option<IpAddr> {
    let (any, target) = if v4 { ("0.0.0.0:0", "192.0.2.1:9") } else { ("[::]:0", "[2001:db8::1]:9") };
    let probe = StdSocket::bind(any).ok()?;
    let routed = probe.connect(target).and_then(|()| probe.local_addr()).ok().map(|address| address.ip());
    // A host without a default route still serves its own programs.
    routed.or_else(|| v4.then_some(IpAddr::from([127, 0, 0, 1])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(to: u16, bytes: usize) -> Outgoing {
        Outgoing { socket: 0, to: SocketAddr::from(([127, 0, 0, 1], to)), data: BytesMut::from(&vec![1; bytes][..]) }
    }

    #[tokio::test]
    async fn datagrams_alike_leave_together() {
        let socket = Arc::new(Socket::bind("127.0.0.1:0".parse().unwrap(), 65_536).unwrap());
        let sockets = Sockets::from([(0, socket)]);
        let most = sockets[&0].state.max_gso_segments();
        let mut outbox = Outbox::new(10_000);
        for (to, bytes) in [(1, 100), (1, 100), (1, 50), (1, 50), (2, 50), (2, 60)] {
            assert!(outbox.push(outgoing(to, bytes)));
        }
        let taken: Vec<_> = std::iter::from_fn(|| outbox.next_batch(&sockets))
            .map(|batch| (batch.to.port(), batch.bytes.len(), batch.segments))
            .collect();
        if most >= 3 {
            assert_eq!(taken, [(1, 250, 3), (1, 50, 1), (2, 50, 1), (2, 60, 1)]);
        }
        assert_eq!(taken.iter().map(|(_, bytes, _)| bytes).sum::<usize>(), 410);
        assert_eq!(outbox.queued, 0);
    }

    #[test]
    fn what_lies_together_leaves_without_a_copy() {
        let mut buffer = BytesMut::from(&b"aabbc"[..]);
        let (first, second) = (buffer.split_to(2), buffer.split_to(2));
        let start = first.as_ptr();
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut batch = Batch { socket: 0, to, bytes: first, segment: 2, segments: 1, copied: false };
        let mut spare = BytesMut::with_capacity(100);
        batch.add(second, &mut spare);
        assert_eq!((batch.bytes.as_ptr(), batch.copied), (start, false));
        batch.add(BytesMut::from(&b"dd"[..]), &mut spare);
        batch.add(buffer, &mut spare);
        assert_eq!((&batch.bytes[..], batch.segments, batch.copied), (&b"aabbddc"[..], 4, true));
        assert!(batch.bytes.capacity() >= 100 && spare.is_empty());
    }

    #[tokio::test]
    async fn a_full_socket_tells_when_it_takes_more() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), 65_536).unwrap();
        let full = socket.full().unwrap();
        let room = std::future::poll_fn(|context| full.poll_writable(context));
        tokio::time::timeout(std::time::Duration::from_secs(10), room).await.unwrap();
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut outbox = Outbox::new(250);
        assert!(outbox.push(outgoing(1, 100)) && outbox.push(outgoing(1, 100)));
        assert!(!outbox.push(outgoing(1, 100)));
        assert!(outbox.push(outgoing(1, 50)));
    }

    #[test]
    fn public_addresses_replace_our_own() {
        let local: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let public: [IpAddr; 2] = ["203.0.113.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        assert_eq!(announced(local, &public), [SocketAddr::new(public[0], 5000)]);
        assert_eq!(announced(local, &public[1..]), [local]);
        let any = announced("0.0.0.0:5000".parse().unwrap(), &[]);
        assert!(any.len() == 1 && !any[0].ip().is_unspecified(), "{any:?}");
    }
}
