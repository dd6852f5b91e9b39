//! The sections `[rtmp]` and `[rtsp]` of the site's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluicegate_launch::{Failure, Secret};
use sluicegate_net::port::Addresses;
use sluicegate_net::tls::ServerTls;

/// A protocol with ports of its own. Without an address there is no port; pushes and pulls need none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Section {
    /// Where encoders publish and players play.
    pub(crate) listen: Option<SocketAddr>,
    /// The same by TLS, with the certificate below.
    listen_tls: Option<SocketAddr>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// What encoders must show; without it anybody may publish here.
    publish_token: Option<Secret>,
    publish_token_file: Option<PathBuf>,
    /// What players must show.
    play_token: Option<Secret>,
    play_token_file: Option<PathBuf>,
}

/// The tokens of publishers and of players.
pub(crate) struct Tokens {
    publish: Option<Secret>,
    play: Option<Secret>,
}

impl Tokens {
    /// Whether there is no token, or the one there is can be shown.
    pub(crate) fn admit(&self, publishes: bool, shows: impl FnOnce(&str) -> bool) -> bool {
        let token = if publishes { &self.publish } else { &self.play };
        token.as_ref().is_none_or(|token| shows(token.reveal()))
    }
}

impl Section {
    /// Where its ports are.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses { plain: self.listen, secure: self.listen_tls }
    }

    /// Whether encoders can publish here.
    pub(crate) fn listens(&self) -> bool {
        self.addresses() != Addresses::default()
    }

    /// Adds what is wrong with the section of this name.
    pub(crate) fn validate(&self, name: &str, faults: &mut Vec<String>) {
        if let Err(fault) = self.tokens(name) {
            faults.push(fault);
        }
        if self.listen_tls.is_some() && (self.certificate.is_none() || self.key.is_none()) {
            faults.push(format!("{name}.listen_tls needs {name}.certificate and {name}.key"));
        }
    }

    /// The tokens of the section of this name.
    pub(crate) fn tokens(&self, name: &str) -> Result<Tokens, String> {
        let choose = |of: &str, token: &Option<Secret>, file: &Option<PathBuf>| {
            Secret::choose(&format!("{name}.{of}_token"), token.as_ref(), file.as_deref())
        };
        Ok(Tokens {
            publish: choose("publish", &self.publish_token, &self.publish_token_file)?,
            play: choose("play", &self.play_token, &self.play_token_file)?,
        })
    }

    /// The certificate, for `what`.
    pub(crate) fn tls(&self, what: &str) -> Result<Option<ServerTls>, Failure> {
        let files = self.certificate.as_ref().zip(self.key.as_ref());
        let tls = files.map(|(certificate, key)| ServerTls::from_files(certificate, key)).transpose();
        tls.map_err(|error| Failure::work(format!("setting up {what}"), error))
    }
}
