//! The section `[swarm.turn]`: a TURN server that gives this host a relay.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluicegate_launch::Secret;
use sluicegate_rtc_driver::TurnServer;

/// The section.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    /// `HOST` or `HOST:PORT`, by UDP.
    server: String,
    username: Option<String>,
    credential: Option<Secret>,
    credential_file: Option<PathBuf>,
    /// Instead of `credential`: what coturn calls `static-auth-secret`, from which names and passwords are made.
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    /// Announce nothing but the relay.
    #[serde(default)]
    relay_only: bool,
}

impl Turn {
    /// The server, or what is wrong with the section.
    pub(super) fn server(&self) -> Result<TurnServer, String> {
        let choose = |key, inline: &Option<Secret>, file: &Option<PathBuf>| {
            let chosen = Secret::choose(key, inline.as_ref(), file.as_deref())?;
            Ok::<_, String>(chosen.map(|secret| secret.reveal().to_owned()))
        };
        let credential = choose("swarm.turn.credential", &self.credential, &self.credential_file)?;
        let secret = choose("swarm.turn.secret", &self.secret, &self.secret_file)?;
        TurnServer::read(&self.server, self.username.clone(), credential, secret)
            .map_err(|error| format!("swarm.turn: {error}"))
    }

    pub(super) fn only(&self) -> bool {
        self.relay_only
    }
}
