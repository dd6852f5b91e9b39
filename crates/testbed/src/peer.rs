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
    /// The distribution's Python with GStreamer and its `webrtcbin`.
    GStreamer,
    /// The same Python with GStreamer's RTSP server and encoders.
    GstRtspServer,
    /// coturn, a TURN server.
    Coturn,
    /// Flashphoner's Web SDK: the folder that has its versions as packages.
    WebSdk,
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::NewFfmpeg => "new ffmpeg (imageio_ffmpeg)",
            Self::Chromium => "chromium",
            Self::Curl => "curl",
            Self::GStreamer => "gstreamer with webrtcbin and Python bindings",
            Self::GstRtspServer => "GStreamer's RTSP server with Python bindings (gir1.2-gst-rtsp-server-1.0)",
            Self::Coturn => "coturn",
            Self::WebSdk => "Web SDK (npm)",
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
            Self::GStreamer => {
                let python = PathBuf::from("/usr/bin/python3");
                let script = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstWebRTC', '1.0')\n\
                    from gi.repository import Gst, GstWebRTC; Gst.init(None)\n\
                    elements = ('webrtcbin', 'nicesrc', 'avdec_h264', 'avdec_h265', 'opusdec', 'vp8enc', 'opusenc')\n\
                    assert all(Gst.ElementFactory.find(name) for name in elements)";
                let output = Command::new(&python).args(["-c", script]).output().ok()?;
                output.status.success().then_some(python)
            }
            Self::GstRtspServer => {
                let python = PathBuf::from("/usr/bin/python3");
                let script = "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n\
                    from gi.repository import Gst, GstRtspServer; Gst.init(None)\n\
                    elements = ('x264enc', 'x265enc', 'avenc_aac', 'alawenc', 'opusenc', 'rtph264pay', 'rtph265pay')\n\
                    assert all(Gst.ElementFactory.find(name) for name in elements)";
                let output = Command::new(&python).args(["-c", script]).output().ok()?;
                output.status.success().then_some(python)
            }
            Self::Coturn => on_path("turnserver"),
            Self::WebSdk => crate::websdk::locate(),
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
