//! The pair of UDP ports from which all players get their packets.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

/// Tries to find two free ports that follow each other.
const TRIES: usize = 64;

/// RTP on an even port, RTCP on the next. Nobody reads what arrives: clients keep their sessions by requests.
#[derive(Debug)]
pub(crate) struct Ports {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    numbers: (u16, u16),
}

impl Ports {
    /// Binds; `first` 0 takes a free pair.
    pub(crate) async fn bind(ip: IpAddr, first: u16) -> io::Result<Self> {
        let mut last = io::Error::other("no free pair of ports");
        for _ in 0..if first == 0 { TRIES } else { 1 } {
            let rtp = UdpSocket::bind(SocketAddr::new(ip, first)).await?;
            let number = rtp.local_addr()?.port();
            let Some(next) = number.checked_add(1).filter(|_| number.is_multiple_of(2) || first != 0) else { continue };
            match UdpSocket::bind(SocketAddr::new(ip, next)).await {
                Ok(rtcp) => return Ok(Self { rtp, rtcp, numbers: (number, next) }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(crate) const fn numbers(&self) -> (u16, u16) {
        self.numbers
    }

    /// Sends a packet or a report to a client's port, as soon as the system takes it. One that it does not want is lost, as
    /// on the way.
    pub(crate) async fn send(&self, to: SocketAddr, is_report: bool, bytes: &[u8]) -> usize {
        let socket = if is_report { &self.rtcp } else { &self.rtp };
        socket.send_to(bytes, to).await.unwrap_or_default()
    }
}
