//! The names of servers, resolved again and again: their addresses change while the driver runs.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Command;

/// How long an answer holds. The resolver does not tell the lifetime of its records, and five minutes are a usual one.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// Pause after a failure, as when the network comes up later than we do.
const RETRY: Duration = Duration::from_secs(15);
/// How long the host's resolver may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a server is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Stun,
    Turn,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Stun => "STUN",
            Self::Turn => "TURN",
        }
    }

    fn command(self, address: SocketAddr) -> Command {
        match self {
            Self::Stun => Command::StunServer(address),
            Self::Turn => Command::TurnServer(address),
        }
    }
}

/// Tells the driver the address of `name` until the driver is gone; `families` says of each socket whether it is IPv4.
pub(super) async fn follow(
    kind: Kind,
    name: String,
    families: Vec<bool>,
    commands: mpsc::WeakUnboundedSender<Command>,
) {
    let server = kind.name();
    let mut current = None;
    let mut complained = false;
    loop {
        let resolved = timeout(DEADLINE, lookup_host(&name)).await;
        let fault = match resolved {
            Ok(Ok(addresses)) => {
                let chosen = choose(current, &addresses.collect::<Vec<_>>(), &families);
                if chosen.is_some() && chosen != current {
                    tracing::info!(%name, address = ?chosen, "{server} server");
                }
                current = chosen.or(current);
                chosen.is_none().then(|| "it has no address of a family that we listen on".to_owned())
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        // One line for a failure that lasts.
        if let Some(fault) = &fault
            && !complained
        {
            let again = RETRY.as_secs();
            tracing::warn!(%name, %fault, "the {server} server's name is not resolved: peers outside may not find this host; asked again every {again} s");
        }
        complained = fault.is_some();
        let Some(commands) = commands.upgrade() else { return };
        if let Some(address) = current.filter(|_| fault.is_none())
            && commands.send(kind.command(address)).is_err()
        {
            return;
        }
        drop(commands);
        sleep(if fault.is_some() { RETRY } else { REFRESH }).await;
    }
}

/// The address in use while the name still has it, since many names give their addresses in any order; else the first of
/// a family that a socket has, IPv4 before IPv6, which is seldom behind NAT.
fn choose(current: Option<SocketAddr>, resolved: &[SocketAddr], families: &[bool]) -> Option<SocketAddr> {
    if current.is_some_and(|current| resolved.contains(&current)) {
        return current;
    }
    let usable = |address: &&SocketAddr| families.contains(&address.is_ipv4());
    resolved.iter().filter(usable).min_by_key(|address| !address.is_ipv4()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_while_the_name_has_it() {
        let [a, b, six] = ["192.0.2.1:3478", "192.0.2.2:3478", "[2001:db8::1]:3478"].map(|text| text.parse().unwrap());
        assert_eq!(choose(None, &[six, a, b], &[true, false]), Some(a));
        assert_eq!(choose(Some(a), &[b, a], &[true]), Some(a));
        assert_eq!(choose(Some(a), &[b, six], &[true]), Some(b));
        assert_eq!(choose(None, &[a, six], &[false]), Some(six));
        assert_eq!(choose(None, &[six], &[true]), None);
    }
}
