//! The namespaces, their devices and the tasks between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tun_rs::{AsyncDevice, DeviceBuilder};

use crate::{Error, Profile, Shaper};

/// The devices' packet size, Ethernet's.
const MTU: usize = 1_500;
/// Packets that a device holds until the link takes them. The default of 500 loses a part of every burst on a busy machine,
/// where a [`Profile`] says what is lost.
const DEVICE_QUEUE: usize = 20_000;

/// One of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first, by custom the public host.
    A,
    /// The second, by custom the site.
    B,
}

impl Side {
    /// The address of this side, the same in every [`Net`]; nothing outside its namespaces sees it.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::A => Ipv4Addr::new(10, 77, 0, 1),
            Self::B => Ipv4Addr::new(10, 77, 0, 2),
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

/// Two hosts and the link between them. Dropping it ends the link and removes the namespaces.
#[derive(Debug)]
pub struct Net {
    id: String,
    wires: [Arc<Mutex<Shaper>>; 2],
    pumps: [JoinHandle<()>; 2],
}

impl Net {
    /// Makes both hosts and starts the link; `seed` decides which packets are lost.
    ///
    /// # Errors
    /// Root or `ip` is missing, or the system has no TUN devices.
    pub async fn new(seed: u64, profile: Profile) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("sg{:x}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (a, b) = (host(&id, Side::A).await?, host(&id, Side::B).await?);
        let (a, b) = (Arc::new(a), Arc::new(b));
        let wire = |seed| Arc::new(Mutex::new(Shaper::new(seed, profile)));
        let wires = [wire(seed), wire(seed.wrapping_add(1))];
        let pumps = [
            tokio::spawn(pump(Arc::clone(&a), Arc::clone(&b), Arc::clone(&wires[0]))),
            tokio::spawn(pump(b, a, Arc::clone(&wires[1]))),
        ];
        Ok(Self { id, wires, pumps })
    }

    /// A program that will run on `side`. It ends with its handle.
    #[must_use]
    pub fn command(&self, side: Side, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace(&self.id, side), program]).kill_on_drop(true);
        command
    }

    /// A connection as a program on `side` would make it; the test itself is on neither. Loopback addresses are the
    /// side's own.
    ///
    /// # Errors
    /// The namespace cannot be entered, or nobody listens there.
    pub fn connect(&self, side: Side, to: SocketAddr) -> Result<TcpStream, Error> {
        let path = format!("/run/netns/{}", namespace(&self.id, side));
        let dial = move || {
            let namespace = std::fs::File::open(path)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            std::net::TcpStream::connect(to)
        };
        // A thread of its own, because it never leaves the namespace again. A local connection does not wait.
        let dialled = std::thread::spawn(dial).join();
        let stream = dialled.unwrap_or_else(|_| Err(std::io::Error::other("the dialling thread has panicked")))?;
        stream.set_nonblocking(true)?;
        Ok(TcpStream::from_std(stream)?)
    }

    /// Changes both directions of the link.
    pub fn set_profile(&self, profile: Profile) {
        self.wires.iter().for_each(|wire| lock(wire).set_profile(profile));
    }

    /// Freezes or thaws the link: a frozen link loses everything, and neither side is told.
    pub fn freeze(&self, frozen: bool) {
        self.wires.iter().for_each(|wire| lock(wire).freeze(frozen));
    }

    /// Packets lost so far, both directions together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.wires.iter().map(|wire| lock(wire).lost()).sum()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.pumps.iter().for_each(JoinHandle::abort);
        for side in [Side::A, Side::B] {
            // Nobody is left to hear of a failure, and the namespace's name is not used again.
            let _ = std::process::Command::new("ip").args(["netns", "del", &namespace(&self.id, side)]).status();
        }
    }
}

/// A panic in the other user of the lock leaves a wire that is still whole.
fn lock(wire: &Mutex<Shaper>) -> std::sync::MutexGuard<'_, Shaper> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

fn namespace(id: &str, side: Side) -> String {
    format!("{id}{}", side.letter())
}

/// Makes one namespace with a TUN device whose other end stays here.
async fn host(id: &str, side: Side) -> Result<AsyncDevice, Error> {
    let name = namespace(id, side);
    ip(&["netns", "add", &name]).await?;
    let device = DeviceBuilder::new().name(&name).packet_information(false).build_async()?;
    ip(&["link", "set", "dev", &name, "netns", &name]).await?;
    let address = format!("{}/24", side.address());
    ip(&["-n", &name, "address", "add", &address, "dev", &name]).await?;
    ip(&["-n", &name, "link", "set", "dev", &name, "txqueuelen", &DEVICE_QUEUE.to_string()]).await?;
    ip(&["-n", &name, "link", "set", "dev", &name, "mtu", &MTU.to_string(), "up"]).await?;
    ip(&["-n", &name, "link", "set", "dev", "lo", "up"]).await?;
    Ok(device)
}

async fn ip(arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new("ip").args(arguments).output().await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Ip { arguments: arguments.join(" "), said })
}

/// Carries packets one way until it is aborted.
async fn pump(from: Arc<AsyncDevice>, to: Arc<AsyncDevice>, wire: Arc<Mutex<Shaper>>) {
    let mut buffer = vec![0; MTU + 4];
    loop {
        let due = lock(&wire).poll_timeout();
        let arrival = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = from.recv(&mut buffer) => {
                // A device can refuse while its namespace goes away; the pump is aborted right after.
                let Some(packet) = received.ok().and_then(|length| buffer.get(..length)) else { return };
                lock(&wire).handle_packet(Instant::now(), Bytes::copy_from_slice(packet));
            }
            () = arrival => {}
        }
        while let Some(packet) = arrived(&wire) {
            // The receiving kernel may drop, as on any link.
            let _ = to.send(&packet).await;
        }
    }
}

/// Takes a packet off the wire; the lock is gone when this returns.
fn arrived(wire: &Mutex<Shaper>) -> Option<Bytes> {
    lock(wire).poll_packet(Instant::now())
}
