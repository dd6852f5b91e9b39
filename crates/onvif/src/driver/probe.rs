//! Probes by UDP, and who answers them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use if_addrs::{IfAddr, Interface};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{Config, MAX_DEVICES, PORT, Place, Target, service, with_usual_path};
use crate::Error;
use crate::discovery::{self, Kind};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
/// When a probe is repeated, after the first: datagrams are lost, most of all by multicast on Wi-Fi.
const REPEATS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// Answers that wait to be looked at, of all sockets.
const MAX_WAITING: usize = 64;

/// An answer, and where it came from.
type Heard = (Vec<u8>, SocketAddr);

/// Asks on each interface who is there.
pub(super) async fn multicast(config: &Config) -> Result<Vec<Place>, Error> {
    let interfaces = chosen(&if_addrs::get_if_addrs()?, &config.interfaces)?;
    let mut asked = Vec::new();
    for interface in &interfaces {
        match open(interface) {
            Ok((socket, group)) => {
                tracing::info!(interface = interface.name, address = %interface.ip(), "asking who is there");
                asked.push((socket, group));
            }
            Err(error) => tracing::warn!(interface = interface.name, %error, "not asked on this interface"),
        }
    }
    if asked.is_empty() {
        return Err(Error::NoInterface);
    }
    Ok(gather(asked, config.wait, None).await)
}

/// Asks the addresses of known devices. One that does not answer is there all the same, where most are.
pub(super) async fn unicast(config: &Config) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for target in &config.targets {
        match target {
            Target::Service(url) => places.push(Place::unseen(url.clone())),
            Target::Host(text) => places.push(one(text, config).await?),
        }
    }
    Ok(places)
}

async fn one(text: &str, config: &Config) -> Result<Place, Error> {
    let bad = |source| Error::Address { address: text.to_owned(), source };
    // Parsed as a URL, it is told apart from its port in all forms of addresses.
    let url = Url::parse(&format!("http://{text}/")).map_err(|_| bad(std::io::ErrorKind::InvalidInput.into()))?;
    let port = if text.ends_with(":80") { 80 } else { url.port().unwrap_or(PORT) };
    let address = url.socket_addrs(|| None).map_err(bad)?.into_iter().next();
    let mut address = address.ok_or_else(|| bad(std::io::ErrorKind::NotFound.into()))?;
    address.set_port(port);
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    let answers = gather(vec![(socket, address)], config.wait, Some(address)).await;
    let unseen = || {
        let mut url = with_usual_path(url.clone());
        // The port was that of the probe; a web server is at its own.
        let _ = url.set_port(None);
        Place::unseen(url)
    };
    Ok(answers.into_iter().next().unwrap_or_else(unseen))
}

/// Sends probes and takes answers until the time is over, or until the only one who is asked has answered.
async fn gather(sockets: Vec<(UdpSocket, SocketAddr)>, wait: Duration, only: Option<SocketAddr>) -> Vec<Place> {
    let (sender, mut receiver) = mpsc::channel::<Heard>(MAX_WAITING);
    let work = sockets.iter().map(|(socket, group)| {
        let sender = sender.clone();
        async move {
            tokio::join!(ask(socket, *group), listen(socket, sender));
        }
    });
    let take = async {
        let mut found: HashMap<String, Place> = HashMap::new();
        let end = Instant::now() + wait;
        while let Ok(Some((datagram, source))) = tokio::time::timeout_at(end, receiver.recv()).await {
            if only.is_some_and(|only| only.ip() != source.ip()) {
                continue;
            }
            note(&mut found, &datagram, source);
            if found.len() > MAX_DEVICES || (only.is_some() && !found.is_empty()) {
                break;
            }
        }
        found.into_values().collect()
    };
    tokio::select! {
        found = take => found,
        // Listening has no end.
        _ = join_all(work) => Vec::new(),
    }
}

