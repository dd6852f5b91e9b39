//! Who may publish: one at a time, unless told otherwise; and an encoder may come back as another one.

use std::path::Path;
use std::process::Stdio;

use sluicegate_testbed::media::{Decoded, decode, publish};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, until};
use tokio::process::Command;

use crate::stage::Upstream;

const NAME: &str = "a/b";

/// Publishes a synthetic picture and tone, encoded by these options.
fn encode(ffmpeg: &Path, options: &str, url: &str) -> Program {
    let mut command = Command::new("bash");
    let sources = "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000";
    let line = format!("exec {} -hide_banner -loglevel error -re {sources} {options} -f flv {url}", ffmpeg.display());
    command.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn("ffmpeg", &mut command)
}

#[tokio::test]
async fn the_second_is_refused() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let url = upstream.url("http", "/live/a/b.flv");
    let _first = publish(&ffmpeg, &url);
    let first = api::until_stream(&upstream.address, NAME, "live").await;
    let mut second = publish(&ffmpeg, &url);
    assert_ne!(second.ended().await, Some(0), "{}", second.said());
    let answer = api::request("POST", &upstream.address, "/live/a/b.flv").await.unwrap();
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 409, "{said}");
    assert!(answer.head.contains("application/problem+json") && said.contains(NAME), "{said}");
    let still = api::stream(&upstream.address, NAME).await;
    assert_eq!((&still["state"], &still["published_since"]), (&first["state"], &first["published_since"]));
}

#[tokio::test]
async fn the_second_takes_over_where_that_is_configured() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    std::fs::write(&path, "replace_publisher = true\n").unwrap();
    let more = ["--config", path.to_str().unwrap()];
    let upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
    let url = upstream.url("http", "/live/a/b.flv");
    let mut first = publish(&ffmpeg, &url);
    api::until_stream(&upstream.address, NAME, "live").await;
    let _second = publish(&ffmpeg, &url);
    assert_ne!(first.ended().await, Some(0), "{}", first.said());
    assert_eq!(decode(&ffmpeg, &url, 25).await, Decoded { pictures: 25, complaints: String::new() });
}

#[tokio::test]
async fn an_encoder_comes_back_with_other_codecs_and_its_viewer_goes_on() {
    let (Some(ffmpeg), Some(curl)) = (find(Peer::NewFfmpeg), find(Peer::Curl)) else { return };
    let upstream = Upstream::start().await;
    let url = upstream.url("http", "/live/a/b.flv");
    let avc = "-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac";
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a libopus";
    let first = encode(&ffmpeg, avc, &url);
    let has = |codec: &'static str| {
        let address = upstream.address.clone();
        async move {
            let stream = api::stream(&address, NAME).await;
            (stream["state"] == "live" && stream["tracks"].to_string().contains(codec)).then_some(())
        }
    };
    until("the first codecs", || has("avc1")).await;

    let mut viewer = Program::spawn("curl", &mut records(&curl, &url));
    let watched = |stream: &serde_json::Value| stream["bytes_out"].as_u64() > Some(20_000);
    let seen = || async { watched(&api::stream(&upstream.address, NAME).await).then_some(()) };
    until("the viewer's first second", seen).await;
    first.kill().await;
    let _second = encode(&ffmpeg, hevc, &url);
    until("the other codecs", || has("hvc1")).await;
    assert_eq!(api::stream(&upstream.address, NAME).await["viewers"]["http-flv"], 1);
    assert_eq!(decode(&ffmpeg, &url, 25).await, Decoded { pictures: 25, complaints: String::new() });
    assert!(viewer.is_running(), "{}", viewer.said());
}

/// A viewer that takes what comes, as it comes.
fn records(curl: &Path, url: &str) -> Command {
    let mut command = Command::new(curl);
    command.args(["--silent", "--no-buffer", "--output", "/dev/null", url]).stdin(Stdio::null()).kill_on_drop(true);
    command
}
