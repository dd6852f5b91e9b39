//! The configuration: one TOML file, and flags that go before it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluicegate_hub::StreamName;
use sluicegate_launch::{Failure, LogFormat, Secret, read, set};
use sluicegate_sites::relays::RelayConfig;
use sluicegate_sites::{Source, downstream};
use sluicegate_webrtc_relay::Settings;
use url::Url;

use self::limits::Limits;
use crate::cli::Arguments;
use crate::section::Section;

/// The sources of streams that encoders publish by RTMP and by RTSP.
const BY_RTMP: &str = "listen:rtmp";
const BY_RTSP: &str = "listen:rtsp";

/// The configuration of a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The site's id; without one a random one is made and kept.
    pub(crate) site: Option<String>,
    /// The site's name for people.
    pub(crate) name: String,
    /// Folder of the site's state.
    pub(crate) state_dir: PathBuf,
    /// What to log.
    pub(crate) log: String,
    /// How to log.
    pub(crate) log_format: LogFormat,
    /// The upstreams to dial.
    pub(crate) upstreams: Vec<UpstreamConfig>,
    /// The streams to offer, by name.
    pub(crate) streams: BTreeMap<String, StreamConfig>,
    /// The services to offer, by name.
    pub(crate) services: BTreeMap<String, ServiceConfig>,
    /// Limits and times that differ from the defaults.
    pub(crate) limits: Limits,
    /// What answers requests of the m7s plugin's routes.
    pub(crate) m7s: M7s,
    /// URLs below which streams may be pushed when a page asks for it; by default the upstreams.
    pub(crate) push_targets: Option<Vec<Url>>,
    /// RTMP at the site.
    pub(crate) rtmp: Section,
    /// RTSP at the site.
    pub(crate) rtsp: Section,
    /// WebRTC straight from the site.
    pub(crate) webrtc: Settings,
    /// Streams that are copied to other servers, and from them.
    pub(crate) relays: Vec<RelayConfig>,
}

/// How requests of the m7s plugin's routes are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct M7s {
    /// The service that gets every path that is none of the plugin's own.
    pub(crate) default_service: Option<String>,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamConfig {
    pub(crate) url: Url,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    /// Do not verify its certificate.
    #[serde(default)]
    pub(crate) insecure: bool,
    /// Authorities to trust beside the system's (PEM).
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Connections kept open, 1 to 4.
    #[serde(default = "two")]
    pub(crate) connections: usize,
    /// What it speaks.
    #[serde(default)]
    pub(crate) protocol: Protocol,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// Links; without a token also the m7s plugin's protocol, where the upstream knows no links.
    #[default]
    Auto,
    /// Links only.
    Native,
    /// The m7s plugin's protocol only.
    M7s,
}

impl From<Protocol> for downstream::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Auto => Self::Auto,
            Protocol::Native => Self::Native,
            Protocol::M7s => Self::M7s,
        }
    }
}

const fn two() -> usize {
    2
}

/// One stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamConfig {
    #[serde(serialize_with = "login::masked")]
    source: String,
    /// Push it also while nobody watches.
    #[serde(default)]
    pub(crate) always: bool,
    /// Sources of other forms of it, as a camera's sub stream, by the names of the variants.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "login::all_masked")]
    variants: BTreeMap<String, String>,
    /// Who asks a camera or a server for it and its variants; kept out of their URLs.
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    password_file: Option<PathBuf>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceConfig {
    pub(crate) url: Url,
    /// The `Host` that the device gets; by default that of the URL.
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// Do not verify its certificate: most devices sign their own.
    #[serde(default)]
    pub(crate) insecure: bool,
}

/// A source, and where its encoder publishes if it is one that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) source: Source,
    pub(crate) listen: Option<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            site: None,
            name: String::new(),
            state_dir: std::env::var_os("STATE_DIRECTORY").map_or_else(|| "./sluicegate".into(), PathBuf::from),
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            upstreams: Vec::new(),
            streams: BTreeMap::new(),
            services: BTreeMap::new(),
            limits: Limits::default(),
            m7s: M7s::default(),
            push_targets: None,
            rtmp: Section::default(),
            rtsp: Section::default(),
            webrtc: Settings::default(),
            relays: Vec::new(),
        }
    }
}

/// Reads the file, lets the flags go before it, and reports all that is wrong together.
pub(crate) fn load(arguments: &Arguments) -> Result<Config, Failure> {
    let mut config: Config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), read)?;
    let mut faults = Vec::new();
    config.apply(arguments, &mut faults);
    config.validate(&mut faults);
    Failure::unless(faults, config)
}

impl Config {
    fn apply(&mut self, arguments: &Arguments, faults: &mut Vec<String>) {
        self.site = arguments.site.clone().or(self.site.take());
        self.rtmp.listen = arguments.rtmp.or(self.rtmp.listen);
        self.rtsp.listen = arguments.rtsp.or(self.rtsp.listen);
        set(&mut self.state_dir, arguments.state_dir.clone());
        arguments.logs.apply(&mut self.log, &mut self.log_format);
        for url in &arguments.upstream {
            self.upstreams.push(UpstreamConfig {
                url: url.clone(),
                token: None,
                token_file: arguments.token_file.clone(),
                insecure: arguments.insecure,
                ca_file: None,
                connections: two(),
                protocol: Protocol::Auto,
            });
        }
        for pair in &arguments.stream {
            match pair.split_once('=') {
                Some((name, source)) => {
                    self.streams.insert(name.to_owned(), StreamConfig::of(source));
                }
                None => faults.push(format!("--stream {pair}: it must be NAME=SOURCE")),
            }
        }
        for pair in &arguments.service {
            match pair.split_once('=').map(|(name, url)| (name, Url::parse(url))) {
                Some((name, Ok(url))) => {
                    self.services.insert(name.to_owned(), ServiceConfig { url, host: None, insecure: false });
                }
                Some((_, Err(error))) => faults.push(format!("--service {pair}: {error}")),
                None => faults.push(format!("--service {pair}: it must be NAME=URL")),
            }
        }
    }

