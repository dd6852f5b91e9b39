//! Every way in with every way out: pictures and sound are decoded, and are as far apart as they were.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde_json::json;
use sluicegate_testbed::clapper::{self, Claps};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::{PATIENCE, api};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::{SITE, Site, Upstream};
use crate::whip::webrtcbin;

/// How far pictures and sound may drift apart on the way, in milliseconds.
const STEP: f64 = 40.0;
/// What each viewer watches: four claps, or three and their edges.
const SECONDS: u32 = 7;

const INPUTS: [&str; 7] = ["ws", "http", "pull", "site", "rtmp", "rtsp", "whip"];
const OUTPUTS: [&str; 8] = ["ws.flv", "http.flv", "ws.mp4", "http.mp4", "rtmp", "rtsp-tcp", "rtsp-udp", "whep"];

/// The peers, the clip in both forms, and an upstream that listens for everything.
struct Stage {
    ffmpeg: PathBuf,
    /// One that knows Opus in FLV, and WHIP.
    newer: PathBuf,
    python: PathBuf,
    aac: PathBuf,
    opus: PathBuf,
    upstream: Upstream,
    /// Another, which the first pulls from.
    origin: Upstream,
    rtmp: String,
    rtsp: String,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Option<Self> {
        let (ffmpeg, newer, python) = (find(Peer::Ffmpeg)?, find(Peer::NewFfmpeg)?, find(Peer::GStreamer)?);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("upstream.toml");
        let listen = "listen = '127.0.0.1:0'\n";
        std::fs::write(&config, format!("[rtmp]\n{listen}[rtsp]\n{listen}udp_port = 0\n")).unwrap();
        let more = ["--config", config.to_str().unwrap()];
        let mut upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
        let rtmp = upstream.program.says("listening on rtmp://").await.trim_end_matches('/').to_owned();
        let rtsp = upstream.program.says("listening on rtsp://").await.trim_end_matches('/').to_owned();
        let aac = clapper::clip(&ffmpeg, folder.path()).await;
        let opus = clapper::with_opus(&ffmpeg, &aac).await;
        let origin = Upstream::start().await;
        Some(Self { ffmpeg, newer, python, aac, opus, upstream, origin, rtmp, rtsp, _folder: folder })
    }

    /// The stream's name at the upstream.
    fn stream(input: &str) -> String {
        if input == "site" { format!("pairs/site-{SITE}") } else { format!("pairs/{input}") }
    }

    /// Publishes the clip by one way; what is given runs as long as it is kept.
    async fn publish(&self, input: &str) -> Program {
        let (name, up) = (Self::stream(input), &self.upstream);
        let flv = |url: &str| clapper::publish(&self.ffmpeg, &self.aac, &["-f", "flv", url]);
        match input {
            "ws" => clapper::publish_by_websocket(
                &self.ffmpeg,
                &self.aac,
                &up.url("ws", &format!("/live/{name}.flv?publish=1")),
            ),
            "http" => flv(&up.url("http", &format!("/live/{name}.flv"))),
            "pull" => {
                let source = self.origin.url("http", "/live/pairs/source.flv");
                let program = flv(&source);
                api::until_stream(&self.origin.address, "pairs/source", "live").await;
                let relay = json!({ "direction": "pull", "stream": name, "target": source }).to_string();
                let headers = [("Content-Type", "application/json")];
                let answer = api::send("POST", &up.address, "/api/v1/relays", &headers, relay.as_bytes()).await;
                assert_eq!(answer.unwrap().status, 201);
                program
            }
            "site" => {
                let site = Site::dial(up, &["--stream", &format!("pairs/site=file:{}", self.aac.display())]);
                api::until_site(&up.address, SITE).await;
                site.program
            }
            "rtmp" => flv(&format!("rtmp://{}/{name}", self.rtmp)),
            "rtsp" => {
                let url = format!("rtsp://{}/live/{name}", self.rtsp);
                clapper::publish(&self.ffmpeg, &self.aac, &["-f", "rtsp", "-rtsp_transport", "tcp", &url])
            }
            _ => {
                let url = up.url("http", &format!("/whip/{name}"));
                clapper::publish(&self.newer, &self.opus, &["-f", "whip", &url])
            }
        }
    }

