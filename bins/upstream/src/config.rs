//! The configuration: one TOML file, and flags that go before it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluicegate_api::{Access, Rule};
use sluicegate_launch::{BitRate, Failure, LogFormat, Secret, Span, TlsFiles, read, set};
use sluicegate_sites::relays::RelayConfig;
use sluicegate_sites::upstream::m7s;
use sluicegate_webrtc_relay::Settings;

use self::limits::Limits;
use crate::cli::Server;
use crate::rtmp::Rtmp;
use crate::rtsp::Rtsp;
use crate::wcs::Wcs;

const DEFAULT_PORT: u16 = 8440;

/// The configuration of the public host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Address and port to listen on.
    pub(crate) listen: SocketAddr,
    /// Whether anybody may join, publish, watch and use the API.
    pub(crate) open: bool,
    /// Folder of tokens and other state.
    pub(crate) state_dir: PathBuf,
    /// Whether a new publisher takes the place of a live one instead of being refused.
    pub(crate) replace_publisher: bool,
    /// What to log.
    pub(crate) log: String,
    /// How to log.
    pub(crate) log_format: LogFormat,
    /// Certificate and key; without them the listener is plain.
    pub(crate) tls: Option<TlsFiles>,
    /// Tokens of the areas of the public side.
    pub(crate) access: AccessConfig,
    /// Limits and times that differ from the defaults.
    pub(crate) limits: Limits,
    /// What the uplinks of sites are meant to carry.
    pub(crate) uplinks: Uplinks,
    /// Sites of the m7s plugin.
    pub(crate) m7s: M7s,
    /// WebRTC in and out.
    pub(crate) webrtc: Settings,
    /// RTMP in and out.
    pub(crate) rtmp: Rtmp,
    /// RTSP in and out.
    pub(crate) rtsp: Rtsp,
    /// Streams that are copied to other servers, and from them.
    pub(crate) relays: Vec<RelayConfig>,
    /// Compatibility with Flashphoner WCS.
    pub(crate) wcs: Wcs,
}

/// How sites of the m7s plugin are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct M7s {
    /// Sites that may join without a token.
    cids: Vec<String>,
    /// How long a site may take for an answer.
    deadline: Option<Span>,
}

impl M7s {
    pub(crate) fn config(&self) -> m7s::Config {
        let default = m7s::Config::default();
        let deadline = self.deadline.map_or(default.deadline, |span| span.0);
        m7s::Config { cids: self.cids.clone(), deadline }
    }
}

/// What streams may take of the uplinks of sites before new viewers get leaner variants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Uplinks {
    /// Each site's that is not named; without it no limit.
    each: Option<BitRate>,
    /// Those of some sites, by their ids.
    sites: BTreeMap<String, BitRate>,
}

/// One token an area, here or in a file. An area without a token is open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessConfig {
    api_token: Option<Secret>,
    api_token_file: Option<PathBuf>,
    play_token: Option<Secret>,
    play_token_file: Option<PathBuf>,
    publish_token: Option<Secret>,
    publish_token_file: Option<PathBuf>,
    proxy_token: Option<Secret>,
    proxy_token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT),
            open: false,
            state_dir: std::env::var_os("STATE_DIRECTORY").map_or_else(|| "./sluicegate".into(), PathBuf::from),
            replace_publisher: false,
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            tls: None,
            access: AccessConfig::default(),
            limits: Limits::default(),
            uplinks: Uplinks::default(),
            m7s: M7s::default(),
            webrtc: Settings::default(),
            rtmp: Rtmp::default(),
            rtsp: Rtsp::default(),
            relays: Vec::new(),
            wcs: Wcs::default(),
        }
    }
}

/// Reads the file, lets the flags go before it, and reports all that is wrong together.
pub(crate) fn load(flags: &Server) -> Result<Config, Failure> {
    let mut config: Config = flags.config.as_deref().map_or_else(|| Ok(Config::default()), read)?;
    let mut faults = Vec::new();
    config.apply(flags, &mut faults);
    config.validate(&mut faults);
    Failure::unless(faults, config)
}

impl Config {
    fn apply(&mut self, flags: &Server, faults: &mut Vec<String>) {
        self.listen = flags.listen.unwrap_or(self.listen);
        self.open |= flags.open;
        self.rtmp.listen = flags.rtmp.or(self.rtmp.listen);
        self.webrtc.public_ips.extend(&flags.public_ip);
        set(&mut self.state_dir, flags.state_dir.clone());
        flags.logs.apply(&mut self.log, &mut self.log_format);
        flags.tls.apply(&mut self.tls, faults);
    }

    fn validate(&self, faults: &mut Vec<String>) {
        let access = self.access.resolve(faults);
        self.limits.validate(faults);
        self.webrtc.validate(faults);
        faults.extend(self.relays.iter().filter_map(|relay| relay.spec().err()));
        self.rtmp.validate(self.tls.is_some(), access.publish == Rule::Open && !self.open, faults);
        self.rtsp.validate(self.tls.is_some(), access.publish == Rule::Open && !self.open, faults);
        self.wcs.validate(self.tls.is_some(), faults);
        let listens = [&self.listen].into_iter().chain(self.wcs.addresses());
        let Some(public) = listens.into_iter().find(|address| !address.ip().is_loopback()) else { return };
        if self.open || !faults.is_empty() {
            return;
        }
        let missing: Vec<_> = [("api", &access.api), ("publish", &access.publish), ("proxy", &access.proxy)]
            .into_iter()
            .filter(|(_, rule)| **rule == Rule::Open)
            .map(|(area, _)| format!("access.{area}_token"))
            .collect();
        if !missing.is_empty() {
            faults.push(format!(
                "listen = {public} is a public address, and {} is not set; set it in the configuration file, \
                 or say --open to let anybody in",
                missing.join(", ")
            ));
        }
    }

    /// The hub's limits.
    pub(crate) fn hub(&self) -> sluicegate_hub::Config {
        let Uplinks { each, sites } = &self.uplinks;
        let sites = sites.iter().map(|(site, rate)| (site.clone(), rate.0)).collect();
        let uplinks = sluicegate_hub::Uplinks { each: each.map(|rate| rate.0), sites };
        sluicegate_hub::Config { uplinks, ..self.limits.hub() }
    }

    /// The rules of the areas.
    pub(crate) fn access(&self) -> Access {
        self.access.resolve(&mut Vec::new())
    }

    /// Whether a site without a token may join.
    pub(crate) fn sites_are_open(&self) -> bool {
        self.open || self.listen.ip().is_loopback()
    }

    /// The configuration as TOML with secrets masked.
    pub(crate) fn shown(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| Failure::work("printing the configuration", error))
    }
}

impl AccessConfig {
    fn resolve(&self, faults: &mut Vec<String>) -> Access {
        let mut rule = |key: &str, inline: &Option<Secret>, file: &Option<PathBuf>| match Secret::choose(
            &format!("access.{key}"),
            inline.as_ref(),
            file.as_deref(),
        ) {
            Ok(Some(secret)) => Rule::Token(secret.reveal().to_owned()),
            Ok(None) => Rule::Open,
            Err(fault) => {
                faults.push(fault);
                Rule::Open
            }
        };
        Access {
            api: rule("api_token", &self.api_token, &self.api_token_file),
            play: rule("play_token", &self.play_token, &self.play_token_file),
            publish: rule("publish_token", &self.publish_token, &self.publish_token_file),
            proxy: rule("proxy_token", &self.proxy_token, &self.proxy_token_file),
        }
    }
}

mod limits;
#[cfg(test)]
mod tests;
