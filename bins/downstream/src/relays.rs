//! Relays that are kept over a restart, in `relays.json` of the state folder.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Relays, Retry, Spec};
use sluicegate_launch::Failure;

/// One relay in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    stream: String,
    target: String,
    /// -1 for ever, 0 never, else a count.
    repush: i64,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    /// Changes when the layout does.
    version: u32,
    relays: Vec<Saved>,
}

/// Begins what was saved, and saves what is to be kept from now on.
pub(crate) fn keep(relays: &Relays, state: &Path) -> Result<(), Failure> {
    let path = state.join("relays.json");
    let document = load(&path).map_err(|error| Failure::work(path.display().to_string(), error))?;
    for saved in &document.relays {
        begin(relays, saved);
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

fn begin(relays: &Relays, saved: &Saved) {
    let Ok(stream) = StreamName::parse(&saved.stream) else {
        return tracing::warn!(stream = saved.stream, "a saved relay has no stream name");
    };
    let retry = u32::try_from(saved.repush).map_or(Retry::Always, Retry::Times);
    if let Err(error) = relays.push(Spec { saved: true, ..Spec::push(stream, &saved.target, retry) }) {
        tracing::warn!(stream = saved.stream, target = saved.target, %error, "a saved relay was not begun");
    }
}

impl From<&Spec> for Saved {
    fn from(spec: &Spec) -> Self {
        let repush = match spec.retry {
            Retry::Always => -1,
            Retry::Times(times) => i64::from(times),
        };
        Self { stream: spec.stream.to_string(), target: spec.target.clone(), repush }
    }
}

fn load(path: &PathBuf) -> io::Result<Document> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Document::default()),
        Err(error) => Err(error),
    }
}

/// Written beside and renamed, so that a crash leaves the old file or the new one.
fn store(path: &Path, document: &Document) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let fresh = path.with_extension("json.new");
    let mut file = std::fs::File::create(&fresh)?;
    serde_json::to_writer_pretty(&mut file, document).map_err(io::Error::other)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}
