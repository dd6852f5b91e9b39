//! WebRTC over a link that loses one packet in twenty, 50 ms there and back: what is lost comes again in time.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sluicegate_netsim::{Net, Profile, Side};
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::{soon, until};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::webrtc::{CLIENT, call};

pub(crate) const LINK: Profile = Profile::CLEAN.with_delay(Duration::from_millis(25)).with_loss_ppm(50_000);
/// Seconds that are watched; a longer run than that of every day is asked for by this variable, and tells what it saw.
const WATCHED: &str = "SLUICEGATE_LOSSY_SECONDS";
const SECONDS: u64 = 15;
/// Where the upstream listens, in its own namespace.
pub(crate) const UPSTREAM: &str = "10.77.0.1:8440";

/// Watches what plays for some seconds. A freeze is Chromium's own: it lasts three pictures' time and 150 ms more.
const WATCH: &str = "
    globalThis.outbound = async () => {
        const stats = [...(await pc.getStats()).values()];
        return stats.find((entry) => entry.type === 'outbound-rtp' && entry.kind === 'video') ?? {};
    };
    globalThis.stalled = 0;
    globalThis.watchCamera = async () => {
        for (let [frames, since] = [0, performance.now()]; ; await new Promise((done) => setTimeout(done, 20))) {
            const {framesEncoded} = await outbound();
            if (frames && framesEncoded > frames) stalled = Math.max(stalled, performance.now() - since);
            if (framesEncoded > frames) [frames, since] = [framesEncoded, performance.now()];
        }
    };
    globalThis.watch = async (seconds) => {
        const sleep = (time) => new Promise((done) => setTimeout(done, time));
        const look = async () => {
            const [video, audio] = [await inbound('video'), await inbound('audio')];
            return {video, audio, frozen: 1000 * video.totalFreezesDuration, at: performance.now()};
        };
        const first = await look();
        let [last, longest, apart] = [first, 0, []];
        while (last.at < first.at + 1000 * seconds) {
            await sleep(100);
            const next = await look();
            longest = Math.max(longest, next.frozen - last.frozen);
            apart.push(next.audio.estimatedPlayoutTimestamp - next.video.estimatedPlayoutTimestamp);
            last = next;
        }
        const more = (kind, key) => last[kind][key] - first[kind][key];
        return {
            seconds: (last.at - first.at) / 1000, longest, decoded: more('video', 'framesDecoded'),
            freezes: more('video', 'freezeCount'), frozen: last.frozen - first.frozen, energy: more('audio', 'totalAudioEnergy'),
            lost: more('video', 'packetsLost'), nacks: more('video', 'nackCount'), plis: more('video', 'pliCount'),
            again: more('video', 'retransmittedPacketsReceived'), repeats: last.video.rtxSsrc, dropped: more('video', 'framesDropped'),
            concealed: more('audio', 'concealedSamples') / more('audio', 'totalSamplesReceived'),
            received: more('video', 'packetsReceived'),
            apart: apart.sort((a, b) => a - b)[apart.length >> 1],
            delay: more('video', 'jitterBufferDelay') / more('video', 'jitterBufferEmittedCount'),
        };
    };
    true";

/// What [`WATCH`] sees in as long as is asked for.
async fn watched(viewer: &mut Browser) -> Value {
    let asked = std::env::var(WATCHED).ok().and_then(|seconds| seconds.parse().ok());
    let seconds = asked.unwrap_or(SECONDS);
    viewer.value(&format!("watch({seconds}).then((seen) => globalThis.seen = seen), true")).await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let seen = viewer.until("globalThis.seen").await;
    if asked.is_some() {
        let _ = writeln!(std::io::stdout(), "{seen}");
    }
    seen
}

/// The link, or `None` with a line that says why where this machine does not permit it.
pub(crate) async fn net(seed: u64) -> Option<Net> {
    let made = Net::new(seed, LINK).await;
    let required = std::env::var("SLUICEGATE_PEERS").as_deref() == Ok("required");
    if made.is_err() && !required {
        let _ = writeln!(std::io::stdout(), "ignored: no network namespaces");
        return None;
    }
    Some(made.unwrap())
}

pub(crate) fn run(net: &Net, name: &str, program: &Path, arguments: &[&str]) -> Program {
    let mut command = net.command(Side::A, &program.display().to_string());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Program::spawn(name, &mut command)
}

