//! Every way in with every way out: pictures and sound are decoded, and are as far apart as they were.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::future::join_all;
use serde_json::json;
use sluicegate_testbed::clapper::{self, Claps};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::{PATIENCE, api, until};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::{SITE, Site, Upstream};
use crate::whip::webrtcbin;

/// How far pictures and sound may drift apart on the way, in milliseconds.
const STEP: f64 = 40.0;
/// What each viewer watches: four claps, or three and their edges.
const SECONDS: u32 = 7;

/// The same where the first 5 s are silent.
const LATE_SECONDS: u32 = 13;
/// Pictures and sounds of 5 s.
const FIVE_SECONDS: u64 = 5 * (25 + 47);
/// How many ways in are watched at once.
const AT_ONCE: usize = 2;

const INPUTS: [&str; 10] =
    ["ws", "http", "rtmp", "rtsp", "whip", "site", "pull-flv", "pull-rtmp", "pull-rtsp", "pull-whep"];
const OUTPUTS: [&str; 8] = ["ws.flv", "http.flv", "ws.mp4", "http.mp4", "rtmp", "rtsp-tcp", "rtsp-udp", "whep"];

/// An upstream that listens for everything.
struct Host {
    upstream: Upstream,
    rtmp: String,
    rtsp: String,
}

impl Host {
    async fn start(config: &Path) -> Self {
        let more = ["--config", config.to_str().unwrap()];
        let mut upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
        let rtmp = upstream.program.says("listening on rtmp://").await.trim_end_matches('/').to_owned();
        let rtsp = upstream.program.says("listening on rtsp://").await.trim_end_matches('/').to_owned();
        Self { upstream, rtmp, rtsp }
    }

    /// Where a stream is published or played by a protocol, or by HTTP or WebSocket with an ending.
    fn url(&self, by: &str, name: &str) -> String {
        match by {
            "rtmp" => format!("rtmp://{}/{name}", self.rtmp),
            "rtsp" => format!("rtsp://{}/live/{name}", self.rtsp),
            "whip" | "whep" => self.upstream.url("http", &format!("/{by}/{name}")),
            _ => {
                let (scheme, ending) = by.split_once('.').unwrap();
                self.upstream.url(scheme, &format!("/live/{name}.{ending}"))
            }
        }
    }
}

/// The peers, the clip in both forms, the host that takes and shows it, and another from which that one pulls.
struct Stage {
    ffmpeg: PathBuf,
    /// One that knows Opus in FLV, and WHIP.
    newer: PathBuf,
    python: PathBuf,
    aac: PathBuf,
    opus: PathBuf,
    host: Host,
    origin: Host,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Option<Self> {
        let (ffmpeg, newer, python) = (find(Peer::Ffmpeg)?, find(Peer::NewFfmpeg)?, find(Peer::GStreamer)?);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("upstream.toml");
        let listen = "listen = '127.0.0.1:0'\n";
        std::fs::write(&config, format!("[rtmp]\n{listen}[rtsp]\n{listen}udp_port = 0\n")).unwrap();
        let (host, origin) = (Host::start(&config).await, Host::start(&config).await);
        let aac = clapper::clip(&ffmpeg, folder.path()).await;
        let opus = clapper::with_opus(&ffmpeg, &aac).await;
        Some(Self { ffmpeg, newer, python, aac, opus, host, origin, _folder: folder })
    }

    /// The stream's name at the host.
    fn stream(input: &str) -> String {
        if input == "site" { format!("pairs/site-{SITE}") } else { format!("pairs/{input}") }
    }

    /// Publishes the clip by one way, to this host; what is given runs as long as it is kept.
    async fn publish(&self, host: &Host, input: &str) -> Program {
        let name = Self::stream(input);
        let flv = |url: &str| clapper::publish(&self.ffmpeg, &self.aac, &["-f", "flv", url]);
        match input {
            "ws" => {
                let url = format!("{}?publish=1", host.url("ws.flv", &name));
                clapper::publish_by_websocket(&self.ffmpeg, &self.aac, &url)
            }
            "http" => flv(&host.url("http.flv", &name)),
            "rtmp" => flv(&host.url("rtmp", &name)),
            "rtsp" => {
                let options = ["-f", "rtsp", "-rtsp_transport", "tcp", &host.url("rtsp", &name)];
                clapper::publish(&self.ffmpeg, &self.aac, &options)
            }
            "whip" => clapper::publish(&self.newer, &self.opus, &["-f", "whip", &host.url("whip", &name)]),
            "site" => {
                let site =
                    Site::dial(&host.upstream, &["--stream", &format!("pairs/site=file:{}", self.aac.display())]);
                api::until_site(&host.upstream.address, SITE).await;
                site.program
            }
            pull => {
                let program = flv(&self.origin.url("http.flv", &name));
                api::until_stream(&self.origin.upstream.address, &name, "live").await;
                self.pull(&name, &pull.trim_start_matches("pull-").replace("flv", "http.flv")).await;
                program
            }
        }
    }

