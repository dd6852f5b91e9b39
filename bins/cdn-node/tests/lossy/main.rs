//! Nodes as programs at the ends of a link that loses one packet in twenty, and our page behind it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sluicegate_netsim::{Net, Profile, Side};
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::{soon, until};
use tempfile::TempDir;

const LINK: Profile = Profile::CLEAN.with_delay(Duration::from_millis(10)).with_loss_ppm(50_000);
const VID: &str = "testvideo01";
const FIRST: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const SECOND: &str = "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb";
/// Where the first node and the signalling server listen, and the second.
const SERVER: &str = "10.77.0.1:6060";
const OTHER: &str = "10.77.0.2:6060";
/// Segments of a film, of some 40 KB each.
const SEGMENTS: u64 = 12;
/// Segments of a longer one: SCTP may be silent for seconds after a loss, and what is asked for then comes from the origin.
const MOST: u64 = 60;

/// A test picture, in segments of two seconds.
async fn film(ffmpeg: &Path, segments: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let duration = 2 * segments;
    let source =
        format!("testsrc2=size=320x180:rate=25:duration={duration} -c:v libx264 -preset ultrafast -b:v 160k -g 50");
    let options = "-pix_fmt yuv420p -movflags frag_keyframe+empty_moov+default_base_moof+global_sidx";
    std::fs::create_dir_all(folder.path().join(VID)).unwrap();
    let mut command = tokio::process::Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i"]).args(source.split(' '));
    command.args(options.split(' ')).arg(folder.path().join(VID).join("134.mp4"));
    let output = soon("a film", command.stdin(Stdio::null()).kill_on_drop(true).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// The link, or `None` with a line that says why where this machine does not permit it.
async fn net(seed: u64) -> Option<Net> {
    let made = Net::new(seed, LINK).await;
    let required = std::env::var("SLUICEGATE_PEERS").as_deref() == Ok("required");
    if made.is_err() && !required {
        let _ = writeln!(std::io::stdout(), "ignored: no network namespaces");
        return None;
    }
    Some(made.unwrap())
}

/// A node on one side, which has what the arguments say, and its own folder for its configuration.
async fn node(net: &Net, side: Side, uid: &str, more: &str, arguments: &[&str]) -> (Program, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let host = side.address();
    let text = format!("[swarm]\nid = '{uid}'\nsignal = 'ws://{SERVER}/uid/'\nlisten = ['{host}:0']\n{more}");
    std::fs::write(&config, text).unwrap();
    let mut command = net.command(side, &built("cdn-node").display().to_string());
    command.args(["-p", "6060", "-h", &host.to_string(), "--config"]).arg(config).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = Program::spawn("cdn-node", &mut command);
    program.address().await;
    (program, folder)
}

/// What a node answers to somebody on its own side.
async fn get(net: &Net, side: Side, path: &str) -> Option<String> {
    let address = if side == Side::A { SERVER } else { OTHER };
    let arguments = ["--silent", "--fail", "--max-time", "25", &format!("http://{address}{path}")];
    let output = soon("curl", net.command(side, "curl").args(arguments).output()).await.unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn counter(net: &Net, side: Side, name: &str) -> f64 {
    let text = get(net, side, "/metrics").await.unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_gets_every_byte_from_another() {
    let (Some(ffmpeg), Some(_curl), Some(net)) = (find(Peer::Ffmpeg), find(Peer::Curl), net(11).await) else { return };
    let film = film(&ffmpeg, MOST).await;
    let media = film.path().display().to_string();
    let (_first, _kept) = node(&net, Side::A, FIRST, "", &["--media", &media, "--signal"]).await;
    // Its origin is the first one's HTTP face, at the other end of the link as well.
    let origin = format!("http://{SERVER}/video");
    let arguments = ["--base-url", &origin, "--allow-private"];
    let (_second, _kept) = node(&net, Side::B, SECOND, "ask_peers = true\n", &arguments).await;
    let open = async || get(&net, Side::B, "/peers").await.filter(|peers| peers.contains("\"State\":\"open\""));
    until("an open channel", open).await;
    let mut done = 0.0;
    for index in 0..MOST {
        let path = format!("/video/{VID}/134/{index}.sha256");
        let expected = get(&net, Side::A, &path).await.unwrap();
        let told = until("a segment", async || get(&net, Side::B, &path).await).await;
        assert_eq!(told, expected, "segment {index}");
        done = counter(&net, Side::B, "sluicegate_p2p_fetches_total{outcome=\"done\"}").await;
        if index + 1 >= SEGMENTS && done >= 1.0 {
            break;
        }
    }
    // They came from the peer, those whose question was not lost for long, and were what the origin says they are.
    assert!(done >= 1.0 && net.lost() > 0, "{done} from the peer, {} lost", net.lost());
    assert!(counter(&net, Side::B, "sluicegate_p2p_neighbours_wrong_total").await < 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_gets_every_byte_and_plays() {
    let (Some(ffmpeg), Some(chromium)) = (find(Peer::Ffmpeg), find(Peer::Chromium)) else { return };
    let Some(net) = net(12).await else { return };
    let film = film(&ffmpeg, SEGMENTS).await;
    let media = film.path().display().to_string();
    let (_first, _kept) = node(&net, Side::A, FIRST, "", &["--media", &media, "--signal"]).await;
    let mut command = net.command(Side::B, &chromium.display().to_string());
    // Browsers hash on secure pages only.
    command.arg(format!("--unsafely-treat-insecure-origin-as-secure=http://{SERVER}"));
    let dial = async |devtools: SocketAddr| {
        assert!(matches!(devtools.ip(), IpAddr::V4(ip) if ip.is_loopback()));
        net.connect(Side::B, devtools).unwrap()
    };
    let mut browser = Browser::open_with(command, dial, &format!("http://{SERVER}/play/{VID}")).await;
    browser.until("globalThis.player?.state.appended > 0").await;
    browser.until(&format!("player.state.verified === {SEGMENTS} && player.state.appended === {SEGMENTS}")).await;
    assert_eq!(browser.value("player.state.wrong + player.state.unverified").await, 0);
    browser.until("player.video.currentTime > 4").await;
    assert!(net.lost() > 0);
}
