//! Flashphoner's Web SDK, installed by its name from the package registry.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// One test installs, the others wait.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Where the versions of `websdk/package.json` are, as `@flashphoner/websdk` and `websdk-VERSION`; they are installed
/// once per target folder.
pub(crate) fn locate() -> Option<PathBuf> {
    let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("websdk");
    // Tests run in `target/PROFILE/deps`.
    let peers = std::env::current_exe().ok()?.ancestors().nth(3)?.join("peers");
    let installed = peers.join("websdk");
    let lock = std::fs::read(manifest.join("package-lock.json")).ok()?;
    if std::fs::read(installed.join("package-lock.json")).is_ok_and(|have| have == lock) {
        return Some(installed.join("node_modules"));
    }
    std::fs::create_dir_all(&peers).ok()?;
    let fresh = tempfile::tempdir_in(&peers).ok()?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(manifest.join(file), fresh.path().join(file)).ok()?;
    }
    // Nothing of a package is run; only its files are wanted.
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let output = Command::new("npm").args(arguments).current_dir(fresh.path()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    // An older one; or another program's tests were faster, which is as good.
    let _ = std::fs::remove_dir_all(&installed);
    let _ = std::fs::rename(fresh.path(), &installed);
    installed.join("node_modules").is_dir().then(|| installed.join("node_modules"))
}
