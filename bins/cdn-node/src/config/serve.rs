//! The configuration of the node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluicegate_launch::{Failure, LogFormat, Secret, Size, Span, TlsFiles, read};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_p2p::cache::Disk;
use sluicegate_p2p::face::{Face, Forward};
use sluicegate_p2p::media::{self, Library, Origin};
use sluicegate_p2p::origin::{self, Client, Local, Remote};
use sluicegate_p2p::signal::Service;
use url::Url;

use crate::cli::ServeFlags;
use crate::node::Settings;

const DEFAULT_PORT: u16 = 6060;
/// The folder of files that existing nodes serve.
const PUBLIC: &str = "./public";
/// Bytes that are kept on disk, where they are.
const DISK: u64 = 10 << 30;
/// Below this not even one segment would be kept.
const MIN_CACHE: u64 = 1 << 20;

/// The configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Address and port to listen on.
    pub(crate) listen: SocketAddr,
    /// Folder of videos.
    media: Option<PathBuf>,
    /// Servers that have `VIDEO.json` and `VIDEO/ITAG/START-END.ts` below these URLs. Environment: `BASE_URL`.
    base_url: Vec<String>,
    /// Servers to pass `/video/` on to. Environment: `UPSTREAM`.
    upstream: Vec<String>,
    /// Proxy for all requests to other servers; it may hold a password. Environment: `VIDEO_PROXY`.
    proxy: Option<Secret>,
    /// Whether names of other servers may be those of private addresses.
    allow_private: bool,
    /// Whether redirects of other servers are followed.
    follow_redirects: bool,
    /// Authorities (PEM) that are trusted beside the system's, for other servers and the signalling server.
    authorities: Option<PathBuf>,
    /// Folder of files that are served where nothing else is; `./public`, where there is one, as existing nodes do.
    public: Option<PathBuf>,
    /// Folder to keep what other servers give, beside memory.
    cache_dir: Option<PathBuf>,
    /// Whether the signalling server runs on the same port.
    pub(crate) signal: bool,
    /// What to log.
    pub(crate) log: String,
    /// How to log.
    pub(crate) log_format: LogFormat,
    /// Certificate and key; without them the listener is plain.
    pub(crate) tls: Option<TlsFiles>,
    /// How the node meets its peers.
    pub(crate) swarm: Settings,
    /// Limits that differ from the defaults.
    limits: Limits,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    /// Media that is kept in memory.
    cache: Option<Size>,
    /// What is kept in `cache_dir`.
    disk: Option<Size>,
    /// One segment, or one part that is asked of an origin.
    segment: Option<Size>,
    /// Answers of origins that are being received.
    in_flight: Option<Size>,
    /// How long media is kept, and how long the answer that something does not exist.
    cache_time: Option<Span>,
    negative_time: Option<Span>,
    /// How long the head of an origin's answer may take, and how long its body may be silent.
    origin: Option<Span>,
    origin_silence: Option<Span>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT),
            media: None,
            base_url: Vec::new(),
            upstream: Vec::new(),
            proxy: None,
            allow_private: false,
            follow_redirects: false,
            authorities: None,
            public: None,
            cache_dir: None,
            signal: false,
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            tls: None,
            swarm: Settings::default(),
            limits: Limits::default(),
        }
    }
}

/// Reads the file, lets the flags go before it and the environment after it, and reports all that is wrong together.
pub(crate) fn load(flags: &ServeFlags) -> Result<Config, Failure> {
    load_with(flags, |name| std::env::var(name).ok())
}

fn load_with(flags: &ServeFlags, environment: impl Fn(&str) -> Option<String>) -> Result<Config, Failure> {
    let mut config: Config = flags.config.as_deref().map_or_else(|| Ok(Config::default()), read)?;
    let mut faults = Vec::new();
    config.apply(flags, &mut faults);
    config.take_environment(environment);
    config.validate(&mut faults);
    Failure::unless(faults, config)
}