pub(crate) async fn upstream(net: &Net) -> (Program, TempDir) {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().display().to_string();
    let arguments = ["--listen", UPSTREAM, "--open", "--state-dir", &folder];
    let mut upstream = run(net, "upstream", &built("upstream"), &arguments);
    upstream.address().await;
    (upstream, state)
}

/// A page of the upstream in a browser at the other end of the link.
pub(crate) async fn page(net: &Net, chromium: &Path) -> Browser {
    let mut command = net.command(Side::B, &chromium.display().to_string());
    // The camera is for secure pages only.
    command.arg(format!("--unsafely-treat-insecure-origin-as-secure=http://{UPSTREAM}"));
    let dial = async |devtools: SocketAddr| {
        assert!(matches!(devtools.ip(), IpAddr::V4(ip) if ip.is_loopback()));
        net.connect(Side::B, devtools).unwrap()
    };
    let mut browser = Browser::open_with(command, dial, &format!("http://{UPSTREAM}/healthz")).await;
    browser.until("location.pathname === '/healthz' && document.readyState === 'complete'").await;
    assert_eq!(browser.value(CLIENT).await, true);
    assert_eq!(browser.value(WATCH).await, true);
    browser
}

/// Publishes 2 Mbit/s, ten packets a picture, at the upstream's own end.
fn encoder(net: &Net, ffmpeg: &Path) -> Program {
    let url = format!("http://{UPSTREAM}/live/room/a.flv");
    let arguments = "-loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440 \
        -c:v libx264 -preset ultrafast -tune zerolatency -b:v 2M -minrate 2M -maxrate 2M -bufsize 400k -g 25 -c:a aac -f flv";
    let arguments: Vec<&str> = arguments.split_whitespace().chain([url.as_str()]).collect();
    run(net, "ffmpeg", ffmpeg, &arguments)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_behind_loss_sees_and_hears() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    let (Some(_curl), Some(net)) = (find(Peer::Curl), net(5).await) else { return };
    let _upstream = upstream(&net).await;
    let _publisher = encoder(&net, &ffmpeg);
    let mut viewer = page(&net, &chromium).await;
    assert_eq!(call(&mut viewer, "play", &format!("http://{UPSTREAM}/whep/room/a")).await, true);
    viewer.until("inbound('video').then(({framesDecoded}) => framesDecoded > 25)").await;
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
    let seen = watched(&mut viewer).await;
    let number = |key: &str| Value::as_f64(&seen[key]).unwrap_or(f64::NAN);
    // A path that loses packets is not taken for a narrow one.
    let [skips, left_out] = [
        counter(&net, "sluicegate_webrtc_skips_total").await,
        counter(&net, "sluicegate_webrtc_frames_left_out_total").await,
    ];
    assert!(skips == 0.0 && left_out == 0.0, "{skips} {left_out} {seen}");
    assert!(number("decoded") >= 0.9 * 25.0 * number("seconds"), "{seen}");
    assert!(number("longest") <= 500.0, "{seen}");
    assert!(number("energy") > 0.001, "{seen}");
    // What sound was lost is made up by the browser: it asks for pictures only.
    assert!(number("concealed") <= 0.1, "{seen}");
    // Pictures were lost, asked for and sent again on a source of their own, so that none had to be begun anew.
    assert!(number("nacks") > 0.0 && number("again") > 0.0 && number("repeats") > 0.0, "{seen}");
    assert!(number("again") >= 0.8 * number("lost") && number("plis") <= 1.0, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_behind_loss_gets_what_it_asks_for() {
    let (Some(python), Some(ffmpeg)) = (find(Peer::GStreamer), find(Peer::Ffmpeg)) else { return };
    let (Some(_curl), Some(net)) = (find(Peer::Curl), net(7).await) else { return };
    let _upstream = upstream(&net).await;
    let _publisher = encoder(&net, &ffmpeg);
    let live = async || Some(counter(&net, "sluicegate_hub_publishers").await).filter(|count| *count > 0.0);
    until("a stream", live).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chain/scripts/webrtcbin.py");
    let mut player = net.command(Side::B, &python.display().to_string());
    player.arg(script).args(["play", &format!("http://{UPSTREAM}/whep/room/a"), "250"]).stdin(Stdio::null());
    let mut player = player.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(player.stdout.take().unwrap()).lines();
    let mut packets = Value::Null;
    while let Some(line) = soon("webrtcbin", lines.next_line()).await.unwrap() {
        let track: Option<Value> = line.strip_prefix("packets ").and_then(|track| serde_json::from_str(track).ok());
        // Pictures have more packets than sound.
        packets = track.filter(|track| track["pushed"].as_u64() > packets["pushed"].as_u64()).unwrap_or(packets);
    }
    assert!(soon("webrtcbin", player.wait()).await.unwrap().success());
    let number = |key: &str| packets[key].as_f64().unwrap();
    // 250 pictures, ten packets each, of which one in twenty was lost on the way and came again.
    assert!(number("pushed") >= 2_000.0 && number("repeated") >= 0.02 * number("pushed"), "{packets}");
    assert!(number("lost") <= 0.01 * number("pushed"), "{packets}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_behind_loss_plays_as_flv() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::NewFfmpeg)) else { return };
    let Some(net) = net(9).await else { return };
    let _upstream = upstream(&net).await;
    let mut camera = page(&net, &chromium).await;
    assert_eq!(call(&mut camera, "publish", &format!("http://{UPSTREAM}/whip/room/a")).await, true);
    camera.value("watchCamera(), true").await;
    let url = format!("http://{UPSTREAM}/live/room/a.flv");
    // 15 s of the fake camera, decoded as they come. Its times say how long nothing was to be seen.
    let mut decode = net.command(Side::A, &ffmpeg.display().to_string());
    decode.args(["-hide_banner", "-loglevel", "warning", "-xerror", "-i", &url, "-map", "0:v", "-t", "15"]);
    decode.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let output = soon("ffmpeg", decode.stderr(Stdio::piped()).output()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let times = times(&String::from_utf8_lossy(&output.stdout));
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    let sent = camera.value("outbound()").await;
    // On a busy machine the camera itself stalls; that is no freeze of the network's.
    let stalled = camera.value("stalled").await.as_f64().unwrap() / 1_000.0;
    assert!(longest <= 0.5_f64.max(stalled + 0.1), "{longest} {stalled} {times:?}");
    let encoded = sent["framesEncoded"].as_u64().unwrap();
    assert!(times.len() as u64 + 30 >= encoded, "{} of {encoded} pictures, {sent}", times.len());
    // Asked for, and sent again on a source of its own.
    assert!(sent["nackCount"].as_u64() > Some(0) && sent["retransmittedPacketsSent"].as_u64() > Some(0), "{sent}");
}

/// The times of pictures in ffmpeg's list of them, in seconds.
fn times(list: &str) -> Vec<f64> {
    let base = list.lines().find_map(|line| line.strip_prefix("#tb 0: ")?.split_once('/')).unwrap();
    let tick: f64 = base.0.parse::<f64>().unwrap() / base.1.parse::<f64>().unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(tick * line.split(',').nth(2)?.trim().parse::<f64>().ok()?)).collect()
}

/// A counter of the upstream, by its name.
pub(crate) async fn counter(net: &Net, name: &str) -> f64 {
    let arguments = ["--silent", "--max-time", "5", &format!("http://{UPSTREAM}/metrics")];
    let output = soon("curl", net.command(Side::A, "curl").args(arguments).output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_default()
}

/// A stream of 2 Mbit/s on a link of 1: pictures go on from key frame to key frame, and the sound throughout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_on_a_narrow_link_goes_from_key_frame_to_key_frame() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    let (Some(_curl), Some(net)) = (find(Peer::Curl), net(3).await) else { return };
    net.set_profile(Profile { rate: Some(1_000_000), queue_bytes: 64 * 1024, ..LINK.with_loss_ppm(0) });
    let _upstream = upstream(&net).await;
    let _publisher = encoder(&net, &ffmpeg);
    let mut viewer = page(&net, &chromium).await;
    assert_eq!(call(&mut viewer, "play", &format!("http://{UPSTREAM}/whep/room/a")).await, true);
    viewer.until("inbound('video').then(({framesDecoded}) => framesDecoded > 5)").await;
    let skips = async || Some(counter(&net, "sluicegate_webrtc_skips_total").await).filter(|skips| *skips >= 3.0);
    until("skips", skips).await;
    let seen = viewer.value("watch(8)").await;
    let number = |key: &str| Value::as_f64(&seen[key]).unwrap_or(f64::NAN);
    assert!(number("decoded") >= 10.0 && number("energy") > 0.0, "{seen}");
}
