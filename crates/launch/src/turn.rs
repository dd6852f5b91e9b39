//! The section `turn` of a program whose sessions may need a relay: a TURN server and the account there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// A TURN server that gives this host a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `HOST` or `HOST:PORT`, by UDP.
    pub server: String,
    /// The account's name.
    pub username: Option<String>,
    credential: Option<Secret>,
    credential_file: Option<PathBuf>,
    /// Instead of `credential`: what coturn calls `static-auth-secret`, from which names and passwords are made.
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    /// Announce nothing but the relay.
    #[serde(default)]
    pub relay_only: bool,
}

/// What proves the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnProof {
    /// Its password.
    pub credential: Option<Secret>,
    /// The secret that passwords are made from.
    pub secret: Option<Secret>,
}

impl Turn {
    /// The password or the secret, from the file where one is named. `section` is the section's full name.
    ///
    /// # Errors
    /// What is wrong, for the list of faults.
    pub fn proof(&self, section: &str) -> Result<TurnProof, String> {
        let choose = |key: &str, inline: &Option<Secret>, file: &Option<PathBuf>| {
            Secret::choose(&format!("{section}.{key}"), inline.as_ref(), file.as_deref())
        };
        Ok(TurnProof {
            credential: choose("credential", &self.credential, &self.credential_file)?,
            secret: choose("secret", &self.secret, &self.secret_file)?,
        })
    }
}
