//! The configuration of the signalling server: one TOML file, and flags that go before it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use sluicegate_launch::{Failure, LogFormat, Secret, Size, Span, TlsFiles, read};
use sluicegate_p2p::signal;

use crate::cli::SignalFlags;

const DEFAULT_PORT: u16 = 5000;
/// Tokens that a path can carry.
const MAX_TOKEN: usize = 128;

/// The configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Address and port to listen on.
    pub(crate) listen: SocketAddr,
    /// Whether anybody may connect on a public address.
    open: bool,
    /// Tokens of which one must stand in the path.
    tokens: Vec<Secret>,
    /// What to log.
    pub(crate) log: String,
    /// How to log.
    pub(crate) log_format: LogFormat,
    /// Certificate and key; without them the listener is plain.
    pub(crate) tls: Option<TlsFiles>,
    /// Limits that differ from the defaults.
    limits: Limits,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    /// Sockets in all, in a room, and of one uid.
    sockets: Option<usize>,
    room_sockets: Option<usize>,
    uid_sockets: Option<usize>,
    /// One message.
    max_message_size: Option<Size>,
    /// Messages that a socket may send at once, and a second.
    burst: Option<u32>,
    rate: Option<u32>,
    /// Between two pings.
    ping: Option<Span>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT),
            open: false,
            tokens: Vec::new(),
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            tls: None,
            limits: Limits::default(),
        }
    }
}

/// Reads the file, lets the flags go before it, and reports all that is wrong together.
pub(crate) fn load(flags: &SignalFlags) -> Result<Config, Failure> {
    let mut config: Config = flags.config.as_deref().map_or_else(|| Ok(Config::default()), read)?;
    let mut faults = Vec::new();
    config.apply(flags, &mut faults);
    config.validate(&mut faults);
    Failure::unless(faults, config)
}

impl Config {
    fn apply(&mut self, flags: &SignalFlags, faults: &mut Vec<String>) {
        self.listen = flags.listen.unwrap_or(self.listen);
        self.open |= flags.open;
        flags.logs.apply(&mut self.log, &mut self.log_format);
        flags.tls.apply(&mut self.tls, faults);
    }

    fn validate(&self, faults: &mut Vec<String>) {
        let fits = |token: &Secret| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            (1..=MAX_TOKEN).contains(&token.reveal().len()) && token.reveal().bytes().all(letters)
        };
        if !self.tokens.iter().all(fits) {
            faults.push(format!("tokens: each must be 1 to {MAX_TOKEN} of letters, digits, _ and -"));
        }
        if self.limits.ping.is_some_and(|ping| ping.0.as_millis() < 100) {
            faults.push("limits.ping must be at least 100ms".to_owned());
        }
        if !self.listen.ip().is_loopback() && !self.open && self.tokens.is_empty() {
            faults.push(format!(
                "listen = {} is a public address, and tokens is empty; set it in the configuration file, or say --open \
                 to let anybody connect, as existing nodes and browsers expect",
                self.listen
            ));
        }
    }

    /// The server's part of it.
    pub(crate) fn service(&self) -> signal::Config {
        let (default, limits) = (signal::Config::default(), &self.limits);
        let sockets = signal::Limits::default();
        signal::Config {
            limits: signal::Limits {
                sockets: limits.sockets.unwrap_or(sockets.sockets),
                room_sockets: limits.room_sockets.unwrap_or(sockets.room_sockets),
                uid_sockets: limits.uid_sockets.unwrap_or(sockets.uid_sockets),
            },
            tokens: self.tokens.iter().map(|token| token.reveal().to_owned()).collect(),
            max_message_bytes: limits.max_message_size.map_or(default.max_message_bytes, Size::bytes),
            burst: limits.burst.unwrap_or(default.burst),
            rate: limits.rate.unwrap_or(default.rate),
            ping: limits.ping.map_or(default.ping, |span| span.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shown;

    #[test]
    fn a_public_address_needs_a_token_or_a_word() {
        let public = Some("0.0.0.0:5000".parse().unwrap());
        let refused = load(&SignalFlags { listen: public, ..SignalFlags::default() }).unwrap_err().to_string();
        assert!(refused.contains("--open") && refused.contains("tokens"), "{refused}");
        assert!(load(&SignalFlags { listen: public, open: true, ..SignalFlags::default() }).is_ok());
    }

    #[test]
    fn the_shipped_example_is_taken_and_its_secrets_are_masked() {
        let config: Config = toml::from_str(include_str!("../../../../docs/examples/signal.toml")).unwrap();
        assert_eq!(config.service().tokens.len(), 1);
        assert!(!shown(&config).unwrap().contains(&config.service().tokens[0]));
    }
}
