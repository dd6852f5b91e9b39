//! The task that owns the sockets and the endpoint.

mod names;
mod outlet;
mod ports;
mod streams;
mod task;
mod turn;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::endpoint::{Counters, Status};
use crate::media::{Options, RtpPacket, TrackId};
use crate::socket::{Socket, announced as announced_as};
use crate::{ChannelId, ChannelOptions, Config, Connection, Endpoint, Error, Message, SessionId};

type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What handles ask of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Offer(Options, Reply<(Connection, String)>),
    Answer(String, Options, Reply<(Connection, String)>),
    Session(SessionId, Request),
    Count(oneshot::Sender<Counters>),
    StunServer(SocketAddr),
    TurnServer(SocketAddr),
    TurnEnded(turn::Ended),
    Stop(Option<oneshot::Sender<()>>),
}

/// What a handle asks of one session.
#[derive(Debug)]
pub(crate) enum Request {
    AcceptAnswer(String, Reply<()>),
    AcceptOffer(String, Reply<String>),
    RenewOffer(bool, Reply<String>),
    AddCandidate(String, Reply<()>),
    OpenChannel(String, ChannelOptions, Reply<ChannelId>),
    CloseChannel(ChannelId),
    Send(ChannelId, Message, Reply<()>),
    SendRtp(TrackId, Arc<[RtpPacket]>, u16),
    KeyFrame(TrackId),
    Clock(Instant, Vec<(TrackId, u32)>),
    Status(Reply<Status>),
    Resume,
    Close,
}

/// All WebRTC sessions of a process, on one UDP port. Dropping it ends them.
#[derive(Debug)]
pub struct Driver {
    commands: mpsc::UnboundedSender<Command>,
    addresses: Vec<SocketAddr>,
    tcp_addresses: Vec<SocketAddr>,
    receive_buffer: usize,
    /// Resolve the names of the STUN and the TURN server.
    following: Vec<AbortHandle>,
}

impl Driver {
    /// Binds the sockets and starts the task, within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`], or [`Error::Listen`] where the host does not give the address.
    pub fn bind(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let mut sockets: Vec<Arc<Socket>> = Vec::new();
        for mut address in config.listen.iter().copied() {
            if address.port() == 0 {
                // Both families share the port that the host chose for the first.
                address.set_port(sockets.first().map_or(0, |first| first.local.port()));
            }
            sockets.push(Arc::new(Socket::bind(address, config.socket_buffer)?));
        }
        let announced: Vec<_> = sockets.iter().map(|socket| announced_as(socket.local, &config.public_ips)).collect();
        let receive_buffer = sockets.iter().map(|socket| socket.receive_buffer).min().unwrap_or_default();
        let addresses = announced.iter().flatten().copied().collect();
        let config = Arc::new(config);
        let mut endpoint = Endpoint::new(Instant::now(), Arc::clone(&config), announced)?;
        let mut listeners: Vec<(usize, TcpListener)> = Vec::new();
        let mut tcp_addresses: Vec<SocketAddr> = Vec::new();
        for mut address in config.tcp_listen.iter().copied() {
            if address.port() == 0 {
                address.set_port(tcp_addresses.first().map_or(0, SocketAddr::port));
            }
            let listener = streams::listen(address)?;
            let local = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
            let announced = announced_as(local, &config.public_ips);
            tcp_addresses.extend(&announced);
            listeners.push((endpoint.add_passive_socket(announced), listener));
        }
        let (commands, inbox) = mpsc::unbounded_channel();
        let follow = |kind, name, families| {
            tokio::spawn(names::follow(kind, name, families, commands.downgrade())).abort_handle()
        };
        let stun = config.stun_name.clone().map(|name| {
            let families = sockets.iter().map(|socket| socket.local.is_ipv4()).collect();
            follow(names::Kind::Stun, name, families)
        });
        let turn = config.turn.as_ref().map(|turn| turn.server.clone());
        let turn = turn.map(|name| follow(names::Kind::Turn, name, vec![true, false]));
        let following = stun.into_iter().chain(turn).collect();
        tokio::spawn(task::Task::new(config, endpoint, sockets, listeners, inbox, commands.downgrade()).run());
        Ok(Self { commands, addresses, tcp_addresses, receive_buffer, following })
    }

    /// The announced addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The announced addresses of ICE over TCP.
    #[must_use]
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        &self.tcp_addresses
    }

    /// Bytes that the host gave each socket to hold what arrives. On Linux a datagram of 1,200 bytes takes 2,304 of them.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(make(reply)).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Makes a session with the given channels and tracks, and the offer for its peer.
    ///
    /// # Errors
    /// [`Error::TooManySessions`], [`Error::TooManyChannels`], [`Error::Refused`], [`Error::Stopped`].
    pub async fn offer(&self, options: Options) -> Result<(Connection, String), Error> {
        self.ask(|reply| Command::Offer(options, reply)).await?
    }

    /// Makes a session from a peer's offer, and the answer.
    ///
    /// # Errors
    /// [`Error::TooManySessions`], [`Error::DescriptionTooLong`], [`Error::TooManyCandidates`], [`Error::Refused`],
    /// [`Error::Stopped`].
    pub async fn answer(&self, offer: impl Into<String>, options: Options) -> Result<(Connection, String), Error> {
        let offer = offer.into();
        self.ask(|reply| Command::Answer(offer, options, reply)).await?
    }

    /// What was counted so far.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn counters(&self) -> Result<Counters, Error> {
        self.ask(Command::Count).await
    }

    /// Ends all sessions, tells their peers, and waits until that is sent and the port is free.
    pub async fn shutdown(self) {
        // A task that has stopped leaves nothing to wait for.
        let _ = self.ask(|done| Command::Stop(Some(done))).await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.following.iter().for_each(AbortHandle::abort);
        let _ = self.commands.send(Command::Stop(None));
    }
}
