//! Looks for devices and talks with them: sockets, clocks and deadlines.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use url::Url;

use crate::{Credentials, Device, Error, Interview, Trouble};

mod http;
mod probe;

use http::Client;

/// Where devices listen for probes (WS-Discovery section 2.4).
const PORT: u16 = 3702;
/// Devices that are talked with; a network with more is searched in parts, by interface or address.
const MAX_DEVICES: usize = 256;
/// Conversations at a time.
const AT_ONCE: usize = 16;

/// How it is looked for devices.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long answers to probes are waited for. Default 4 s; devices answer within half a second, those that sleep later.
    pub wait: Duration,
    /// How long a device may take for each answer. Default 5 s.
    pub answer: Duration,
    /// How long the conversation with one device may take. Default 30 s.
    pub conversation: Duration,
    /// Devices to ask; when this is empty it is asked by multicast who is there.
    pub targets: Vec<Target>,
    /// Interfaces to ask on, each by its name or one of its addresses; when this is empty, all but loopback.
    pub interfaces: Vec<String>,
    /// The user at the devices.
    pub credentials: Option<Credentials>,
    /// Take any certificate of devices that are asked by HTTPS; most sign their own.
    pub insecure: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(4),
            answer: Duration::from_secs(5),
            conversation: Duration::from_secs(30),
            targets: Vec::new(),
            interfaces: Vec::new(),
            credentials: None,
            insecure: false,
        }
    }
}

/// A device whose place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Its device service, which is asked without a probe.
    Service(Url),
    /// `HOST[:PORT]`: it is probed at that port, 3702 without one. When it does not answer, its device service is
    /// taken to be where most have it, at `http://HOST/onvif/device_service`.
    Host(String),
}

impl std::str::FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let url = Url::parse(text).map_err(|_| "it is no URL")?;
            // Its own path is given, or that of most devices is meant.
            let is_bare = url.path() == "/" && url.query().is_none();
            return Ok(Self::Service(if is_bare { with_usual_path(url) } else { url }));
        }
        let as_url = Url::parse(&format!("http://{text}/")).map_err(|_| "it must be HOST, HOST:PORT or a URL")?;
        let is_plain = as_url.path() == "/" && as_url.username().is_empty() && as_url.query().is_none();
        if is_plain { Ok(Self::Host(text.to_owned())) } else { Err("it must be HOST, HOST:PORT or a URL") }
    }
}

fn with_usual_path(mut url: Url) -> Url {
    url.set_path("/onvif/device_service");
    url
}

/// A device that was found, or one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its device service.
    pub service: Url,
    /// Its name, as it answered the probe.
    pub name: Option<String>,
    /// Its model, as it answered the probe.
    pub hardware: Option<String>,
    /// It has answered a probe.
    pub answered: bool,
    /// What it tells, or why not.
    pub told: Result<Device, Trouble>,
}

/// Looks for devices and asks each what it has. They come in the order of their addresses.
///
/// # Errors
/// The search cannot begin. What is wrong with a device is told of that device.
pub async fn search(config: &Config) -> Result<Vec<Found>, Error> {
    let client = Client::new(config)?;
    let mut places = match config.targets.is_empty() {
        true => probe::multicast(config).await?,
        false => probe::unicast(config).await?,
    };
    if places.len() > MAX_DEVICES {
        tracing::warn!(found = places.len(), limit = MAX_DEVICES, "there are more devices than are asked");
        places.truncate(MAX_DEVICES);
    }
    let talks = places.into_iter().map(|place| client.talk_with(place, config));
    let mut found: Vec<Found> = futures_util::stream::iter(talks).buffer_unordered(AT_ONCE).collect().await;
    found.sort_by_key(|found| order(&found.service));
    Ok(found)
}

/// Addresses in numeric order, names behind them.
fn order(url: &Url) -> (bool, Option<IpAddr>, String) {
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    (address.is_none(), address, url.to_string())
}

/// Where a device is to be talked with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    service: Url,
    name: Option<String>,
    hardware: Option<String>,
    answered: bool,
}

impl Place {
    fn unseen(service: Url) -> Self {
        Self { service, name: None, hardware: None, answered: false }
    }
}

/// The device service of a device that answered from `source`. Of the URLs that it names, that with this address counts;
/// otherwise one of its paths at this address, since cameras name addresses that are not theirs any more.
fn service(named: &[Url], source: SocketAddr) -> Option<Url> {
    let is_source = |url: &&Url| match url.host() {
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address) == source.ip(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address) == source.ip(),
        _ => false,
    };
    if let Some(url) = named.iter().find(is_source) {
        return Some(url.clone());
    }
    if let IpAddr::V6(address) = source.ip()
        && address.is_unicast_link_local()
    {
        // A URL cannot say on which link such an address is; the device is taken at an address of the local network.
        let is_near = |url: &&Url| match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_private() || address.is_link_local(),
            _ => false,
        };
        return named.iter().find(is_near).cloned();
    }
    let mut url = named.first()?.clone();
    url.set_ip_host(source.ip()).ok()?;
    Some(url)
}

impl Client {
    async fn talk_with(&self, place: Place, config: &Config) -> Found {
        let conversation = self.talk(&place.service, config.credentials.clone());
        let told = tokio::time::timeout(config.conversation, conversation).await;
        let told = told.unwrap_or(Err(Trouble::Late { after: config.conversation }));
        let Place { service, name, hardware, answered } = place;
        tracing::debug!(%service, told = ?told.as_ref().map(|device| device.profiles.len()), "device");
        Found { service, name, hardware, answered, told }
    }

    async fn talk(&self, service: &Url, credentials: Option<Credentials>) -> Result<Device, Trouble> {
        let mut interview = Interview::new(service.clone(), credentials);
        while let Some(request) = interview.poll_request(SystemTime::now(), rand::random()) {
            let (status, challenges, body) = self.post(request).await?;
            let answer = crate::Answer { status, challenges: &challenges, body: &body };
            interview.handle_answer(&answer, SystemTime::now())?;
        }
        Ok(interview.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_asked_where_it_answered() {
        let source: SocketAddr = "192.168.1.9:3702".parse().unwrap();
        let urls = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Url>>();
        let found = |texts: &[&str], source| service(&urls(texts), source).map(String::from);
        let both = ["http://10.0.0.1/a", "http://192.168.1.9:81/b"];
        assert_eq!(found(&both, source).as_deref(), Some("http://192.168.1.9:81/b"));
        assert_eq!(found(&both[..1], source).as_deref(), Some("http://192.168.1.9/a"));
        let link = "[fe80::9%2]:3702".parse().unwrap();
        assert_eq!(found(&both, link).as_deref(), Some("http://10.0.0.1/a"));
        assert_eq!(found(&["http://203.0.113.1/a", "http://[fe80::9]/a"], link), Some("http://[fe80::9]/a".to_owned()));
        assert_eq!(found(&["http://203.0.113.1/a"], link), None);
    }

    #[test]
    fn targets_are_hosts_or_urls() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(target("10.0.0.9:5000"), Ok(Target::Host("10.0.0.9:5000".to_owned())));
        assert_eq!(target("[fe80::1]"), Ok(Target::Host("[fe80::1]".to_owned())));
        let service = |text: &str| Ok(Target::Service(text.parse().unwrap()));
        assert_eq!(target("http://10.0.0.9:8080"), service("http://10.0.0.9:8080/onvif/device_service"));
        assert_eq!(target("https://cam/x"), service("https://cam/x"));
        assert!(
            target("a/b").is_err() && target("u:p@h").is_err() && target("").is_err() && target("h:99999").is_err()
        );
    }
}