    fn validate(&self, faults: &mut Vec<String>) {
        self.limits.validate(faults);
        self.rtmp.validate("rtmp", faults);
        self.rtsp.validate("rtsp", faults);
        self.webrtc.validate(faults);
        faults.extend(self.relays.iter().filter_map(|relay| relay.spec().err()));
        if self.upstreams.is_empty() {
            faults.push("no upstream is given; use --upstream URL, or [[upstreams]] in the file".to_owned());
        }
        for upstream in &self.upstreams {
            let url = &upstream.url;
            if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
                faults.push(format!("upstream {url}: the URL must be ws://HOST or wss://HOST"));
            }
            if !(1..=4).contains(&upstream.connections) {
                faults.push(format!("upstream {url}: connections must be 1 to 4"));
            }
            if let Err(fault) = upstream.token() {
                faults.push(format!("upstream {url}: {fault}"));
            }
        }
        if let Some(name) = self.m7s.default_service.as_ref().filter(|name| !self.services.contains_key(*name)) {
            faults.push(format!("m7s.default_service: there is no service {name}"));
        }
        for (name, stream) in &self.streams {
            for variant in stream.variants.keys() {
                if variant == "main" || name.contains(':') {
                    faults.push(format!("stream {name}: its variant {variant} would be the stream itself"));
                }
                if self.streams.contains_key(&format!("{name}:{variant}")) {
                    faults.push(format!("stream {name}: its variant {variant} is a stream of its own, too"));
                }
            }
        }
        for (name, stream) in &self.all_streams() {
            if let Err(error) = StreamName::parse(name) {
                faults.push(format!("stream {name}: {error}"));
            }
            if let Err(fault) = stream.parse() {
                faults.push(format!("stream {name}: {fault}"));
            }
            for (source, key, section) in [(BY_RTMP, "rtmp", &self.rtmp), (BY_RTSP, "rtsp", &self.rtsp)] {
                if stream.source == source && !section.listens() {
                    faults.push(format!(
                        "stream {name}: {source} needs an address; use --{key} ADDRESS, or {key}.listen"
                    ));
                }
            }
        }
    }

    /// The streams, and their variants as streams of their own.
    pub(crate) fn all_streams(&self) -> BTreeMap<String, StreamConfig> {
        let variants = self.streams.iter().flat_map(|(name, stream)| {
            stream.variants.iter().map(move |(variant, source)| (format!("{name}:{variant}"), stream.variant(source)))
        });
        self.streams.clone().into_iter().chain(variants).collect()
    }

    /// The configuration as TOML with secrets masked.
    pub(crate) fn shown(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| Failure::work("printing the configuration", error))
    }

    /// Where encoders publish at the site.
    pub(crate) fn listeners(&self) -> BTreeSet<SocketAddr> {
        self.all_streams().values().filter_map(|stream| stream.parse().ok()?.listen).collect()
    }
}

impl UpstreamConfig {
    /// The site's token at this upstream.
    pub(crate) fn token(&self) -> Result<Option<Secret>, String> {
        Secret::choose("token", self.token.as_ref(), self.token_file.as_deref())
    }
}

impl StreamConfig {
    /// A stream from this source, while somebody watches.
    fn of(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    /// The same device in another form, from this source.
    fn variant(&self, source: &str) -> Self {
        let (user, password, password_file) = (self.user.clone(), self.password.clone(), self.password_file.clone());
        Self { user, password, password_file, ..Self::of(source) }
    }

    /// What the source's text means; `listen:ADDRESS` is the only one that the site's listeners serve.
    pub(crate) fn parse(&self) -> Result<Parsed, String> {
        if [BY_RTMP, BY_RTSP].contains(&self.source.as_str()) {
            return Ok(Parsed { source: Source::Listen, listen: None });
        }
        if let Some(address) = self.source.strip_prefix("listen:") {
            let address =
                address.parse().map_err(|_| format!("{:?} is no address, such as 127.0.0.1:8442", address))?;
            return Ok(Parsed { source: Source::Listen, listen: Some(address) });
        }
        // What is wrong with a fingerprint is known before the camera is wanted.
        if self.source.starts_with("rtsp")
            && let Ok(url) = self.source.parse()
        {
            sluicegate_rtsp::Address::parse(&url).map_err(|error| error.to_string())?;
        }
        match self.source.parse() {
            Ok(Source::Listen) => Err("listen needs an address: listen:127.0.0.1:8442".to_owned()),
            Ok(source) => {
                let (user, password) = (self.user.as_deref(), self.password.as_ref());
                let source = login::with_login(source, user, password, self.password_file.as_ref())?;
                Ok(Parsed { source, listen: None })
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

mod limits;
mod login;
#[cfg(test)]
mod tests;