/// The items of a list with `;` between them.
fn items(text: &str) -> impl Iterator<Item = String> {
    text.split(';').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned)
}

impl Config {
    fn apply(&mut self, flags: &ServeFlags, faults: &mut Vec<String>) {
        self.listen.set_port(flags.port.unwrap_or(self.listen.port()));
        if let Some(host) = &flags.host {
            let bare = host.trim_matches(['[', ']']);
            match (bare, self.listen.port()).to_socket_addrs().ok().and_then(|mut found| found.next()) {
                Some(address) => self.listen = address,
                None => faults.push(format!("--host {host}: no address is known for it")),
            }
        }
        // One origin of the flags replaces the other kind of the file.
        if let Some(media) = &flags.media {
            (self.media, self.base_url) = (Some(media.clone()), Vec::new());
        }
        if !flags.base_url.is_empty() {
            (self.base_url, self.media) = (flags.base_url.iter().flat_map(|list| items(list)).collect(), None);
        }
        if !flags.upstream.is_empty() {
            self.upstream = flags.upstream.iter().flat_map(|list| items(list)).collect();
        }
        if let Some(proxy) = &flags.proxy {
            self.proxy = Some(Secret::new(proxy));
        }
        self.allow_private |= flags.allow_private;
        self.signal |= flags.signal;
        flags.logs.apply(&mut self.log, &mut self.log_format);
        flags.tls.apply(&mut self.tls, faults);
    }

    fn take_environment(&mut self, read: impl Fn(&str) -> Option<String>) {
        let list = |name: &str| read(name).map(|list| items(&list).collect::<Vec<_>>()).unwrap_or_default();
        if self.base_url.is_empty() && self.media.is_none() {
            self.base_url = list("BASE_URL");
        }
        if self.upstream.is_empty() {
            self.upstream = list("UPSTREAM");
        }
        if self.proxy.is_none() {
            self.proxy = read("VIDEO_PROXY").filter(|proxy| !proxy.is_empty()).map(Secret::new);
        }
        self.swarm.take_environment(read);
    }

