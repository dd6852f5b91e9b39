//! Connections of peers that cannot use UDP (ICE over TCP, RFC 6544): passive, each frame a datagram to the endpoint.
//!
//! A connection lives while a session speaks through it, which a session on this path does once a second. One on which
//! nothing is said for [`SILENCE`] is closed: its first frames named no session, or the session goes by UDP or has ended.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::outlet::{Outlet, Waiting, outlet};
use crate::endpoint::{Datagram, Outgoing};
use crate::frames::{decode, encode};
use crate::wire::{Class, Kind, classify};
use crate::{Error, metrics};

/// How long nothing may be said to a peer until its connection is closed.
const SILENCE: Duration = Duration::from_secs(10);
/// Connections of one address to which nothing was said yet. Behind one NAT there may be many viewers, of whom few connect
/// at the same moment.
const MAX_SILENT: usize = 64;
/// Bytes that wait for one connection, each frame with its cost; what goes beyond is lost as a datagram would be. It is
/// 0.8 s of 2.5 Mbit/s: what is older is asked for again already.
const MAX_QUEUE: usize = 256 * 1024;
/// Bytes that the host holds for a connection; with more, pictures would grow old in it.
const SEND_BUFFER: usize = 128 * 1024;
/// Bytes read at once.
const PIECE: usize = 16 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after the host could not accept, as when it is out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener's number and a peer.
type Key = (usize, SocketAddr);

/// The way to one peer.
#[derive(Debug)]
struct Peer {
    outlet: Outlet,
    answered: bool,
}

#[derive(Debug, Default)]
struct Table {
    peers: HashMap<Key, Peer>,
    /// Connections by address to which nothing was said yet.
    silent: HashMap<IpAddr, usize>,
}

impl Table {
    fn speaks_to(&mut self, key: Key) -> Option<&Outlet> {
        let peer = self.peers.get_mut(&key)?;
        if !std::mem::replace(&mut peer.answered, true) {
            forget_silent(&mut self.silent, key.1.ip());
        }
        Some(&peer.outlet)
    }

    fn remove(&mut self, key: Key) {
        if self.peers.remove(&key).is_some_and(|peer| !peer.answered) {
            forget_silent(&mut self.silent, key.1.ip());
        }
    }
}

fn forget_silent(silent: &mut HashMap<IpAddr, usize>, ip: IpAddr) {
    if let Some(count) = silent.get_mut(&ip) {
        *count -= 1;
        if *count == 0 {
            silent.remove(&ip);
        }
    }
}

/// What the listeners' tasks and the driver share.
#[derive(Debug, Clone)]
struct Shared {
    table: Arc<Mutex<Table>>,
    limit: usize,
    to: mpsc::Sender<Vec<Datagram>>,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in there can be half done.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection, unless there are too many.
    fn enter(&self, key: Key) -> Option<(Waiting, Entered)> {
        let mut table = self.table();
        let silent = table.silent.get(&key.1.ip()).copied().unwrap_or_default();
        if table.peers.len() >= self.limit || silent >= MAX_SILENT {
            return None;
        }
        table.silent.insert(key.1.ip(), silent + 1);
        let (outlet, waiting) = outlet(MAX_QUEUE);
        table.peers.insert(key, Peer { outlet, answered: false });
        drop(table);
        metrics::stream_began();
        Some((waiting, Entered { key, shared: self.clone() }))
    }
}

/// A connection in the table; it leaves it when dropped.
struct Entered {
    key: Key,
    shared: Shared,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.table().remove(self.key);
        metrics::stream_ended();
    }
}

/// All listeners and their connections. When it is dropped, what waits still leaves.
#[derive(Debug)]
pub(super) struct Streams {
    numbers: Vec<usize>,
    shared: Shared,
    accepting: Vec<AbortHandle>,
}

impl Streams {
    /// Accepts on listeners by the endpoint's numbers, at most `limit` connections at once; what arrives goes to `to`.
    pub(super) fn start(listeners: Vec<(usize, TcpListener)>, limit: usize, to: mpsc::Sender<Vec<Datagram>>) -> Self {
        let shared = Shared { table: Arc::default(), limit, to };
        let numbers = listeners.iter().map(|(number, _)| *number).collect();
        let accept = |(number, listener)| tokio::spawn(accept(number, listener, shared.clone())).abort_handle();
        let accepting = listeners.into_iter().map(accept).collect();
        Self { numbers, shared, accepting }
    }

    /// Queues a frame where its socket is one of these; `Some(false)` says that it is lost.
    pub(super) fn send(&self, outgoing: &Outgoing) -> Option<bool> {
        if !self.numbers.contains(&outgoing.socket) {
            return None;
        }
        let mut table = self.shared.table();
        let Some(outlet) = table.speaks_to((outgoing.socket, outgoing.to)) else { return Some(false) };
        Some(outlet.send(outgoing.data.clone()))
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.accepting.iter().for_each(AbortHandle::abort);
        self.shared.table().peers.clear();
    }
}

