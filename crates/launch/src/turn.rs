//! The section `turn` of a program whose sessions may need a relay: a TURN server and the account there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluicegate_net::tls::ClientTls;
use sluicegate_rtc_driver::{TurnServer, TurnTransport};

use crate::Secret;
use crate::exit::with_causes;

/// A TURN server that gives this host a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `HOST` or `HOST:PORT` by UDP, or a URI such as `turns:HOST:443?transport=tcp`.
    server: String,
    /// The account's name.
    username: Option<String>,
    credential: Option<Secret>,
    credential_file: Option<PathBuf>,
    /// Instead of `credential`: what coturn calls `static-auth-secret`, from which names and passwords are made.
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    /// Authorities to trust beside the system's, with `turns:`.
    ca_file: Option<PathBuf>,
    /// Trust any certificate, with `turns:`.
    #[serde(default)]
    insecure: bool,
    /// Ask for a relay of IPv6.
    #[serde(default)]
    ipv6: bool,
    /// Announce nothing but the relay.
    #[serde(default)]
    pub relay_only: bool,
}

impl Turn {
    /// The server, with the password or the secret from the file where one is named. `section` is the section's full name.
    ///
    /// # Errors
    /// What is wrong, for the list of faults.
    pub fn server(&self, section: &str) -> Result<TurnServer, String> {
        let choose = |key: &str, inline: &Option<Secret>, file: &Option<PathBuf>| {
            let chosen = Secret::choose(&format!("{section}.{key}"), inline.as_ref(), file.as_deref())?;
            Ok::<_, String>(chosen.map(|secret| secret.reveal().to_owned()))
        };
        let credential = choose("credential", &self.credential, &self.credential_file)?;
        let secret = choose("secret", &self.secret, &self.secret_file)?;
        let read = TurnServer::read(&self.server, self.username.clone(), credential, secret);
        let mut server = read.map_err(|error| format!("{section}: {error}"))?;
        server.ipv6 = self.ipv6;
        if server.transport == TurnTransport::Tls {
            let trust = ClientTls::configured(self.ca_file.as_deref(), self.insecure);
            let trust = trust.map_err(|error| format!("{section}: {}", with_causes(&error)))?;
            server.tls = Some(trust.without_protocol());
        } else if self.insecure || self.ca_file.is_some() {
            return Err(format!("{section}: ca_file and insecure mean nothing without turns:"));
        }
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<TurnServer, String> {
        toml::from_str::<Turn>(text).unwrap().server("webrtc.turn")
    }

    #[test]
    fn a_server_is_trusted_by_its_certificate() {
        let account = "username = 'me'\ncredential = 'p'\n";
        let plain = server(&format!("server = 'turn:a?transport=tcp'\n{account}")).unwrap();
        assert!(plain.transport == TurnTransport::Tcp && plain.tls.is_none());
        let secure = server(&format!("server = 'turns:a:443'\n{account}insecure = true\n")).unwrap();
        assert!(secure.transport == TurnTransport::Tls && secure.tls.is_some());
        for (line, said) in [
            ("server = 'turn:a'\ninsecure = true", "mean nothing without turns:"),
            ("server = 'turns:a'\nca_file = '/nowhere/at/all'", "/nowhere/at/all"),
            ("server = 'turns:a?transport=udp'", "asks for DTLS"),
            ("server = 'a'\nsecret = 's'", "either a credential or a secret"),
        ] {
            let fault = server(&format!("{line}\n{account}")).unwrap_err();
            assert!(fault.starts_with("webrtc.turn: ") && fault.contains(said), "{line}: {fault}");
        }
    }
}
