//! Sockets of single sessions, and the one to a TURN server. Each has a task that waits for it, so that the driver looks
//! at none in vain.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::endpoint::Datagram;
use crate::socket::{Reader, Socket, Sockets, announced};
use crate::{Config, Endpoint, Error};

/// Batches of datagrams that wait for the driver; a task whose batch has no room waits, and the host drops.
const MAX_BATCHES: usize = 256;
/// Joined batches read at once from a single session's socket, 64 KiB each.
const SLOTS: usize = 2;

/// A socket of a single session; its task ends with it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) number: usize,
    reading: AbortHandle,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// All sockets of single sessions.
#[derive(Debug)]
pub(super) struct Ports {
    arrived: mpsc::Receiver<Vec<Datagram>>,
    sender: mpsc::Sender<Vec<Datagram>>,
    retired: Vec<Port>,
}

impl Default for Ports {
    fn default() -> Self {
        let (sender, arrived) = mpsc::channel(MAX_BATCHES);
        Self { arrived, sender, retired: Vec::new() }
    }
}

impl Ports {
    /// Opens a socket beside each shared one, on a port of the host's choice. What was opened before a failure is
    /// returned with it.
    pub(super) fn open(
        &self,
        config: &Config,
        endpoint: &mut Endpoint,
        sockets: &mut Sockets,
    ) -> (Option<Error>, Vec<Port>) {
        let mut ports = Vec::new();
        for listen in &config.listen {
            let announce = |local| announced(local, &config.public_ips);
            match self.open_one(config, listen.ip(), announce, endpoint, sockets) {
                Ok(port) => ports.push(port),
                Err(error) => return (Some(error), ports),
            }
        }
        (None, ports)
    }

    /// Opens a socket on a port of the host's choice, announced as `announce` says of its address.
    pub(super) fn open_one(
        &self,
        config: &Config,
        ip: IpAddr,
        announce: impl FnOnce(SocketAddr) -> Vec<SocketAddr>,
        endpoint: &mut Endpoint,
        sockets: &mut Sockets,
    ) -> Result<Port, Error> {
        let socket = Arc::new(Socket::bind(SocketAddr::new(ip, 0), config.socket_buffer)?);
        let number = endpoint.add_socket(announce(socket.local));
        let reader = Reader::new(number, Arc::clone(&socket), SLOTS);
        let reading = tokio::spawn(read(reader, self.sender.clone())).abort_handle();
        sockets.insert(number, socket);
        Ok(Port { number, reading })
    }

    /// Where others put datagrams that have arrived; a full one makes them wait.
    pub(super) fn inlet(&self) -> mpsc::Sender<Vec<Datagram>> {
        self.sender.clone()
    }

    /// The next datagrams of any of them. Safe to cancel.
    pub(super) async fn receive(&mut self) -> Vec<Datagram> {
        // The channel does not end: a sender is kept here.
        self.arrived.recv().await.unwrap_or_default()
    }

    /// Closes sockets when what is queued for them has left.
    pub(super) fn retire(&mut self, ports: Vec<Port>) {
        self.retired.extend(ports);
    }

    /// The numbers of those to be closed now.
    pub(super) fn retired(&mut self) -> Vec<usize> {
        self.retired.drain(..).map(|port| port.number).collect()
    }
}

async fn read(mut reader: Reader, to: mpsc::Sender<Vec<Datagram>>) {
    loop {
        let mut datagrams = Vec::new();
        let received = poll_fn(|context| reader.poll_receive(context, &mut datagrams)).await;
        if let Err(error) = received {
            // The host reports what became of earlier sends this way; the socket itself goes on.
            tracing::debug!(%error, "receiving failed");
        }
        if to.send(datagrams).await.is_err() {
            return;
        }
    }
}
