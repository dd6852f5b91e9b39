//! ffmpeg publishes by every way in and decodes every way out, over WebSocket through `ws-cat`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, or says why"
)]

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use sluicegate_hub::{Hub, StreamName, Viewer};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_ws_stream::{Config, Service};
use tokio::process::{Child, Command};

const WS_CAT: &str = env!("CARGO_BIN_EXE_ws-cat");
/// How long ffmpeg may take for two seconds of video.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether ffmpeg is there; its absence fails the test where peers are required.
fn has_ffmpeg() -> bool {
    let found = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    if !found {
        assert!(std::env::var("SLUICEGATE_PEERS").as_deref() != Ok("required"), "no ffmpeg");
        println!("ignored: no ffmpeg");
    }
    found
}

struct Server {
    hub: Hub,
    address: SocketAddr,
}

async fn server() -> Server {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let service = Service::new(hub.clone(), Config::default()).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, listener::Config::default()).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(service.router(), Shutdown::new()));
    Server { hub, address }
}

/// A shell pipeline, so that the pipes between programs are the system's.
fn shell(script: &str) -> Child {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -o pipefail; {script}")]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn output(child: Child) -> Output {
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

/// Test pictures and a tone at real-time pace, for longer than the viewers watch.
fn encode(target: &str) -> String {
    format!(
        "ffmpeg -hide_banner -loglevel error -re -f lavfi -i testsrc=size=320x240:rate=25 -f lavfi -i sine -t 20 \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac -f flv {target}"
    )
}

impl Server {
    async fn until_published(&self, name: &str) {
        let mut viewer = self.hub.subscribe(&StreamName::parse(name).unwrap(), Viewer::by("test"));
        viewer.ready(PATIENCE).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Decodes two seconds of every output; any complaint of the decoder fails.
    async fn decode_all(&self, name: &str) {
        let at = self.address;
        let decode = "ffmpeg -hide_banner -loglevel warning -xerror -i INPUT -t 2 -f null -";
        let by_http = |path: &str| decode.replace("INPUT", &format!("http://{at}{path}"));
        let by_websocket = |path: &str| {
            // ws-cat is ended by the closed pipe when ffmpeg has enough.
            format!("({WS_CAT} receive 'ws://{at}{path}' 2>/dev/null || true) | {}", decode.replace("INPUT", "-"))
        };
        let (flv, mp4) = (format!("/live/{name}.flv"), format!("/live/{name}.mp4"));
        let scripts = [by_http(&flv), by_websocket(&flv), by_http(&mp4), by_websocket(&mp4)];
        let running: Vec<_> = scripts.iter().map(|script| output(shell(script))).collect();
        for (script, output) in scripts.iter().zip(futures_util::future::join_all(running).await) {
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && complaints.is_empty(), "{script}\n{complaints}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_by_websocket() {
    if !has_ffmpeg() {
        return;
    }
    let server = server().await;
    let target = format!("- | {WS_CAT} send 'ws://{}/publish?app=cams&stream=door'", server.address);
    let _publisher = shell(&encode(&target));
    server.until_published("cams/door").await;
    server.decode_all("cams/door").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_by_http() {
    if !has_ffmpeg() {
        return;
    }
    let server = server().await;
    let _publisher = shell(&encode(&format!("http://{}/live/cams/hall.flv", server.address)));
    server.until_published("cams/hall").await;
    server.decode_all("cams/hall").await;
}

#[tokio::test]
async fn a_refusal_is_told_and_fails() {
    let server = server().await;
    let _first = server.hub.publish(&StreamName::parse("a/b").unwrap(), sluicegate_hub::Publish::by("test")).unwrap();
    let output = output(shell(&format!("{WS_CAT} send 'ws://{}/publish?app=a&stream=b'", server.address))).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("409"), "{said}");
}
