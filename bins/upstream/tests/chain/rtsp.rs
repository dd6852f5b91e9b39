//! RTSP at the public host: players by TCP and UDP, under the access rules.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use sluicegate_testbed::media::{self, Decoded, decode_uneven as decode_flv, publish};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, soon, until};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::{SITE, STREAM, Site, Upstream};

/// An upstream with a port for RTSP, that port, and the folder of its configuration.
pub(crate) async fn start(more: &str) -> (Upstream, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    std::fs::write(&path, format!("[rtsp]\nlisten = '127.0.0.1:0'\nudp_port = 0\n{more}")).unwrap();
    let flags = ["--config", path.to_str().unwrap()];
    let mut upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &flags).await;
    let port = upstream.program.says("listening on rtsp://").await.trim_end_matches('/').to_owned();
    (upstream, port, folder)
}

/// Decodes two seconds; how many pictures and sounds came, and what ffmpeg complained about.
pub(crate) async fn decode(ffmpeg: &Path, url: &str, by: &str) -> (usize, usize, String) {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "warning", "-xerror", "-rtsp_transport", by, "-i", url]);
    command.args(["-map", "0", "-t", "2", "-f", "framemd5", "-"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = soon(url, command.output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    (count("0,"), count("1,"), String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Publishes the sample without end, on the connection.
fn publish_by_rtsp(ffmpeg: &Path, url: &str) -> Program {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]).arg(media::sample());
    command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", url]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn("ffmpeg", &mut command)
}

async fn plays(ffmpeg: &Path, url: &str, by: &str) {
    let (pictures, sounds, complaints) = decode(ffmpeg, url, by).await;
    assert!(
        complaints.is_empty() && pictures >= 45 && sounds >= 80,
        "{url} by {by}: {pictures}, {sounds}, {complaints}"
    );
}

#[tokio::test]
async fn ffmpeg_plays_by_tcp_and_udp() {
    for peer in [Peer::Ffmpeg, Peer::NewFfmpeg] {
        let Some(ffmpeg) = find(peer) else { return };
        let (upstream, port, _folder) = start("").await;
        let _publisher = publish(&ffmpeg, &upstream.url("http", "/live/cams/hall.flv"));
        let url = format!("rtsp://{port}/live/cams/hall");
        tokio::join!(plays(&ffmpeg, &url, "tcp"), plays(&ffmpeg, &url, "udp"));
    }
}

#[tokio::test]
async fn gstreamer_plays_by_tcp_and_udp() {
    let (Some(ffmpeg), Some(python)) = (find(Peer::Ffmpeg), find(Peer::GstRtspServer)) else { return };
    let (upstream, port, _folder) = start("").await;
    let _publisher = publish(&ffmpeg, &upstream.url("http", "/live/cams/hall.flv"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chain/scripts/rtsp_player.py");
    for by in ["tcp", "udp"] {
        let mut command = Command::new(&python);
        command.arg(&script).args([&format!("rtsp://{port}/live/cams/hall"), by, "50"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut player = Program::spawn("rtspsrc", &mut command);
        player.says("decoded ").await;
        assert!(!player.said().contains("fault"), "{by}: {}", player.said());
    }
}

#[tokio::test]
async fn a_sites_stream_is_asked_for_by_its_player() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let (upstream, port, _folder) = start("").await;
    let _site = Site::with_stream(&upstream).await;
    assert_eq!(api::stream(&upstream.address, STREAM).await["state"], "offered");
    // Also without `live/`.
    plays(&ffmpeg, &format!("rtsp://{port}/{STREAM}"), "tcp").await;
    let offered = || async { (api::stream(&upstream.address, STREAM).await["state"] == "offered").then_some(()) };
    until("the end of the site's push", offered).await;
}

#[tokio::test]
async fn the_token_is_the_password_of_any_user() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let (upstream, port, _folder) = start("[access]\nplay_token = 'look'\n").await;
    let _publisher = publish(&ffmpeg, &upstream.url("http", "/live/cams/hall.flv"));
    for url in [format!("rtsp://me:look@{port}/live/cams/hall"), format!("rtsp://{port}/live/cams/hall?token=look")] {
        plays(&ffmpeg, &url, "tcp").await;
    }
    for url in [format!("rtsp://me:wrong@{port}/live/cams/hall"), format!("rtsp://{port}/live/cams/hall")] {
        let (pictures, _, complaints) = decode(&ffmpeg, &url, "tcp").await;
        assert!(pictures == 0 && complaints.contains("401"), "{complaints}");
    }
}

/// Begins a relay by the API and waits until it is in this state.
async fn relay(upstream: &Upstream, direction: &str, stream: &str, target: &str, state: &str) -> Value {
    let body = json!({ "direction": direction, "stream": stream, "target": target }).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = api::send("POST", &upstream.address, "/api/v1/relays", &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let begun: Value = serde_json::from_slice(&answer.body).unwrap();
    let path = format!("/api/v1/relays/{}", begun["id"]);
    until(state, || async { Some(api::get(&upstream.address, &path).await).filter(|relay| relay["state"] == state) })
        .await
}

#[tokio::test]
async fn relays_go_from_host_to_host() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let ((here, port, _a), (there, other, _b)) = tokio::join!(start(""), start(""));
    let _publisher = publish(&ffmpeg, &here.url("http", "/live/cams/hall.flv"));
    api::until_stream(&here.address, "cams/hall", "live").await;
    let pushed = format!("rtsp://{other}/live/copies/pushed");
    relay(&here, "push", "cams/hall", &pushed, "PUBLISHING").await;
    let pulled = relay(&there, "pull", "copies/pulled", &format!("rtsp://{port}/live/cams/hall"), "PLAYING").await;
    assert_eq!((&pulled["protocol"], &pulled["attempts"]), (&"rtsp".into(), &1.into()));
    plays(&ffmpeg, &pushed, "tcp").await;
    plays(&ffmpeg, &format!("rtsp://{other}/live/copies/pulled"), "tcp").await;
    // A name that is taken there is told.
    let refused = relay(&there, "push", "copies/pulled", &format!("rtsp://{port}/live/cams/hall"), "RETRYING").await;
    assert!(refused["reason"].as_str().unwrap_or_default().contains("403"), "{refused}");
}

/// What of a reason tells how the certificate is trusted.
fn fingerprint(reason: &str) -> String {
    let (_, rest) = reason.split_once("put #").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_by_tls_is_pulled_by_a_site_and_by_a_relay_when_its_certificate_is_named() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["camera".to_owned()]).unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.display(), key.display());
    let more = format!(
        "listen_tls = '127.0.0.1:0'\n[access]\nplay_token = 'look'\n[tls]\ncertificate = '{certificate}'\nkey = '{key}'\n"
    );
    let ((mut camera, plain, _a), (here, _, _b)) = tokio::join!(start(&more), start(""));
    let port = camera.program.says("listening on rtsps://").await.trim_end_matches('/').to_owned();
    let _publisher = publish_by_rtsp(&ffmpeg, &format!("rtsp://{plain}/live/cams/hall"));
    let url = format!("rtsps://me:look@{port}/live/cams/hall");

    let refused = relay(&here, "pull", "copies/relay", &url, "RETRYING").await;
    let named = format!("{url}#{}", fingerprint(refused["reason"].as_str().unwrap()));
    let pulled = relay(&here, "pull", "copies/named", &named, "PLAYING").await;
    assert_eq!(pulled["protocol"], "rtsps");
    let good = Decoded { pictures: 50, complaints: String::new() };
    assert_eq!(decode_flv(&ffmpeg, &here.url("http", "/live/copies/named.flv"), 50).await, good);

    // A site has it from its configuration, where it is pulled without viewers, or from its command line.
    let path = folder.path().join("site.toml");
    std::fs::write(&path, format!("[streams.'cams/door']\nsource = '{url}'\nalways = true\n")).unwrap();
    let mut site = Site::dial(&here, &["--config", path.to_str().unwrap()]);
    let told = site.program.says("shows a certificate that is not trusted").await;
    assert_eq!(format!("{url}#{}", fingerprint(&told)), named);
    drop(site);
    let _site = Site::dial(&here, &["--stream", &format!("cams/door={named}")]);
    api::until_site(&here.address, SITE).await;
    assert_eq!(decode_flv(&ffmpeg, &here.url("http", &format!("/live/{STREAM}.flv")), 50).await, good);
}

#[tokio::test]
async fn the_plugins_route_pushes_a_sites_stream_by_rtsp() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let (upstream, port, _folder) = start("").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("downstream.toml");
    let text = format!(
        "site = 'cam-7'\npush_targets = ['rtsp://{port}']\n[[upstreams]]\nurl = '{}'\n\
         [streams.'cams/door']\nsource = 'file:{}'\n",
        upstream.url("ws", ""),
        media::sample().display()
    );
    std::fs::write(&path, text).unwrap();
    let state = folder.path().display().to_string();
    let _site = Program::start("downstream", &["--config", path.to_str().unwrap(), "--state-dir", &state]);
    api::until_site(&upstream.address, SITE).await;
    let target = format!("rtsp://{port}/copies/door");
    for (route, target) in [("rtsp", target.clone()), ("erwscascade", format!("{target}2"))] {
        let query = format!("/{route}/api/push?streamPath=cams/door&target={target}");
        let path = format!("/erwscascade/httpproxy/?cid=cam-7&httpPath={query}");
        let answer = api::request("GET", &upstream.address, &path).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "ok\n".to_owned()));
        plays(&ffmpeg, &target, "tcp").await;
    }
}
