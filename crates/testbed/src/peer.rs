//! Programs that others have made, if this machine has them.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A program that tests talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The distribution's ffmpeg.
    Ffmpeg,
    /// The newer ffmpeg that the Python package `imageio_ffmpeg` carries.
    NewFfmpeg,
    /// A headless browser.
    Chromium,
    /// curl.
    Curl,
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::NewFfmpeg => "new ffmpeg (imageio_ffmpeg)",
            Self::Chromium => "chromium",
            Self::Curl => "curl",
        }
    }

    fn locate(self) -> Option<PathBuf> {
        match self {
            Self::Ffmpeg => on_path("ffmpeg"),
            Self::NewFfmpeg => {
                let script = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
                let output = Command::new("python3").args(["-c", script]).output().ok()?;
                let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                (output.status.success() && !path.is_empty()).then(|| PathBuf::from(path))
            }
            Self::Chromium => on_path("chromium").or_else(|| on_path("chromium-browser")),
            Self::Curl => on_path("curl"),
        }
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Finds a peer. Without it this says `ignored: no NAME`, and fails where `SLUICEGATE_PEERS=required`.
#[must_use]
pub fn find(peer: Peer) -> Option<PathBuf> {
    let found = peer.locate();
    if found.is_none() {
        let required = std::env::var("SLUICEGATE_PEERS").as_deref() == Ok("required");
        assert!(!required, "no {}, and SLUICEGATE_PEERS=required", peer.name());
        // Not by `println!`, whose text is shown of failed tests only.
        let _ = writeln!(std::io::stdout(), "ignored: no {}", peer.name());
    }
    found
}
