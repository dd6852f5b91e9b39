//! A camera's main and sub stream as variants of one: by name, by what fits a viewer, and by what fits a site's uplink.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use sluicegate_testbed::clapper::{self, Claps};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, until};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::{SITE, STREAM, Upstream};

/// The other variant of [`STREAM`].
const SUB: &str = "cams/door-cam-7:sub";

/// The arguments of an encoder that publishes a camera's two streams: 320x180 at 2 Mbit/s, and 160x90 at a tenth of
/// that, with the same sound.
pub(crate) fn encoder(url: impl Fn(&str) -> String) -> Vec<String> {
    let inputs = "-loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440";
    let codecs = "-map 0:v -map 1:a -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac -f flv";
    let main = "-b:v 2M -minrate 2M -maxrate 2M -bufsize 400k";
    let sub = "-s 160x90 -b:v 150k -minrate 150k -maxrate 150k -bufsize 40k";
    let text = format!("{inputs} {codecs} {main} {} {codecs} {sub} {}", url("main"), url("sub"));
    text.split_whitespace().map(str::to_owned).collect()
}

/// The configuration of a site that pulls both from a camera's port.
pub(crate) fn site(port: &str, folder: &TempDir) -> String {
    let path = folder.path().join("downstream.toml");
    let text = format!(
        "[streams.'cams/door']\nsource = 'rtsp://{port}/live/camera/main'\n\
         variants.sub = 'rtsp://{port}/live/camera/sub'\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A camera, a site that pulls from it, and an upstream.
struct Chain {
    camera: Upstream,
    upstream: Upstream,
    _running: (Program, crate::stage::Site, [TempDir; 2]),
}

impl Chain {
    async fn start(ffmpeg: &Path, config: &str) -> Self {
        Self::start_with(ffmpeg, config, |url| encoder(url)).await
    }

    /// With these arguments of the camera's encoder.
    async fn start_with(ffmpeg: &Path, config: &str, encoder: impl Fn(&dyn Fn(&str) -> String) -> Vec<String>) -> Self {
        let (camera, port, camera_folder) = crate::rtsp::start("").await;
        let arguments = encoder(&|name| camera.url("http", &format!("/live/camera/{name}.flv")));
        let encoder = run("encoder", ffmpeg, &arguments);
        for name in ["camera/main", "camera/sub"] {
            api::until_stream(&camera.address, name, "live").await;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upstream.toml");
        std::fs::write(&path, config).unwrap();
        let flags = ["--config", path.to_str().unwrap()];
        let upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &flags).await;
        let site = crate::stage::Site::dial(&upstream, &["--config", &site(&port, &folder)]);
        api::until_site(&upstream.address, SITE).await;
        Self { camera, upstream, _running: (encoder, site, [camera_folder, folder]) }
    }

    /// A player of some path under `/live/`.
    fn play(&self, ffmpeg: &Path, path: &str) -> Program {
        play_url(ffmpeg, &self.upstream.url("http", &format!("/live/{path}")))
    }

    /// Waits until a stream has viewers and a rate.
    async fn until_measured(&self, name: &str) -> u64 {
        let rate = || async {
            let stream = api::stream(&self.upstream.address, name).await;
            stream["bits_per_second"].as_u64().filter(|_| stream["state"] == "live")
        };
        until(&format!("a rate of {name}"), rate).await
    }

    /// How many watch a stream at the upstream by HTTP-FLV.
    async fn viewers(&self, name: &str) -> u64 {
        api::stream(&self.upstream.address, name).await["viewers"]["http-flv"].as_u64().unwrap_or_default()
    }

    async fn until_viewers(&self, name: &str, count: u64) {
        until(&format!("{count} viewers of {name}"), || async { (self.viewers(name).await == count).then_some(()) })
            .await;
    }

    /// Waits until the one viewer by WHEP watches a stream.
    async fn until_whep(&self, name: &str) {
        until(&format!("a viewer of {name}"), || async {
            (api::stream(&self.upstream.address, name).await["viewers"]["whep"] == 1).then_some(())
        })
        .await;
    }

    /// Waits until nothing is carried any more.
    async fn until_idle(&self) {
        for name in [STREAM, SUB] {
            api::until_stream(&self.upstream.address, name, "offered").await;
        }
        for name in ["camera/main", "camera/sub"] {
            until("an idle camera", || async {
                let stream = api::stream(&self.camera.address, name).await;
                stream["viewers"].as_object().is_some_and(serde_json::Map::is_empty).then_some(())
            })
            .await;
        }
    }
}

fn play_url(ffmpeg: &Path, url: &str) -> Program {
    run(url, ffmpeg, &["-loglevel", "error", "-i", url, "-f", "null", "-"].map(str::to_owned))
}

fn run(name: &str, program: &Path, arguments: &[String]) -> Program {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn(name, &mut command)
}

#[tokio::test]
async fn a_viewer_gets_the_variant_that_it_names_or_that_fits_it() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let chain = Chain::start(&ffmpeg, "").await;
    let shown = api::stream(&chain.upstream.address, STREAM).await;
    let names: Vec<_> = shown["variants"].as_array().unwrap().iter().map(|variant| variant["name"].clone()).collect();
    assert_eq!(names, [STREAM, SUB], "{shown}");
    chain.until_idle().await;

    // By its name, with nothing pulled but it.
    let named = chain.play(&ffmpeg, &format!("{SUB}.flv"));
    let lean = chain.until_measured(SUB).await;
    let main = api::stream(&chain.camera.address, "camera/main").await;
    assert_eq!((&main["viewers"], chain.viewers(SUB).await), (&Value::Object(serde_json::Map::new()), 1));
    // By what fits; the plain stream has no rate yet, so that it fits those only who set no bound.
    let bounded = chain.play(&ffmpeg, &format!("{STREAM}.flv?max_kbps=1000000"));
    chain.until_viewers(SUB, 2).await;
    let plain = chain.play(&ffmpeg, &format!("{STREAM}.flv"));
    let rich = chain.until_measured(STREAM).await;
    assert!(lean < 400_000 && (1_500_000..3_000_000).contains(&rich), "{lean} {rich}");
    let tight = chain.play(&ffmpeg, &format!("{STREAM}.flv?max_kbps=1000"));
    chain.until_viewers(SUB, 3).await;
    let ample = chain.play(&ffmpeg, &format!("{STREAM}.flv?max_kbps=1000000"));
    chain.until_viewers(STREAM, 2).await;
    let asked = chain.play(&ffmpeg, &format!("{STREAM}.flv?variant=sub"));
    chain.until_viewers(SUB, 4).await;

    let refused = api::request("GET", &chain.upstream.address, &format!("/live/{STREAM}.flv?max_kbps=much")).await;
    assert_eq!(refused.unwrap().status, 400);
    for player in [named, bounded, plain, tight, ample, asked] {
        player.kill().await;
    }
    chain.until_idle().await;
}

#[tokio::test]
async fn a_full_uplink_gives_new_viewers_the_sub_stream() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let chain = Chain::start(&ffmpeg, "[uplinks]\nsites.cam-7 = '1 Mbit/s'\n").await;
    // Nobody knows yet what it takes.
    let first = chain.play(&ffmpeg, &format!("{STREAM}.flv"));
    chain.until_measured(STREAM).await;
    // What is carried already costs nothing more.
    let second = chain.play(&ffmpeg, &format!("{STREAM}.flv"));
    chain.until_viewers(STREAM, 2).await;
    first.kill().await;
    second.kill().await;
    chain.until_idle().await;
    let third = chain.play(&ffmpeg, &format!("{STREAM}.flv"));
    chain.until_measured(SUB).await;
    chain.until_viewers(SUB, 1).await;
    // By its name it can be had all the same.
    let insisting = chain.play(&ffmpeg, &format!("{STREAM}.flv?variant=main"));
    chain.until_viewers(STREAM, 1).await;
    for player in [third, insisting] {
        player.kill().await;
    }
}

