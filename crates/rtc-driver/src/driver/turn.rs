//! The way to the TURN server, and what operators are told of it.

mod link;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::BytesMut;
use tokio::sync::mpsc;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Command;
use super::ports::{Port, Ports};
use crate::endpoint::{Datagram, Outgoing};
use crate::metrics;
use crate::socket::Sockets;
use crate::turn::{Fault, News};
use crate::{Config, Endpoint, TurnServer, TurnTransport};
pub(super) use link::Ended;
use link::{Link, Target};

/// How the server is reached. A way is for nothing else.
#[derive(Debug)]
enum Way {
    /// A server knows a relay by the port that asked for it: by the fixed one we would be refused after a restart of ours
    /// until the relay from before has ended.
    Socket(Port),
    Stream(Stream),
}

/// One connection at a time.
#[derive(Debug)]
struct Stream {
    target: Target,
    inlet: mpsc::Sender<Vec<Datagram>>,
    commands: mpsc::WeakUnboundedSender<Command>,
    /// Connections so far.
    connections: u64,
    current: Option<Link>,
}

impl Stream {
    /// Queues a message for the connection, which is opened where there is none.
    fn send(&mut self, message: BytesMut) -> bool {
        let link = self.current.get_or_insert_with(|| {
            self.connections += 1;
            Link::open(self.connections, self.target.clone(), self.inlet.clone(), self.commands.clone())
        });
        link.send(message)
    }
}

/// The way to the server, by whichever of its addresses is used.
#[derive(Debug)]
pub(super) struct Turn {
    commands: mpsc::WeakUnboundedSender<Command>,
    way: Option<(SocketAddr, Way)>,
    up: bool,
    /// The fault that the log has a line of already.
    told: Option<Fault>,
    /// Why the last connection ended, until that is told.
    error: Option<io::Error>,
}

impl Turn {
    pub(super) fn new(commands: mpsc::WeakUnboundedSender<Command>) -> Self {
        Self { commands, way: None, up: false, told: None, error: None }
    }

    /// Goes to this address of the server from now on; returns the socket to the one before.
    pub(super) fn open(
        &mut self,
        config: &Config,
        ports: &Ports,
        server: SocketAddr,
        endpoint: &mut Endpoint,
        sockets: &mut Sockets,
    ) -> Option<Port> {
        let turn = config.turn.as_ref()?;
        if self.way.as_ref().is_some_and(|(before, _)| *before == server) {
            return None;
        }
        let (number, way) = if turn.transport == TurnTransport::Udp {
            // The host knows by which of its addresses it reaches the server.
            let ip =
                if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
            match ports.open_one(config, ip, |_| Vec::new(), endpoint, sockets) {
                Ok(port) => (port.number, Way::Socket(port)),
                Err(error) => {
                    tracing::warn!(%server, %error, "no socket for the TURN server: there is no relay");
                    return None;
                }
            }
        } else {
            // Never without TLS where that is asked for; a valid configuration has all that it needs.
            let tls = if turn.transport == TurnTransport::Tls { Some(secured(turn)?) } else { None };
            let number = endpoint.add_socket(Vec::new());
            let target = Target { address: server, tls, number };
            let (inlet, commands) = (ports.inlet(), self.commands.clone());
            // Counted on, so that the end of an earlier one is not taken for that of a later one.
            let connections = if let Some((_, Way::Stream(before))) = &self.way { before.connections } else { 0 };
            (number, Way::Stream(Stream { target, inlet, commands, connections, current: None }))
        };
        endpoint.set_turn_server(Instant::now(), SystemTime::now(), server, number);
        self.set_up(false);
        match self.way.replace((server, way))? {
            (_, Way::Socket(port)) => Some(port),
            (_, Way::Stream(stream)) => {
                endpoint.remove_socket(stream.target.number);
                None
            }
        }
    }

    /// Queues a message where a stream carries it; `Some(false)` says that it is lost.
    pub(super) fn send(&mut self, outgoing: &Outgoing) -> Option<bool> {
        match &mut self.way {
            Some((_, Way::Stream(stream))) if stream.target.number == outgoing.socket => {
                Some(stream.send(outgoing.data.clone()))
            }
            _ => None,
        }
    }

    /// A connection has ended, and the relay with it.
    pub(super) fn ended(&mut self, now: Instant, ended: Ended, endpoint: &mut Endpoint) {
        let Some((_, Way::Stream(stream))) = &self.way else { return };
        if stream.current.is_some() && stream.connections == ended.connection {
            self.error = Some(ended.error);
            endpoint.cut_relay(now, ended.fault);
        }
    }

    fn set_up(&mut self, up: bool) {
        if std::mem::replace(&mut self.up, up) != up {
            metrics::relay_held(up);
        }
    }

    /// One line for a fault that lasts.
    pub(super) fn tell(&mut self, news: News) {
        match news {
            News::Relayed(address) => {
                tracing::info!(%address, "relay on the TURN server");
                metrics::relayed();
                self.set_up(true);
                self.told = None;
            }
            News::Failed(fault) => {
                metrics::relay_failed(fault.name());
                if let Some((_, Way::Stream(stream))) = &mut self.way {
                    stream.current = None;
                }
                let error = self.error.take().map(tracing::field::display);
                if self.told != Some(fault) {
                    tracing::warn!(%fault, error, "no relay on the TURN server: peers that can reach nothing else find no path; asked again and again");
                }
                self.set_up(false);
                self.told = Some(fault);
            }
        }
    }
}

/// Whom to trust, and the host for which the certificate must be.
fn secured(turn: &TurnServer) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
    Some((Arc::clone(turn.tls.as_ref()?), turn.certified()?))
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.set_up(false);
    }
}
