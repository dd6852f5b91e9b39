//! The connection to a TURN server that is spoken to by TCP or TLS. It is opened when there is something to say, and its
//! end is told to the driver.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::super::Command;
use super::super::outlet::{Outlet, Waiting, outlet};
use crate::endpoint::Datagram;
use crate::turn::Fault;
use crate::turn::frames::{decode, encode};
use crate::wire::{Class, Kind, classify};

/// How long the opening may take, TLS included; it is within the time that the first request has for its answer.
const DIAL: Duration = Duration::from_secs(10);
/// Bytes that wait for the connection, each message with its cost; what goes beyond is lost as a datagram would be, except
/// for the client's requests, of which there are few. All sessions share it: it is 0.4 s of 10 Mbit/s, and at 0.4 Mbit/s a
/// refresh behind all of it is still answered in time.
const MAX_QUEUE: usize = 512 * 1024;
/// Bytes in the host that have not left yet; with more, pictures would grow old there.
const UNSENT: u32 = 128 * 1024;
/// How long the host keeps a connection whose packets nobody acknowledges.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);
/// How long we may be silent: the refresh of the relay comes every 20 s.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// Where the connection goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// With the host for which the server's certificate must be.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The endpoint's number of the way.
    pub(super) number: usize,
}

/// How a connection has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Counts the connections of a driver.
    pub(super) connection: u64,
    pub(super) fault: Fault,
    pub(super) error: io::Error,
}

/// A connection that is open or being opened; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Link {
    outlet: Outlet,
    task: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Opens it; what arrives goes to `inlet`, and its end as a command to the driver.
    pub(super) fn open(
        connection: u64,
        target: Target,
        inlet: mpsc::Sender<Vec<Datagram>>,
        commands: mpsc::WeakUnboundedSender<Command>,
    ) -> Self {
        let (outlet, waiting) = outlet(MAX_QUEUE);
        let task = tokio::spawn(async move {
            let (fault, error) = converse(&target, waiting, &inlet).await;
            if let Some(commands) = commands.upgrade() {
                // A driver that has stopped needs no word.
                let _ = commands.send(Command::TurnEnded(Ended { connection, fault, error }));
            }
        });
        Self { outlet, task: task.abort_handle() }
    }

    /// Queues a message, or says that it is lost. A request is never lost for want of room: it is sent once, and the relay
    /// counts as lost without its answer.
    pub(super) fn send(&self, message: BytesMut) -> bool {
        if matches!(classify(&message), Kind::Stun(stun) if stun.class == Class::Request) {
            self.outlet.insist(message)
        } else {
            self.outlet.send(message)
        }
    }
}

/// Opens a connection and keeps it until it ends; says why it did.
async fn converse(target: &Target, waiting: Waiting, inlet: &mpsc::Sender<Vec<Datagram>>) -> (Fault, io::Error) {
    let (reader, writer) = match timeout(DIAL, connect(target)).await {
        Ok(Ok(halves)) => halves,
        Ok(Err(error)) => return (Fault::Unreachable, error),
        Err(late) => return (Fault::Unreachable, late.into()),
    };
    tokio::select! {
        ended = read(target, reader, inlet) => ended,
        written = waiting.write(writer, encode, SILENCE) => {
            (Fault::Closed, written.err().unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
        }
    }
}

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

async fn connect(target: &Target) -> io::Result<Halves> {
    let tcp = TcpStream::connect(target.address).await?;
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(&tcp);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    let Some((config, name)) = &target.tls else {
        let (reader, writer) = tcp.into_split();
        return Ok((Box::new(reader), Box::new(writer)));
    };
    let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp).await?;
    let (reader, writer) = tokio::io::split(stream);
    Ok((Box::new(reader), Box::new(writer)))
}