/// Sends each probe several times, the same message each time, so that a device answers once.
async fn ask(socket: &UdpSocket, group: SocketAddr) {
    let probes = [Kind::Transmitter, Kind::Device].map(|kind| discovery::probe(kind, Uuid::new_v4()));
    for pause in [Duration::ZERO].into_iter().chain(REPEATS) {
        tokio::time::sleep(pause).await;
        for probe in &probes {
            if let Err(error) = socket.send_to(probe.as_bytes(), group).await {
                tracing::debug!(%group, %error, "a probe was not sent");
            }
        }
    }
}

async fn listen(socket: &UdpSocket, sender: mpsc::Sender<Heard>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        // A host that is there but has no such port answers by an error of the socket; another may still answer.
        let Ok((length, source)) = socket.recv_from(&mut buffer).await else { continue };
        let datagram = buffer.get(..length).unwrap_or_default().to_vec();
        if sender.send((datagram, source)).await.is_err() {
            return;
        }
    }
}

/// Notes who answered. A device answers for each of its kinds and interfaces; an address of IPv4 is the better one,
/// since cameras' other services often are there only.
fn note(found: &mut HashMap<String, Place>, datagram: &[u8], source: SocketAddr) {
    let Ok(matches) = discovery::matches(datagram) else {
        tracing::debug!(%source, "an answer that is no XML");
        return;
    };
    for device in matches {
        let Some(service) = service(&device.services, source) else { continue };
        let key = if device.endpoint.is_empty() { service.to_string() } else { device.endpoint };
        let place = Place { service, name: device.name, hardware: device.hardware, answered: true };
        let is_v4 = |place: &Place| matches!(place.service.host(), Some(url::Host::Ipv4(_)));
        if found.get(&key).is_none_or(|known| !is_v4(known) && is_v4(&place)) {
            found.insert(key, place);
        }
    }
}

/// The interfaces to ask on: the named ones, or all that are not loopback. One of IPv6 is asked by its link-local address.
fn chosen(present: &[Interface], named: &[String]) -> Result<Vec<Interface>, Error> {
    let is_named = |interface: &Interface, name: &String| {
        interface.name == *name || name.parse::<IpAddr>().is_ok_and(|address| address == interface.ip())
    };
    if let Some(unknown) = named.iter().find(|name| !present.iter().any(|one| is_named(one, name))) {
        let mut names: Vec<_> = present.iter().map(|one| format!("{} ({})", one.name, one.ip())).collect();
        names.sort();
        return Err(Error::Interface { name: unknown.clone(), present: names.join(", ") });
    }
    let is_wanted = |one: &Interface| match named {
        [] => !one.is_loopback() && one.is_oper_up(),
        named => named.iter().any(|name| is_named(one, name)),
    };
    let is_askable = |one: &Interface| match one.ip() {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    Ok(present.iter().filter(|one| is_wanted(one) && is_askable(one)).cloned().collect())
}

/// A socket on an interface, and the group to ask on it.
fn open(interface: &Interface) -> std::io::Result<(UdpSocket, SocketAddr)> {
    let (domain, local, group): (_, SocketAddr, SocketAddr) = match &interface.addr {
        IfAddr::V4(address) => (Domain::IPV4, (address.ip, 0).into(), (GROUP_V4, PORT).into()),
        IfAddr::V6(address) => {
            let scope = interface.index.unwrap_or(0);
            let local = std::net::SocketAddrV6::new(address.ip, 0, 0, scope).into();
            (Domain::IPV6, local, std::net::SocketAddrV6::new(GROUP_V6, PORT, 0, scope).into())
        }
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    match &interface.addr {
        IfAddr::V4(address) => socket.set_multicast_if_v4(&address.ip)?,
        IfAddr::V6(_) => socket.set_multicast_if_v6(interface.index.unwrap_or(0))?,
    }
    socket.bind(&local.into())?;
    socket.set_nonblocking(true)?;
    Ok((UdpSocket::from_std(socket.into())?, group))
}
