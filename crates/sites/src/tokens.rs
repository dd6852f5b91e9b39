//! Tokens of sites: made and revoked on the command line, verified by the running server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::Error;
use crate::error::check_site_id;

/// Tokens of one site that are valid at once: the old and the new while it changes.
pub const MAX_TOKENS: usize = 2;
/// How often the running server looks at the file.
const LOOK: Duration = Duration::from_millis(300);
const PREFIX: &str = "sg_";

/// SHA-256 of a token, in hexadecimal.
pub type TokenHash = String;

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Tells tokens apart in lists: the first eight digits of the hash.
    pub id: String,
    hash: TokenHash,
    /// When it was made, seconds since 1970.
    pub made: u64,
}

type Table = BTreeMap<String, Vec<Entry>>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    /// Changes when the layout does.
    version: u32,
    sites: Table,
}

/// The tokens in `tokens.json` of a state folder.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    table: watch::Sender<Table>,
    seen: Mutex<Option<SystemTime>>,
}

impl Tokens {
    /// Opens the tokens of a state folder; the file need not exist.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("tokens.json");
        let tokens = Self { path, table: watch::Sender::default(), seen: Mutex::new(None) };
        tokens.reload()?;
        Ok(tokens)
    }

    /// Whether any site has a token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.borrow().is_empty()
    }

    /// All sites with their tokens.
    #[must_use]
    pub fn list(&self) -> BTreeMap<String, Vec<Entry>> {
        self.table.borrow().clone()
    }

    /// Makes a token of 256 random bits for a site. It is shown now and never again: only its hash is kept.
    ///
    /// # Errors
    /// The site has two already, its id is none, or the file cannot be written.
    pub fn add(&self, site: &str) -> Result<String, Error> {
        check_site_id(site)?;
        let mut bits = [0; 32];
        OsRng.try_fill_bytes(&mut bits).map_err(|error| self.failed(std::io::Error::other(error)))?;
        let token = format!("{PREFIX}{}", hex(&bits));
        let hash = hash(&token);
        let made = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.change(|table| {
            let entries = table.entry(site.to_owned()).or_default();
            if entries.len() >= MAX_TOKENS {
                return Err(Error::TooManyTokens { site: site.to_owned(), limit: MAX_TOKENS });
            }
            let id = hash.get(..8).unwrap_or_default().to_owned();
            entries.push(Entry { id, hash, made });
            Ok(())
        })?;
        Ok(token)
    }

    /// Revokes one token of a site, or all of them; returns how many.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn revoke(&self, site: &str, id: Option<&str>) -> Result<usize, Error> {
        let mut revoked = 0;
        self.change(|table| {
            if let Some(entries) = table.get_mut(site) {
                let before = entries.len();
                entries.retain(|entry| id.is_some_and(|id| entry.id != id));
                revoked = before.saturating_sub(entries.len());
            }
            table.retain(|_, entries| !entries.is_empty());
            Ok(())
        })?;
        Ok(revoked)
    }

    /// Whose token this is, and its hash for [`Tokens::revoked`].
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<(String, TokenHash)> {
        // A lookup by hash needs no comparison in constant time: nobody can aim at a hash.
        let hash = hash(token);
        let table = self.table.borrow();
        let owner = table.iter().find(|(_, entries)| entries.iter().any(|entry| entry.hash == hash));
        owner.map(|(site, _)| (site.clone(), hash))
    }

    /// Waits until a token is no longer valid.
    pub async fn revoked(&self, hash: &TokenHash) {
        let has = |table: &Table| table.values().flatten().any(|entry| entry.hash == *hash);
        // The sender is `self`, so waiting cannot fail.
        let _ = self.table.subscribe().wait_for(|table| !has(table)).await;
    }

    /// Notices what other processes change, until it is dropped.
    pub async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.modified() != *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
                && let Err(error) = self.reload()
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "tokens were not read again");
            }
        }
    }

    fn modified(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path).and_then(|data| data.modified()).ok()
    }

    fn reload(&self) -> Result<(), Error> {
        let modified = self.modified();
        let document = self.read()?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = modified;
        self.table.send_if_modified(|table| {
            let changed = *table != document.sites;
            *table = document.sites;
            changed
        });
        Ok(())
    }

    fn read(&self) -> Result<Document, Error> {
        match std::fs::read(&self.path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| Error::Damaged { path: self.path.clone(), source })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Document::default()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Changes the file under a lock, against the newest state of it, so that two processes do not undo each other.
    fn change(&self, change: impl FnOnce(&mut Table) -> Result<(), Error>) -> Result<(), Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| self.failed(error))?;
        let lock = File::create(folder.join("tokens.lock")).map_err(|error| self.failed(error))?;
        lock.lock().map_err(|error| self.failed(error))?;
        let mut document = self.read()?;
        change(&mut document.sites)?;
        document.version = 1;
        self.write(&document).map_err(|error| self.failed(error))?;
        self.reload()
    }

    /// A crash leaves the old file or the new one, never half of one.
    fn write(&self, document: &Document) -> std::io::Result<()> {
        let fresh = self.path.with_extension("json.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(document)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::State { path: self.path.clone(), source }
    }
}

fn hash(token: &str) -> TokenHash {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let token = tokens.add("cam-7").unwrap();
        assert!(token.len() == 67 && tokens.verify(&token).unwrap().0 == "cam-7");
        assert_eq!(tokens.verify("sg_other"), None);
        let stored = std::fs::read_to_string(folder.path().join("tokens.json")).unwrap();
        assert!(!stored.contains(&token), "only the hash is kept");
        assert_eq!(Tokens::open(folder.path()).unwrap().list(), tokens.list());
        assert_eq!(tokens.revoke("cam-7", None).unwrap(), 1);
        assert!(tokens.verify(&token).is_none() && tokens.is_empty());
    }

    #[test]
    fn two_are_valid_at_once_and_one_of_them_can_be_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let (old, new) = (tokens.add("a").unwrap(), tokens.add("a").unwrap());
        assert!(matches!(tokens.add("a"), Err(Error::TooManyTokens { limit: 2, .. })));
        let id = tokens.list()["a"][0].id.clone();
        tokens.revoke("a", Some(&id)).unwrap();
        assert!(tokens.verify(&old).is_none() && tokens.verify(&new).is_some());
        assert!(matches!(tokens.add("a/b"), Err(Error::SiteId { .. })));
    }

    #[tokio::test]
    async fn another_process_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let server = Tokens::open(folder.path()).unwrap();
        let command = Tokens::open(folder.path()).unwrap();
        let token = command.add("a").unwrap();
        let noticed = async {
            while server.verify(&token).is_none() {
                tokio::task::yield_now().await;
            }
            let (_, hash) = server.verify(&token).unwrap();
            command.revoke("a", None).unwrap();
            server.revoked(&hash).await;
        };
        tokio::select! {
            () = server.watch() => {}
            done = tokio::time::timeout(Duration::from_secs(20), noticed) => done.unwrap(),
        }
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokens.json"), "{").unwrap();
        assert!(matches!(Tokens::open(folder.path()), Err(Error::Damaged { .. })));
    }
}
