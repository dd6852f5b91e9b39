//! House rules that lints do not know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{program, root};
use crate::error::Error;

/// Which layer each package stands in; a package may depend on lower layers only.
const LAYERS: [(&str, u8); 28] = [
    ("media", 0),
    ("flv", 1),
    ("fmp4", 1),
    ("cascade", 1),
    ("rtp", 1),
    ("sound", 1),
    ("hub", 2),
    ("net", 2),
    ("netsim", 2),
    ("rtc-driver", 2),
    ("launch", 3),
    ("writers", 3),
    ("ws-stream", 4),
    ("rtmp", 4),
    ("rtsp", 4),
    ("onvif", 4),
    ("http-proxy", 4),
    ("sites", 4),
    ("api", 4),
    ("m7s", 4),
    ("p2p", 4),
    ("webrtc-relay", 4),
    ("wcs", 4),
    ("upstream", 5),
    ("downstream", 5),
    ("cdn-node", 5),
    ("fuzz", 6),
    ("testbed", 6),
];
/// What protocol crates must not know: time, tasks, sockets and logs.
const IMPURE: [&str; 4] = ["tokio", "hyper", "tracing", "socket2"];
/// Lines of a source file, at most.
const MAX_LINES: usize = 500;
/// Lines of code that a crate has at least; less is a crate without a purpose.
const MIN_CRATE_LINES: usize = 20;

/// Checks the whole tree and reports all breaches together.
pub(crate) fn run() -> Result<(), Error> {
    let mut breaches = Vec::new();
    dependencies(&mut breaches)?;
    files(&root(), &mut breaches);
    if breaches.is_empty() { Ok(()) } else { Err(Error::Untidy(breaches)) }
}

fn dependencies(breaches: &mut Vec<String>) -> Result<(), Error> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps"];
    let output = Command::new(program()).args(arguments).current_dir(root()).output();
    let output = output.map_err(|source| Error::Start { program: "cargo".into(), source })?;
    let unreadable = |error: serde_json::Error| Error::Output { what: "cargo metadata", said: error.to_string() };
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(unreadable)?;
    let layers: BTreeMap<String, u8> =
        LAYERS.iter().map(|(name, layer)| (format!("sluicegate-{name}"), *layer)).collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        if lines(&manifest.with_file_name("src")) < MIN_CRATE_LINES {
            breaches.push(format!("{name} is a crate without code"));
        }
        let Some(layer) = layers.get(name) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            if !dependency["kind"].is_null() {
                continue;
            }
            if layers.get(used).is_some_and(|below| below >= layer) {
                breaches.push(format!("{name} depends on {used}, which is not below it"));
            }
            if *layer <= 1 && IMPURE.contains(&used) {
                breaches.push(format!("{name} is a protocol crate and depends on {used}"));
            }
        }
    }
    Ok(())
}

/// Lines of the Rust files below a folder.
fn lines(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let count = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => lines(&path),
        Some(extension) if extension == "rs" => std::fs::read_to_string(&path).map_or(0, |text| text.lines().count()),
        _ => 0,
    };
    entries.map(count).sum()
}

fn files(folder: &Path, breaches: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == "node_modules" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            files(&path, breaches);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            file(&path, &text, breaches);
        }
    }
}

fn file(path: &Path, text: &str, breaches: &mut Vec<String>) {
    let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    if is_rust && !text.starts_with("//!") && !text.starts_with("#!") {
        breaches.push(format!("{shown}: begins without a module doc"));
    }
    if is_rust && text.lines().count() > MAX_LINES {
        breaches.push(format!("{shown}: has more than {MAX_LINES} lines"));
    }
    // The words are put together here so that this file does not hold them.
    let markers = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    for (number, line) in text.lines().enumerate() {
        if let Some(marker) = markers.iter().find(|marker| line.contains(marker.as_str())) {
            breaches.push(format!("{shown}:{}: holds {marker}", number + 1));
        }
    }
}