    fn validate(&self, faults: &mut Vec<String>) {
        for (key, list) in [("base_url (BASE_URL)", &self.base_url), ("upstream (UPSTREAM)", &self.upstream)] {
            let is_bad = |text: &&String| web(text).is_none();
            for text in list.iter().filter(is_bad) {
                faults.push(format!("{key} = {text:?} is no http:// or https:// address"));
            }
        }
        if self.media.is_some() && !self.base_url.is_empty() {
            faults.push("media and base_url are both given; keep one".to_owned());
        }
        for (key, folder) in [("media", &self.media), ("public", &self.public)] {
            if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
                faults.push(format!("{key} = {}: there is no such folder", folder.display()));
            }
        }
        if let Some(proxy) = &self.proxy {
            let known = |url: &Url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host();
            if !Url::parse(proxy.reveal()).is_ok_and(|url| known(&url)) {
                faults.push("proxy (VIDEO_PROXY) is no http://, https:// or socks5:// address".to_owned());
            }
        }
        if let Some(cache) = self.limits.cache.filter(|cache| cache.0 < MIN_CACHE) {
            faults.push(format!("limits.cache = {cache} must be at least 1 MiB"));
        }
        self.swarm.validate(faults);
    }

    fn urls(list: &[String]) -> Vec<Url> {
        list.iter().filter_map(|text| web(text)).collect()
    }

    /// The client that asks other servers.
    fn client(&self) -> Result<Client, Failure> {
        let (default, limits) = (origin::Config::default(), &self.limits);
        let config = origin::Config {
            proxy: self.proxy.as_ref().and_then(|proxy| Url::parse(proxy.reveal()).ok()),
            allow_private: self.allow_private,
            follow_redirects: self.follow_redirects,
            authorities: self.authorities.iter().cloned().collect(),
            head: limits.origin.map_or(default.head, |span| span.0),
            silence: limits.origin_silence.map_or(default.silence, |span| span.0),
            in_flight: limits.in_flight.map_or(default.in_flight, |size| size.0),
            ..default
        };
        let named = [Self::urls(&self.base_url), Self::urls(&self.upstream)].concat();
        Client::new(config, &named).map_err(|error| Failure::work("setting up requests to other servers", error))
    }

    /// Where videos come from, if there is anything configured, and the face that shows them. Where requests are passed
    /// on, what they are passed to is the origin as well, unless there is another one.
    pub(crate) fn face(&self) -> Result<(Option<Library>, Face), Failure> {
        let failed = |error| Failure::work("setting up the origin", error);
        let client = self.client()?;
        let upstream = Self::urls(&self.upstream);
        let below = |url: &Url| {
            let mut url = url.clone();
            url.set_path(&format!("{}/video", url.path().trim_end_matches('/')));
            url
        };
        let bases =
            if self.base_url.is_empty() { upstream.iter().map(below).collect() } else { Self::urls(&self.base_url) };
        let origin: Option<Arc<dyn Origin>> = match &self.media {
            Some(folder) => Some(Arc::new(Local::new(folder))),
            None if bases.is_empty() => None,
            None => Some(Arc::new(Remote::new(client.clone(), bases).map_err(failed)?)),
        };
        let library = origin.map(|origin| Library::new(origin, self.media_limits()));
        // A folder of videos is on disk already.
        if let (Some(library), Some(folder), None) = (&library, &self.cache_dir, &self.media) {
            let budget = self.limits.disk.map_or(DISK, |size| size.0);
            let doing = || format!("taking over {}", folder.display());
            library.keep_on(Disk::open(folder, budget).map_err(|error| Failure::work(doing(), error))?);
        }
        let mut face = Face::new(library.clone());
        if !upstream.is_empty() {
            face = face.forwarding(Forward::new(client, upstream).map_err(failed)?);
        }
        Ok((library, face))
    }

    /// How much media is kept.
    pub(crate) fn media_limits(&self) -> media::Limits {
        let (default, limits) = (media::Limits::default(), &self.limits);
        media::Limits {
            cache_bytes: limits.cache.map_or(default.cache_bytes, Size::bytes),
            part_bytes: limits.segment.map_or(default.part_bytes, |size| size.0),
            part_time: limits.cache_time.map_or(default.part_time, |span| span.0),
            negative_time: limits.negative_time.map_or(default.negative_time, |span| span.0),
            ..default
        }
    }

    /// Trust for the signalling server.
    pub(crate) fn client_tls(&self) -> Result<ClientTls, Failure> {
        let tls = self.authorities.as_deref().map_or_else(ClientTls::native, ClientTls::with_authorities);
        tls.map_err(|error| Failure::work("setting up TLS", error))
    }

    /// The signalling server on the same port: the one of `cdn-node signal` as it is without a configuration.
    pub(crate) fn service(&self, shutdown: &Shutdown) -> Option<Service> {
        self.signal.then(|| Service::new(sluicegate_p2p::signal::Config::default(), shutdown.clone()))
    }

    /// The folder of files that are served where nothing else is.
    pub(crate) fn public(&self) -> Option<&Path> {
        let usual = Path::new(PUBLIC);
        self.public.as_deref().or_else(|| usual.is_dir().then_some(usual))
    }

    /// What the log says of the origin.
    pub(crate) fn origin(&self) -> String {
        match &self.media {
            Some(folder) => folder.display().to_string(),
            None if self.base_url.is_empty() && self.upstream.is_empty() => {
                "none: set media, BASE_URL or UPSTREAM".to_owned()
            }
            None => [self.base_url.as_slice(), &self.upstream].concat().join(" "),
        }
    }
}

/// A URL of http or https.
fn web(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests;
