//! Nodes and the signalling server as programs, and Chromium on the page that one of them serves.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::turn::{TurnServer, USER};
use sluicegate_testbed::{api, soon, until};
use tempfile::TempDir;
use tokio::process::Command;

const VID: &str = "testvideo01";
const FIRST: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const SECOND: &str = "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb";
/// Segments of the film: seven of pictures, seven of sound.
const SEGMENTS: u64 = 14;

/// Fourteen seconds of a test picture of some kind and a tone, in segments of two seconds.
async fn film(ffmpeg: &Path, picture: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(VID)).unwrap();
    let picture = format!("{picture}=size=640x360:rate=25:duration=14 -c:v libx264 -preset ultrafast -b:v 3M -g 50");
    let tone = "sine=frequency=440:duration=14 -c:a aac -frag_duration 2000000";
    for (source, itag) in [(picture.as_str(), 134), (tone, 140)] {
        let path = folder.path().join(VID).join(format!("{itag}.mp4"));
        let options = "-pix_fmt yuv420p -movflags frag_keyframe+empty_moov+default_base_moof+global_sidx";
        let mut command = Command::new(ffmpeg);
        command.args(["-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i"]).args(source.split(' '));
        command.args(options.split(' ')).arg(&path).stdin(Stdio::null()).kill_on_drop(true);
        let output = soon("a film", command.output()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}

async fn signal() -> (Program, String) {
    let mut program = Program::start("cdn-node", &["signal", "--listen", "127.0.0.1:0"]);
    let address = program.address().await;
    (program, address)
}

/// A node under the names that existing nodes are configured with.
async fn node(uid: &str, signal: &str, folder: &TempDir, more: &str) -> (Program, String) {
    let config = folder.path().join(format!("{uid}.toml"));
    std::fs::write(&config, more).unwrap();
    let mut command = Command::new(built("cdn-node"));
    command.args(["-p", "0", "-h", "127.0.0.1"]).arg("--media").arg(folder.path()).arg("--config").arg(config);
    command.env("ID", uid).env("WS_ADDR", format!("ws://{signal}/uid/"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = Program::spawn("cdn-node", &mut command);
    let address = program.address().await;
    (program, address)
}

/// Waits until a node's channel to a peer is open.
async fn meets(address: &str, uid: &str) {
    let is_open = |peers: &Value| peers["Peers"][uid]["DataChannelStatus"]["State"] == "open";
    until("an open channel", || async { is_open(&api::get(address, "/peers").await).then_some(()) }).await;
}

/// Chromium takes no part on loopback: nodes announce the address of the default route, if there is one.
fn has_network() -> bool {
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // From the range for documentation; connecting sends nothing.
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let has = routed.is_ok_and(|address| !IpAddr::is_loopback(&address.ip()));
    if !has {
        let _ = writeln!(std::io::stdout(), "ignored: no network beside loopback");
    }
    has
}

async fn state(browser: &mut Browser) -> Value {
    let shown = browser.value("JSON.stringify(player.state)").await;
    serde_json::from_str(shown.as_str().unwrap_or_default()).unwrap_or_default()
}

async fn bytes_of(browser: &mut Browser, uid: &str) -> u64 {
    browser.value(&format!("player.swarm.peers.get('{uid}')?.bytes ?? 0")).await.as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_plays_ten_seconds_from_two_nodes_of_which_one_is_killed() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    if !has_network() {
        return;
    }
    let folder = film(&ffmpeg, "testsrc2").await;
    let (_signal, signal) = signal().await;
    // Slow enough that the page is still fetching when the second one goes.
    let slow = "[swarm]\npeer_upload = '400 KiB'\n";
    let (_first, address) = node(FIRST, &signal, &folder, slow).await;
    let (second, _) = node(SECOND, &signal, &folder, slow).await;
    meets(&address, SECOND).await;
    let mut browser = Browser::open(&chromium, &format!("http://{address}/play/{VID}")).await;
    browser.until(&format!("player.swarm.peers.get('{SECOND}')?.bytes > 300_000 && player.state.verified > 2")).await;
    second.kill().await;
    browser.until("player.video.currentTime > 10").await;
    let all = browser.until(&format!("player.state.appended === {SEGMENTS}")).await;
    assert_eq!(all, true);
    let state = state(&mut browser).await;
    assert_eq!((&state["verified"], &state["wrong"], &state["unverified"]), (&SEGMENTS.into(), &0.into(), &0.into()));
    let (first, second) = (bytes_of(&mut browser, FIRST).await, bytes_of(&mut browser, SECOND).await);
    assert!(first > 1_000_000 && second > 300_000, "{first} {second}");
    // The node has let go of the one that vanished.
    let is_gone = |peers: Value| peers["Peers"].as_object().is_some_and(|peers| !peers.contains_key(SECOND));
    until("the end of the killed one", || async { is_gone(api::get(&address, "/peers").await).then_some(()) }).await;
    // The page shows them, and pictures were decoded.
    let shown = browser.value("document.getElementById('peers').innerText").await;
    assert!(shown.as_str().unwrap().contains(FIRST) && shown.as_str().unwrap().contains(SECOND), "{shown}");
    let decoded = browser.value("player.video.getVideoPlaybackQuality().totalVideoFrames").await.as_u64().unwrap();
    assert!(decoded >= 200, "{decoded}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sends_other_bytes_is_distrusted() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    if !has_network() {
        return;
    }
    let (right, wrong) = (film(&ffmpeg, "testsrc2").await, film(&ffmpeg, "testsrc").await);
    let (_signal, signal) = signal().await;
    let (_first, address) = node(FIRST, &signal, &right, "").await;
    let (_second, _) = node(SECOND, &signal, &wrong, "").await;
    meets(&address, SECOND).await;
    let mut browser = Browser::open(&chromium, &format!("http://{address}/play/{VID}")).await;
    browser.until(&format!("player.state.appended === {SEGMENTS}")).await;
    let state = state(&mut browser).await;
    assert_eq!(state["verified"], SEGMENTS);
    assert!(state["wrong"].as_u64().unwrap() >= 1, "{state}");
    assert_eq!(browser.value(&format!("player.swarm.distrusted.has('{SECOND}')")).await, true);
    assert_eq!(browser.value(&format!("player.swarm.distrusted.has('{FIRST}')")).await, false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_asks_its_peers_before_the_origin() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = film(&ffmpeg, "testsrc2").await;
    let (_signal, signal) = signal().await;
    let (_first, first) = node(FIRST, &signal, &folder, "").await;
    let (_second, second) = node(SECOND, &signal, &folder, "[swarm]\nask_peers = true\n").await;
    meets(&second, FIRST).await;
    let hash = |address: String, index: u64| async move {
        let path = format!("/video/{VID}/134/{index}.sha256");
        let answer = api::request("GET", &address, &path).await.filter(|answer| answer.status == 200).unwrap();
        String::from_utf8(answer.body).unwrap()
    };
    // What the first has in memory comes from there; what it has not, from the origin.
    let expected = [hash(first.clone(), 0).await, hash(first.clone(), 1).await];
    for index in 0..2 {
        assert_eq!(hash(second.clone(), index).await, expected[usize::try_from(index).unwrap()]);
    }
    let metric = |name: &'static str| {
        let second = second.clone();
        async move {
            let metrics = api::request("GET", &second, "/metrics").await.unwrap();
            let metrics = String::from_utf8(metrics.body).unwrap();
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned);
            line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_default()
        }
    };
    assert_eq!(metric("sluicegate_p2p_fetches_total{outcome=\"done\"}").await, 2);
    assert!(metric("sluicegate_p2p_received_bytes_total").await > 500_000);
    hash(second.clone(), 3).await;
    assert_eq!(metric("sluicegate_p2p_fetches_total{outcome=\"failed\"}").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_nobody_reaches_has_a_relay() {
    let Some(coturn) = find(Peer::Coturn) else { return };
    let turn = TurnServer::start(&coturn).await;
    let (name, password) = USER;
    for server in [turn.address.to_string(), format!("turn:{}?transport=tcp", turn.address)] {
        let folder = tempfile::tempdir().unwrap();
        let (_signal, signal) = signal().await;
        let login = format!("server = '{server}'\nusername = '{name}'\ncredential = '{password}'");
        let relayed = format!("[swarm.turn]\n{login}\nrelay_only = true\n");
        let (mut first, address) = node(FIRST, &signal, &folder, &relayed).await;
        first.says("relay on the TURN server").await;
        let (_second, _) = node(SECOND, &signal, &folder, "[swarm]\nlisten = ['127.0.0.1:0']\n").await;
        meets(&address, SECOND).await;
    }
}
