//! ffmpeg publishes and plays, old and new, legacy and enhanced; and is the server that we push to and pull from.

use std::path::Path;
use std::process::Stdio;

use sluicegate_hub::relay::{Direction, Relays, Retry, Spec, State, Target};
use sluicegate_hub::{Hub, State as StreamState};
use sluicegate_net::tls::ClientTls;
use sluicegate_rtmp::RtmpTarget;
use sluicegate_testbed::media::{Decoded, decode, publish};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{soon, until};
use tokio::process::Command;

use crate::stage::{Stage, name};

const PICTURES: u32 = 50;

fn good(pictures: u32) -> Decoded {
    Decoded { pictures: pictures.into(), complaints: String::new() }
}

/// Publishes two kinds of a synthetic stream, encoded by these options.
fn encode(ffmpeg: &Path, options: &str, url: &str) -> Program {
    let sources = "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000";
    let line = format!("exec {} -hide_banner -loglevel error -re {sources} {options} -f flv '{url}'", ffmpeg.display());
    shell(&line)
}

fn shell(line: &str) -> Program {
    let mut command = Command::new("bash");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn("ffmpeg", &mut command)
}

async fn until_tracks(hub: &Hub, stream: &str, codecs: &[&str]) {
    until("the tracks", || async {
        let status = hub.stream(&name(stream)).filter(|status| status.state == StreamState::Live)?;
        let have: Vec<_> = status.tracks.iter().map(|track| track.codec).collect();
        (have == codecs).then_some(())
    })
    .await;
}

#[tokio::test]
async fn publishes_and_plays() {
    for peer in [Peer::Ffmpeg, Peer::NewFfmpeg] {
        let Some(ffmpeg) = find(peer) else { return };
        let stage = Stage::start().await;
        let url = stage.url("cams/hall").to_string();
        let mut publisher = publish(&ffmpeg, &url);
        until_tracks(&stage.hub, "cams/hall", &["h264", "aac"]).await;
        assert_eq!(decode(&ffmpeg, &url, PICTURES).await, good(PICTURES), "{peer:?}");
        assert!(publisher.is_running(), "{}", publisher.said());
    }
}

#[tokio::test]
async fn plays_before_anybody_publishes() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let url = stage.url("cams/hall").to_string();
    let (decoded, _publisher) = tokio::join!(decode(&ffmpeg, &url, 25), async {
        until("the player", || async { stage.hub.stream(&name("cams/hall")) }).await;
        stage.publish("cams/hall")
    });
    assert_eq!(decoded, good(25));
}

#[tokio::test]
async fn publishes_and_plays_enhanced_codecs() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25";
    let av1 = "-c:v libsvtav1 -preset 12 -g 25 -svtav1-params lp=1";
    for (options, codecs) in [
        (format!("{hevc} -c:a aac"), ["h265", "aac"]),
        (format!("{hevc} -c:a libopus"), ["h265", "opus"]),
        // It asks first which codecs we know.
        (format!("{hevc} -c:a aac -rtmp_enhanced_codecs hvc1,av01"), ["h265", "aac"]),
        (format!("{av1} -c:a libopus"), ["av1", "opus"]),
    ] {
        let stage = Stage::start().await;
        let url = stage.url("cams/hall").to_string();
        let _publisher = encode(&ffmpeg, &options, &url);
        until_tracks(&stage.hub, "cams/hall", &codecs).await;
        assert_eq!(decode(&ffmpeg, &url, 25).await, good(25), "{options}");
    }
}

/// A port that was free a moment ago, for a program that cannot take a free one by itself.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn relays(stage: &Stage) -> Relays {
    let relays = Relays::new();
    let target = RtmpTarget::new(stage.hub.clone(), ClientTls::native().unwrap(), stage.outputs.clone());
    relays.register(&RtmpTarget::SCHEMES, &(std::sync::Arc::new(target) as std::sync::Arc<dyn Target>));
    relays
}

#[tokio::test]
async fn takes_what_we_push() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let _publisher = stage.publish("cams/hall");
    let url = format!("rtmp://127.0.0.1:{}/live/copy", free_port());
    let relays = relays(&stage);
    let (_, mut standing) = relays.push(Spec::push(name("cams/hall"), &url, Retry::Always)).unwrap();
    // Nobody listens yet: the relay says so and tries again.
    soon("a retry", standing.wait_for(|standing| standing.state == State::Retrying)).await.unwrap();
    let server = format!("{} -hide_banner -loglevel warning -listen 1 -i {url}", ffmpeg.display());
    let mut server = shell(&format!("exec {server} -frames:v {PICTURES} -progress pipe:1 -f null /dev/null"));
    soon("the push", standing.wait_for(|standing| standing.state == State::Publishing)).await.unwrap();
    assert_eq!(server.ended().await, Some(0), "{}", server.said());
    assert!(server.said().contains(&format!("frame={PICTURES}")), "{}", server.said());
}

#[tokio::test]
async fn gives_what_we_pull() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let url = format!("rtmp://127.0.0.1:{}/live/copy", free_port());
    let _server = shell(&format!("exec {} -listen 1 {url}", sluicegate_testbed::media::looped(&ffmpeg)));
    let pull = Spec { direction: Direction::Pull, ..Spec::push(name("cams/copy"), &url, Retry::Always) };
    let relays = relays(&stage);
    let (_, mut standing) = relays.push(pull).unwrap();
    soon("the pull", standing.wait_for(|standing| standing.state == State::Playing)).await.unwrap();
    let url = stage.url("cams/copy").to_string();
    assert_eq!(decode(&ffmpeg, &url, PICTURES).await, good(PICTURES));
}
