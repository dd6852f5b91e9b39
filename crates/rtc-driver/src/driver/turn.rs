//! The way to the TURN server, and what operators are told of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Instant, SystemTime};

use super::ports::{Port, Ports};
use crate::metrics;
use crate::socket::Sockets;
use crate::turn::{Fault, News};
use crate::{Config, Endpoint};

/// The socket to the server. It is for nothing else: a server knows a relay by the port that asked for it, so that the
/// fixed one would be refused after a restart of ours until the relay from before has ended.
#[derive(Debug, Default)]
pub(super) struct Turn {
    way: Option<(SocketAddr, Port)>,
    up: bool,
    /// The fault that the log has a line of already.
    told: Option<Fault>,
}

impl Turn {
    /// Goes to this server from now on; returns the socket to the one before.
    pub(super) fn open(
        &mut self,
        config: &Config,
        ports: &Ports,
        server: SocketAddr,
        endpoint: &mut Endpoint,
        sockets: &mut Sockets,
    ) -> Option<Port> {
        if self.way.as_ref().is_some_and(|(before, _)| *before == server) {
            return None;
        }
        // The host knows by which of its addresses it reaches the server.
        let ip = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        match ports.open_one(config, ip, |_| Vec::new(), endpoint, sockets) {
            Ok(port) => {
                endpoint.set_turn_server(Instant::now(), SystemTime::now(), server, port.number);
                self.set_up(false);
                self.way.replace((server, port)).map(|(_, port)| port)
            }
            Err(error) => {
                tracing::warn!(%server, %error, "no socket for the TURN server: there is no relay");
                None
            }
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
                if self.told != Some(fault) {
                    tracing::warn!(%fault, "no relay on the TURN server: peers that can reach nothing else find no path; asked again and again");
                }
                self.set_up(false);
                self.told = Some(fault);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.set_up(false);
    }
}
