//! A camera at the site: asked for its stream while somebody watches at the upstream, and again when it comes back.

use std::path::Path;
use std::process::Stdio;

use sluicegate_testbed::api;
use sluicegate_testbed::media::{Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use tokio::process::Command;

const LAUNCH: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 \
    audiotestsrc is-live=true ! audioconvert ! avenc_aac ! rtpmp4gpay name=pay1 pt=97";

/// A camera at a port, 0 for a free one; and its port.
pub(crate) async fn camera(python: &Path, port: &str) -> (Program, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/rtsp/tests/pull/scripts/server.py");
    let mut command = Command::new(python);
    command.arg(script).args([LAUNCH, "digest", port]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = Program::spawn("camera", &mut command);
    let address = program.says("listening on rtsp://127.0.0.1:").await;
    (program, address.split('/').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_camera_is_shown_and_comes_back() {
    let (Some(ffmpeg), Some(python)) = (find(Peer::Ffmpeg), find(Peer::GstRtspServer)) else { return };
    let (first, port) = camera(&python, "0").await;
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name).display().to_string();
    let mut upstream = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state("upstream")]);
    let address = upstream.address().await;
    let source = format!("cams/door=rtsp://admin:p%40ss@127.0.0.1:{port}/main");
    let dial = format!("ws://{address}");
    let arguments = ["--upstream", &dial, "--site", "gate", "--state-dir", &state("gate"), "--stream", &source];
    let mut site = Program::start("downstream", &arguments);
    api::until_site(&address, "gate").await;
    let url = format!("http://{address}/live/cams/door-gate.flv");
    let good = Decoded { pictures: 50, complaints: String::new() };
    assert_eq!(decode(&ffmpeg, &url, 50).await, good);
    site.says("source stopped: nobody watches").await;
    assert!(!site.said().contains("p%40ss") && site.said().contains("admin:***@"), "{}", site.said());
    first.kill().await;
    let _again = camera(&python, &port).await;
    assert_eq!(decode(&ffmpeg, &url, 50).await, good);
}