    /// Has the host pull a stream from the origin.
    async fn pull(&self, name: &str, by: &str) {
        let mut relay = json!({ "direction": "pull", "stream": name, "target": self.origin.url(by, name) });
        if by == "whep" {
            relay["protocol"] = "whep".into();
        }
        let (address, body) = (&self.host.upstream.address, relay.to_string());
        let headers = [("Content-Type", "application/json")];
        let answer = api::send("POST", address, "/api/v1/relays", &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 201, "{by}: {}", answer.text());
    }

    /// Watches one stream by one way for so many seconds.
    async fn watch(&self, input: &str, output: &str, seconds: u32) -> Result<Claps, String> {
        let name = Self::stream(input);
        let plays = async |options: &[&str]| Claps::decode(&self.newer, options, seconds, None).await;
        if let Some(transport) = output.strip_prefix("rtsp-") {
            return plays(&["-rtsp_transport", transport, "-i", &self.host.url("rtsp", &name)]).await;
        }
        let url = self.host.url(output, &name);
        if output == "whep" {
            let mut player = webrtcbin(&self.python, &["claps", &url, &seconds.to_string()]);
            let output = tokio::time::timeout(PATIENCE, player.output()).await;
            let output = output.map_err(|_| "webrtcbin does not end")?.unwrap();
            let (said, fault) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            return if output.status.success() { Ok(Claps::told(&said)) } else { Err(fault.into_owned()) };
        }
        if !output.starts_with("ws.") {
            return plays(&["-i", &url]).await;
        }
        let mut input = Command::new(built("ws-cat"));
        input.args(["receive", &url]).stderr(Stdio::null());
        Claps::decode(&self.newer, &["-i", "-"], seconds, Some(input)).await
    }

    /// Publishes by one way and watches by all; how far pictures and sound are from where the clip had them.
    async fn row(&self, input: &str, own: f64) -> Vec<Result<Vec<f64>, String>> {
        let _publisher = self.publish(&self.host, input).await;
        let (address, name) = (&self.host.upstream.address, Self::stream(input));
        if input != "site" {
            api::until_stream(address, &name, "live").await;
        }
        let watched = join_all(OUTPUTS.map(|output| self.watch(input, output, SECONDS))).await;
        let drifts = |claps: Claps| Ok(claps.apart()?.into_iter().map(|apart| apart - own).collect());
        watched.into_iter().map(|claps| claps.and_then(drifts)).collect()
    }

    /// How far apart the clip's own pictures and sound are, in milliseconds.
    async fn own(&self, clip: &Path) -> f64 {
        let claps = Claps::decode(&self.newer, &["-i", clip.to_str().unwrap()], SECONDS, None).await.unwrap();
        let apart = claps.apart().unwrap();
        apart[apart.len() / 2]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_sound_stay_in_step_from_every_way_in_to_every_way_out() {
    let Some(stage) = Stage::set().await else { return };
    let (aac, opus) = (stage.own(&stage.aac).await, stage.own(&stage.opus).await);
    let mut table = format!("in \\ out   {}\n", OUTPUTS.map(|output| format!("{output:>9}")).concat());
    let mut faults = String::new();
    for inputs in INPUTS.chunks(AT_ONCE) {
        let rows = inputs.iter().map(|input| stage.row(input, if *input == "whip" { opus } else { aac }));
        for (input, row) in inputs.iter().zip(join_all(rows).await) {
            write!(table, "{input:<10} ").unwrap();
            for (output, drifts) in OUTPUTS.iter().zip(row) {
                let worst = drifts.as_ref().map(|all| all.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())));
                let worst = worst.ok().flatten().unwrap_or(f64::NAN);
                write!(table, "{worst:>9.1}").unwrap();
                if worst.is_nan() || worst.abs() > STEP {
                    writeln!(faults, "{input} to {output}: {drifts:.1?}").unwrap();
                }
            }
            table.push('\n');
        }
    }
    assert!(faults.is_empty(), "sound after pictures, in ms:\n{table}{faults}");
}

/// Its puller gets pictures of more than 5 s at once, and the sound of now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_pulled_long_after_its_key_frame_is_in_step() {
    let Some(stage) = Stage::set().await else { return };
    let (name, origin) = ("pairs/late", &stage.origin);
    let folder = tempfile::tempdir().unwrap();
    let clip = clapper::clip_with(&stage.ffmpeg, folder.path(), 200).await;
    let own = stage.own(&clip).await;
    let _publisher = clapper::publish(&stage.ffmpeg, &clip, &["-f", "flv", &origin.url("http.flv", name)]);
    let old = || async { api::stream(&origin.upstream.address, name).await["frames_in"].as_u64() };
    until("5 s of the stream", || async { old().await.filter(|frames| *frames > FIVE_SECONDS) }).await;
    stage.pull(name, "whep").await;
    api::until_stream(&stage.host.upstream.address, name, "live").await;
    let outputs = ["http.flv", "http.mp4", "whep"];
    let watched = join_all(outputs.map(|output| stage.watch("late", output, LATE_SECONDS))).await;
    for (output, claps) in outputs.iter().zip(watched) {
        let apart = claps.and_then(|claps| claps.from_the_first_beep().apart()).unwrap();
        let in_step = apart.iter().all(|apart| (apart - own).abs() <= STEP);
        assert!(in_step, "{output}: {apart:.1?}, {own:.1} in the clip");
    }
}