/// Opens a listener.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let open = || {
        let raw = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        if address.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        raw.set_reuse_address(true)?;
        raw.set_send_buffer_size(SEND_BUFFER)?;
        raw.set_nonblocking(true)?;
        raw.bind(&address.into())?;
        raw.listen(BACKLOG)?;
        TcpListener::from_std(raw.into())
    };
    open().map_err(|source| Error::Listen { address, source })
}

async fn accept(number: usize, listener: TcpListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Beyond the limit the connection is closed at once: the peer has other candidates, or tries again.
                if let Some((waiting, entered)) = shared.enter((number, peer)) {
                    tokio::spawn(serve(stream, waiting, entered));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "accepting failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, waiting: Waiting, entered: Entered) {
    // A connection that has ended by now is noticed below.
    let _ = stream.set_nodelay(true);
    let to = stream.local_addr().ok().map(|address| address.ip());
    let (read_half, write_half) = stream.into_split();
    tokio::select! {
        () = read(read_half, to, &entered) => {}
        // Silence and a peer that does not read end a connection alike.
        _ = waiting.write(write_half, encode, SILENCE) => {}
    }
}

/// Hands on what arrives, until it is not what a peer of ours sends. A full driver makes the peer wait.
async fn read(mut half: OwnedReadHalf, to: Option<IpAddr>, entered: &Entered) {
    let (socket, from) = entered.key;
    let mut arrived = BytesMut::new();
    let mut first = true;
    loop {
        arrived.reserve(PIECE);
        if half.read_buf(&mut arrived).await.unwrap_or(0) == 0 {
            return;
        }
        let mut datagrams = Vec::new();
        loop {
            let data = match decode(&mut arrived) {
                Ok(Some(data)) => data,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%from, %error, "WebRTC by TCP");
                    return;
                }
            };
            if std::mem::take(&mut first) && !asks_for_a_session(&data) {
                return;
            }
            datagrams.push(Datagram { socket, to, from, data });
        }
        if !datagrams.is_empty() && entered.shared.to.send(datagrams).await.is_err() {
            return;
        }
    }
}

/// Whether a frame is a connectivity check, with which every connection begins.
fn asks_for_a_session(frame: &[u8]) -> bool {
    matches!(classify(frame), Kind::Stun(stun) if stun.class == Class::Request && stun.receiver().is_some())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::outlet::FRAME_COST;
    use super::*;

    async fn one() -> (Streams, TcpStream, mpsc::Receiver<Vec<Datagram>>) {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (to, arrived) = mpsc::channel(1);
        let streams = Streams::start(vec![(7, listener)], 10, to);
        (streams, TcpStream::connect(address).await.unwrap(), arrived)
    }

    fn check() -> Vec<u8> {
        let mut check = crate::wire::binding_request([5; 12]);
        check.extend([0, 6, 0, 3, b'a', b':', b'b', 0]);
        check[3] = 8;
        check
    }

    /// The virtual clock goes on when nothing else happens, to the only deadline there is.
    #[tokio::test(start_paused = true)]
    async fn a_connection_lives_while_something_is_said() {
        let (streams, mut peer, mut arrived) = one().await;
        let mut framed = Vec::new();
        encode(&check(), &mut framed);
        peer.write_all(&framed).await.unwrap();
        let datagram = arrived.recv().await.unwrap().remove(0);
        let to = peer.local_addr().unwrap();
        assert_eq!((datagram.socket, datagram.from, &datagram.data[..]), (7, to, &check()[..]));
        let start = tokio::time::Instant::now();
        for _ in 0..3 {
            tokio::time::sleep(SILENCE - Duration::from_secs(1)).await;
            let word = Outgoing { socket: 7, to, data: BytesMut::from(&b"word"[..]) };
            assert_eq!(streams.send(&word), Some(true));
            let mut heard = [0; 6];
            peer.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"\x00\x04word");
        }
        assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(start.elapsed() >= 4 * SILENCE - Duration::from_secs(3));
        assert_eq!(streams.shared.table().peers.len(), 0);
    }

    #[tokio::test]
    async fn what_waits_for_a_peer_is_bounded() {
        let (streams, mut peer, mut arrived) = one().await;
        let mut framed = Vec::new();
        encode(&check(), &mut framed);
        peer.write_all(&framed).await.unwrap();
        arrived.recv().await.unwrap();
        let to = peer.local_addr().unwrap();
        let word = Outgoing { socket: 7, to, data: BytesMut::from(&[1; 1000][..]) };
        // The writer has no turn in between.
        let taken = (0..1000).filter(|_| streams.send(&word) == Some(true)).count();
        assert_eq!(taken, MAX_QUEUE / (1000 + FRAME_COST));
        let elsewhere = Outgoing { to: "192.0.2.1:1".parse().unwrap(), ..word.clone() };
        assert_eq!(streams.send(&elsewhere), Some(false));
        assert_eq!(streams.send(&Outgoing { socket: 0, ..word }), None);
        // What was taken arrives, also when the driver stops.
        drop(streams);
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), taken * 1002);
    }
}
