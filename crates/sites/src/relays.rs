//! Relays that are configured, and relays that are kept over a restart in `relays.json` of the state folder.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Relays, Retry, Spec};

/// A relay in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// `push` or `pull`.
    pub direction: Way,
    /// The stream here.
    pub stream: String,
    /// The URL of the other side.
    pub target: String,
    /// The protocol, where the URL's scheme does not tell: `whip`, `whep`, `wcs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The stream's name there, for protocols whose URLs do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// How often it is tried again after a failure; -1 is for ever, the default.
    #[serde(default = "for_ever")]
    pub retry: i64,
    /// Pulls while somebody watches only.
    #[serde(default)]
    pub on_demand: bool,
}

/// Which way a relay goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A stream from here is published there.
    #[default]
    Push,
    /// A stream from there is published here.
    Pull,
}

const fn for_ever() -> i64 {
    -1
}

fn retry(times: i64) -> Retry {
    u32::try_from(times).map_or(Retry::Always, Retry::Times)
}

impl RelayConfig {
    /// What is asked for.
    ///
    /// # Errors
    /// Which part is wrong, and how.
    pub fn spec(&self) -> Result<Spec, String> {
        let stream = StreamName::parse(&self.stream).map_err(|error| format!("relay of {}: {error}", self.stream))?;
        if self.retry < -1 {
            return Err(format!("relay of {stream}: retry must be -1, 0 or a count"));
        }
        let direction = if self.direction == Way::Push { Direction::Push } else { Direction::Pull };
        let (protocol, remote) = (self.protocol.clone(), self.remote.clone());
        if self.on_demand && self.direction == Way::Push {
            return Err(format!("relay of {stream}: on_demand is for pulls"));
        }
        let on_demand = self.on_demand;
        Ok(Spec { direction, protocol, remote, on_demand, ..Spec::push(stream, &self.target, retry(self.retry)) })
    }
}

/// Begins the relays of a configuration; those that are wrong are told in the log.
pub fn begin(relays: &Relays, configured: &[RelayConfig]) {
    for relay in configured {
        let spec = match relay.spec() {
            Ok(spec) => spec,
            Err(fault) => {
                tracing::error!(fault, "a relay was not begun");
                continue;
            }
        };
        if let Err(error) = relays.push(spec) {
            tracing::error!(stream = relay.stream, %error, "a relay was not begun");
        }
    }
}

/// One relay in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    stream: String,
    target: String,
    /// -1 for ever, 0 never, else a count.
    repush: i64,
    #[serde(default)]
    direction: Way,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote: Option<String>,
    #[serde(default)]
    on_demand: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    /// Changes when the layout does.
    version: u32,
    relays: Vec<Saved>,
}

/// Begins what was saved, and saves what is to be kept from now on.
///
/// # Errors
/// The file is there and cannot be read; nothing was begun.
pub fn keep(relays: &Relays, state: &Path) -> io::Result<()> {
    let path = state.join("relays.json");
    let document = load(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    for saved in &document.relays {
        resume(relays, saved);
    }
    let (relays, mut changes) = (relays.clone(), relays.changes());
    tokio::spawn(async move {
        let mut known = document;
        while changes.changed().await.is_ok() {
            let fresh = Document { version: 1, relays: relays.saved().iter().map(Saved::from).collect() };
            if fresh.relays == known.relays {
                continue;
            }
            if let Err(error) = store(&path, &fresh) {
                tracing::error!(path = %path.display(), %error, "saved relays cannot be written");
            }
            known = fresh;
        }
    });
    Ok(())
}

fn resume(relays: &Relays, saved: &Saved) {
    let Saved { stream, target, repush, direction, protocol, remote, on_demand } = saved.clone();
    let config = RelayConfig { direction, stream, target, protocol, remote, retry: repush, on_demand };
    let begun = config
        .spec()
        .and_then(|spec| relays.push(Spec { saved: true, ..spec }).map(drop).map_err(|error| error.to_string()));
    if let Err(error) = begun {
        tracing::warn!(stream = saved.stream, error, "a saved relay was not begun");
    }
}

impl From<&Spec> for Saved {
    fn from(spec: &Spec) -> Self {
        let repush = match spec.retry {
            Retry::Always => -1,
            Retry::Times(times) => i64::from(times),
        };
        Self {
            stream: spec.stream.to_string(),
            target: spec.target.clone(),
            repush,
            direction: if spec.direction == Direction::Push { Way::Push } else { Way::Pull },
            protocol: spec.protocol.clone(),
            remote: spec.remote.clone(),
            on_demand: spec.on_demand,
        }
    }
}

fn load(path: &PathBuf) -> io::Result<Document> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Document::default()),
        Err(error) => Err(error),
    }
}

/// Written beside and renamed, so that a crash leaves the old file or the new one. Only its owner may read it: addresses
/// may hold tokens.
fn store(path: &Path, document: &Document) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let fresh = path.with_extension("json.new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    serde_json::to_writer_pretty(&mut file, document).map_err(io::Error::other)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_survive_the_file_and_old_files_are_read() {
        let stream = StreamName::parse("cams/door").unwrap();
        let spec = Spec {
            direction: Direction::Pull,
            protocol: Some("whep".to_owned()),
            ..Spec::push(stream, "https://host/whep/x", Retry::Times(3))
        };
        let text = serde_json::to_string(&Saved::from(&spec)).unwrap();
        let saved: Saved = serde_json::from_str(&text).unwrap();
        assert_eq!(saved, Saved::from(&spec));
        let old: Saved = serde_json::from_str(r#"{"stream":"a","target":"ws://b","repush":-1}"#).unwrap();
        assert_eq!((old.direction, old.protocol), (Way::Push, None));
    }

    #[test]
    fn faults_are_named() {
        let config = |stream: &str, retry| RelayConfig {
            direction: Way::Push,
            stream: stream.to_owned(),
            target: "ws://host".to_owned(),
            protocol: None,
            remote: None,
            retry,
            on_demand: false,
        };
        assert!(config("a b", -1).spec().unwrap_err().contains("a b"));
        assert!(config("a", -2).spec().unwrap_err().contains("-1, 0 or a count"));
        assert_eq!(config("a", -1).spec().unwrap().retry, Retry::Always);
    }
}