/// Hands on what arrives. A full driver makes the server wait.
async fn read(
    target: &Target,
    mut reader: impl AsyncRead + Unpin,
    inlet: &mpsc::Sender<Vec<Datagram>>,
) -> (Fault, io::Error) {
    let mut arrived = BytesMut::new();
    loop {
        arrived.reserve(PIECE);
        match reader.read_buf(&mut arrived).await {
            Ok(0) => return (Fault::Closed, io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) => return (Fault::Closed, error),
        }
        let mut datagrams = Vec::new();
        loop {
            match decode(&mut arrived) {
                Ok(Some(data)) => {
                    datagrams.push(Datagram { socket: target.number, to: None, from: target.address, data });
                }
                Ok(None) => break,
                Err(error) => return (Fault::Unreadable, io::Error::other(error)),
            }
        }
        if !datagrams.is_empty() && inlet.send(datagrams).await.is_err() {
            return (Fault::Closed, io::ErrorKind::BrokenPipe.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    struct Stage {
        listener: TcpListener,
        arrived: mpsc::Receiver<Vec<Datagram>>,
        told: mpsc::UnboundedReceiver<Command>,
        link: Link,
        /// The driver's own end: without it nobody is told.
        _commands: mpsc::UnboundedSender<Command>,
    }

    impl Stage {
        async fn new(secure: bool) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (inlet, arrived) = mpsc::channel(8);
            let (commands, told) = mpsc::unbounded_channel();
            let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let nobody = tokio_rustls::rustls::RootCertStore::empty();
            let config = Arc::new(config.with_root_certificates(nobody).with_no_client_auth());
            let tls = secure.then(|| (config, ServerName::try_from("localhost").unwrap()));
            let target = Target { address: listener.local_addr().unwrap(), tls, number: 7 };
            let link = Link::open(3, target, inlet, commands.downgrade());
            Self { listener, arrived, told, link, _commands: commands }
        }

        async fn ended(&mut self) -> Fault {
            match self.told.recv().await.unwrap() {
                Command::TurnEnded(Ended { connection: 3, fault, .. }) => fault,
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn messages_go_both_ways_until_the_server_closes() {
        let mut stage = Stage::new(false).await;
        assert!(stage.link.send(BytesMut::from(&b"\x40\x01\0\x01a"[..])));
        let (mut server, _) = stage.listener.accept().await.unwrap();
        let mut heard = [0; 8];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"\x40\x01\0\x01a\0\0\0");
        server.write_all(b"\x40\x01\0\x02bc\0\0").await.unwrap();
        let datagram = stage.arrived.recv().await.unwrap().remove(0);
        assert_eq!((datagram.socket, datagram.from), (7, stage.listener.local_addr().unwrap()));
        assert_eq!(datagram.data[..], *b"\x40\x01\0\x02bc");
        drop(server);
        assert_eq!(stage.ended().await, Fault::Closed);
        assert!(!stage.link.send(BytesMut::from(&b"\0"[..])));
    }

    #[tokio::test]
    async fn what_cannot_be_read_ends_the_connection() {
        let mut stage = Stage::new(false).await;
        let (mut server, _) = stage.listener.accept().await.unwrap();
        server.write_all(b"SSH-2.0-OpenSSH").await.unwrap();
        assert_eq!(stage.ended().await, Fault::Unreadable);
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let stage = Stage::new(true).await;
        let message = BytesMut::from(&[0x40; 1000][..]);
        let taken = (0..10_000).filter(|_| stage.link.send(message.clone())).count();
        assert_eq!(taken, MAX_QUEUE / (1000 + super::super::super::outlet::FRAME_COST));
        let request = BytesMut::from(&crate::wire::binding_request([7; 12])[..]);
        assert!(stage.link.send(request) && !stage.link.send(message));
    }

    /// The virtual clock goes on when nothing else happens, to the only deadline there is.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_silent_in_the_handshake_is_given_up() {
        let mut stage = Stage::new(true).await;
        let start = Instant::now();
        let (_server, _) = stage.listener.accept().await.unwrap();
        assert_eq!(stage.ended().await, Fault::Unreachable);
        assert!(start.elapsed() >= DIAL);
    }
}
