//! A TURN server (coturn) on a loopback address of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::process::Command;

use crate::program::Program;

/// The user's name and password that the server knows.
pub const USER: (&str, &str) = ("someone", "a \"secret\", truly");

/// A running server.
#[derive(Debug)]
pub struct TurnServer {
    /// Where it listens, by UDP and TCP.
    pub address: SocketAddr,
    /// What it says; it ends with this.
    pub program: Program,
}

impl TurnServer {
    /// Starts coturn and waits until it listens.
    pub async fn start(coturn: &Path) -> Self {
        Self::start_at(Command::new(coturn), Self::own_address()).await
    }

    /// An address of the loopback network for one server: it cannot be asked for any free port.
    #[must_use]
    pub fn own_address() -> IpAddr {
        static STARTED: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(127, STARTED.fetch_add(1, Ordering::Relaxed), high, low.max(1)))
    }

    /// As [`start`](Self::start), by a command that may run coturn elsewhere, at an address there.
    pub async fn start_at(mut command: Command, own: IpAddr) -> Self {
        command.arg("--no-tls");
        Self::run(command, own).await
    }

    /// One that speaks TLS as well, at the same port, with a certificate and its key.
    pub async fn start_secure(coturn: &Path, own: IpAddr, certificate: &Path, key: &Path) -> Self {
        let mut command = Command::new(coturn);
        command.arg("--cert").arg(certificate).arg("--pkey").arg(key);
        Self::run(command, own).await
    }

    async fn run(mut command: Command, own: IpAddr) -> Self {
        let (name, password) = USER;
        // All servers share the one loopback address of IPv6.
        let free = || std::net::UdpSocket::bind((own, 0)).unwrap().local_addr().unwrap().port();
        let port = if own.is_ipv6() { free() } else { 3478 };
        let (address, ip) = (SocketAddr::new(own, port), own.to_string());
        command.args(["--listening-port", &port.to_string()]);
        command.args(["-n", "--listening-ip", &ip, "--relay-ip", &ip, "--allow-loopback-peers"]);
        command.args(["--lt-cred-mech", "--realm", "test", "--user", &format!("{name}:{password}")]);
        command.args(["--no-dtls", "--no-cli", "--verbose", "--log-file", "stdout", "--pidfile", ""]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut program = Program::spawn("coturn", &mut command);
        program.says(&format!("UDP listener opened on: {ip}:{port}")).await;
        Self { address, program }
    }
}