#[tokio::test]
async fn players_by_rtsp_and_rtmp_choose_by_query() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let mut chain = Chain::start(&ffmpeg, "[rtsp]\nlisten = '127.0.0.1:0'\n[rtmp]\nlisten = '127.0.0.1:0'\n").await;
    for scheme in ["rtmp", "rtsp"] {
        let ready = format!("listening on {scheme}://");
        let port = chain.upstream.program.says(&ready).await.trim_end_matches('/').to_owned();
        for (query, name) in [("?variant=sub", SUB), ("", STREAM), ("?max_kbps=500", SUB)] {
            let player = play_url(&ffmpeg, &format!("{scheme}://{port}/{STREAM}{query}"));
            until(&format!("{scheme} {query}"), || async {
                (api::stream(&chain.upstream.address, name).await["viewers"][scheme] == 1).then_some(())
            })
            .await;
            player.kill().await;
        }
    }
}

/// A viewer by WHEP is moved up when the uplink is no reason against it any more; it is another upstream that pulls, so
/// that what comes out can be told to the millisecond.
#[tokio::test]
async fn pictures_and_sound_stay_in_step_when_a_viewer_is_moved() {
    let (Some(ffmpeg), Some(newer)) = (find(Peer::Ffmpeg), find(Peer::NewFfmpeg)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = clapper::clip(&ffmpeg, folder.path()).await.display().to_string();
    let claps = |url: &dyn Fn(&str) -> String| {
        // Of one size: another makes ffmpeg's filters begin anew, which tells a flash that is none.
        let codec = "-c:a copy -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -f flv";
        let (main, sub) = (url("main"), url("sub"));
        let text = format!("-loglevel error -re -stream_loop -1 -i {clip} {codec} {main} {codec} {sub}");
        text.split_whitespace().map(str::to_owned).collect()
    };
    // Too little for the plain stream, as soon as it is measured.
    let chain = Chain::start_with(&ffmpeg, "[uplinks]\nsites.cam-7 = '1 kbit/s'\n", claps).await;
    let first = chain.play(&ffmpeg, &format!("{STREAM}.flv"));
    chain.until_measured(STREAM).await;
    first.kill().await;
    chain.until_idle().await;

    let copies = Upstream::start().await;
    let target = chain.upstream.url("http", &format!("/whep/{STREAM}"));
    let relay = json!({ "direction": "pull", "stream": "copy", "target": target, "protocol": "whep" }).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = api::send("POST", &copies.address, "/api/v1/relays", &headers, relay.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    chain.until_whep(SUB).await;
    // Before the first reports of its sender the other upstream guesses what belongs together.
    until("some seconds of the copy", || async {
        (api::stream(&copies.address, "copy").await["frames_in"].as_u64() >= Some(500)).then_some(())
    })
    .await;
    let moved = async {
        let insisting = chain.play(&ffmpeg, &format!("{STREAM}.flv?variant=main"));
        chain.until_whep(STREAM).await;
        (insisting, Instant::now())
    };
    let url = copies.url("http", "/live/copy.flv");
    // The first picture of another variant may be nearer to the one before than ffmpeg's output takes.
    let options = ["-i", &url, "-fps_mode", "vfr"];
    let watched = async { (Claps::decode(&newer, &options, 20, None).await, Instant::now()) };
    let ((_insisting, moved), (claps, watched)) = tokio::join!(moved, watched);
    let apart = claps.unwrap().apart().unwrap();
    assert!(moved < watched && apart.len() >= 9 && apart.iter().all(|apart| apart.abs() <= 40.0), "{apart:?}");
}