    /// Watches one stream by one way.
    async fn watch(&self, input: &str, output: &str) -> Result<Claps, String> {
        let (name, up) = (Self::stream(input), &self.upstream);
        let rtsp = format!("rtsp://{}/live/{name}", self.rtsp);
        let plays = async |options: &[&str]| Claps::decode(&self.newer, options, SECONDS, None).await;
        match output {
            "rtmp" => plays(&["-i", &format!("rtmp://{}/{name}", self.rtmp)]).await,
            "rtsp-tcp" => plays(&["-rtsp_transport", "tcp", "-i", &rtsp]).await,
            "rtsp-udp" => plays(&["-rtsp_transport", "udp", "-i", &rtsp]).await,
            "whep" => {
                let url = up.url("http", &format!("/whep/{name}"));
                let mut player = webrtcbin(&self.python, &["claps", &url, &SECONDS.to_string()]);
                let output = tokio::time::timeout(PATIENCE, player.output()).await;
                let output = output.map_err(|_| "webrtcbin does not end")?.unwrap();
                let said = String::from_utf8_lossy(&output.stdout);
                let fault = String::from_utf8_lossy(&output.stderr);
                if output.status.success() { Ok(Claps::told(&said)) } else { Err(fault.into_owned()) }
            }
            by => {
                let (scheme, ending) = by.split_once('.').unwrap();
                let url = up.url(scheme, &format!("/live/{name}.{ending}"));
                if scheme == "http" {
                    return plays(&["-i", &url]).await;
                }
                let mut input = Command::new(built("ws-cat"));
                input.args(["receive", &url]).stderr(std::process::Stdio::null());
                Claps::decode(&self.newer, &["-i", "-"], SECONDS, Some(input)).await
            }
        }
    }

    /// How far apart the clip's own pictures and sound are, in milliseconds.
    async fn own(&self, clip: &Path) -> f64 {
        let claps = Claps::decode(&self.newer, &["-i", clip.to_str().unwrap()], SECONDS, None).await.unwrap();
        let apart = claps.apart().unwrap();
        apart[apart.len() / 2]
    }
}

/// How far pictures and sound are from where the clip had them, of each clap; first of that which is the furthest.
fn drifts(claps: Result<Claps, String>, own: f64) -> Result<(f64, Vec<f64>), String> {
    let drifts: Vec<f64> = claps?.apart()?.into_iter().map(|apart| apart - own).collect();
    let worst = drifts.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
    Ok((worst.unwrap_or(f64::NAN), drifts))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_sound_stay_in_step_from_every_way_in_to_every_way_out() {
    let Some(stage) = Stage::set().await else { return };
    let own = [stage.own(&stage.aac).await, stage.own(&stage.opus).await];
    let mut table = format!("in \\ out  {}\n", OUTPUTS.map(|output| format!("{output:>9}")).concat());
    let mut faults = String::new();
    for input in INPUTS {
        let _publisher = stage.publish(input).await;
        if input != "site" {
            api::until_stream(&stage.upstream.address, &Stage::stream(input), "live").await;
        }
        let watched = join_all(OUTPUTS.map(|output| stage.watch(input, output))).await;
        write!(table, "{input:<9} ").unwrap();
        for (output, claps) in OUTPUTS.into_iter().zip(watched) {
            match drifts(claps, own[usize::from(input == "whip")]) {
                Ok((drift, all)) => {
                    write!(table, "{drift:>9.1}").unwrap();
                    if drift.abs() > STEP {
                        writeln!(faults, "{input} to {output}: {all:.1?} ms").unwrap();
                    }
                }
                Err(fault) => {
                    table.push_str("        -");
                    writeln!(faults, "{input} to {output}: {fault}").unwrap();
                }
            }
        }
        table.push('\n');
    }
    assert!(faults.is_empty(), "sound after pictures, in ms:\n{table}{faults}");
}
