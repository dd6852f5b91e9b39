//! A link with delay, rate and loss between two nodes on this machine, without namespaces: each announces an address at
//! which a socket of the link listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sluicegate_netsim::{Profile, Shaper};
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Bytes of a datagram, at most.
const DATAGRAM: usize = 2_048;

/// Bytes of a socket's buffer: the link loses what it is told to lose, and nothing else.
const BUFFER: usize = 8 << 20;

/// One end of the link: what the node listens on, what it announces, and the socket there.
pub(crate) struct End {
    node: SocketAddr,
    socket: Arc<UdpSocket>,
}

/// The link ends with this.
pub(crate) struct Wire(Vec<JoinHandle<()>>);

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The address that end `number` announces.
pub(crate) fn announced(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 7, number).into()
}

impl End {
    /// For a node that listens on `127.0.0.1` and announces [`announced`].
    pub(crate) fn new(announced: SocketAddr) -> Self {
        let raw = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        raw.set_recv_buffer_size(BUFFER).unwrap();
        raw.set_nonblocking(true).unwrap();
        raw.bind(&announced.into()).unwrap();
        let socket = Arc::new(UdpSocket::from_std(raw.into()).unwrap());
        Self { node: (Ipv4Addr::LOCALHOST, announced.port()).into(), socket }
    }
}

/// Joins two nodes.
pub(crate) fn join(profile: Profile, one: &End, other: &End) -> Wire {
    let carry = |seed, from: &End, to: &End| {
        // What comes to an end's address is for its node, and leaves from the other end's address.
        let (from, via, to) = (Arc::clone(&from.socket), Arc::clone(&to.socket), from.node);
        tokio::spawn(carry(Shaper::new(seed, profile), from, via, to))
    };
    Wire(vec![carry(1, one, other), carry(2, other, one)])
}

async fn carry(mut shaper: Shaper, from: Arc<UdpSocket>, via: Arc<UdpSocket>, to: SocketAddr) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let due = async {
            match shaper.poll_timeout() {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = from.recv(&mut buffer) => {
                if let Ok(length) = received {
                    shaper.handle_packet(Instant::now(), Bytes::copy_from_slice(&buffer[..length]));
                }
                while let Ok(length) = from.try_recv(&mut buffer) {
                    shaper.handle_packet(Instant::now(), Bytes::copy_from_slice(&buffer[..length]));
                }
            }
            () = due => {}
        }
        while let Some(packet) = shaper.poll_packet(Instant::now()) {
            // A full socket loses it, as a wire does.
            let _ = via.send_to(&packet, to).await;
        }
    }
}
