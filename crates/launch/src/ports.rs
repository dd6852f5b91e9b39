//! Where a program listens, and that it says so.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;

use sluicegate_net::port::Addresses;
use sluicegate_net::tls::ServerTls;
use tokio::task::JoinSet;

use crate::Failure;

/// Ports that are open. Each serves until the program's shutdown.
pub type Ports = JoinSet<()>;

/// Says where the program listens: in the log for people, on standard output for whoever has started it.
pub fn announce(url: &str) {
    tracing::info!(url, "listening");
    // Whoever started us may not read it; that is no reason to end.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening on {url}").and_then(|()| out.flush());
}

/// Opens the ports of a protocol that has its own, and says where they are. `bind` gives the URL of a port and what
/// serves it.
///
/// # Errors
/// [`Failure::Work`] when a port cannot be opened; then none stays open.
pub async fn open_ports<S, E>(
    protocol: &str,
    addresses: Addresses,
    tls: Option<&ServerTls>,
    bind: impl AsyncFn(SocketAddr, Option<ServerTls>) -> Result<(String, S), E>,
) -> Result<Ports, Failure>
where
    S: Future<Output = ()> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let mut ports = Ports::new();
    for (address, tls) in addresses.each(tls) {
        let bound = bind(address, tls).await;
        let (url, serving) = bound.map_err(|error| Failure::work(format!("listening for {protocol}"), error))?;
        announce(&url);
        ports.spawn(serving);
    }
    Ok(ports)
}
