//! RTSP at the site: a camera that is asked for its stream while somebody watches at the upstream, and an encoder that comes.

use std::path::Path;
use std::process::Stdio;

use sluicegate_testbed::media::{self, Decoded, decode, decode_uneven};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, soon};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;

const LAUNCH: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 \
    audiotestsrc is-live=true ! audioconvert ! avenc_aac ! rtpmp4gpay name=pay1 pt=97";

/// A camera at a port, 0 for a free one; and its port.
pub(crate) async fn camera(python: &Path, port: &str) -> (Program, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/rtsp/tests/pull/scripts/server.py");
    let mut command = Command::new(python);
    command.arg(script).args([LAUNCH, "digest", port]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = Program::spawn("camera", &mut command);
    let address = program.says("listening on rtsp://127.0.0.1:").await;
    (program, address.split('/').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_camera_is_shown_and_comes_back() {
    let (Some(ffmpeg), Some(python)) = (find(Peer::Ffmpeg), find(Peer::GstRtspServer)) else { return };
    let (first, port) = camera(&python, "0").await;
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name).display().to_string();
    let mut upstream = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state("upstream")]);
    let address = upstream.address().await;
    let source = format!("cams/door=rtsp://admin:p%40ss@127.0.0.1:{port}/main");
    let dial = format!("ws://{address}");
    let arguments = ["--upstream", &dial, "--site", "gate", "--state-dir", &state("gate"), "--stream", &source];
    let mut site = Program::start("downstream", &arguments);
    api::until_site(&address, "gate").await;
    let url = format!("http://{address}/live/cams/door-gate.flv");
    let good = Decoded { pictures: 50, complaints: String::new() };
    assert_eq!(decode(&ffmpeg, &url, 50).await, good);
    site.says("source stopped: nobody watches").await;
    assert!(!site.said().contains("p%40ss") && site.said().contains("admin:***@"), "{}", site.said());
    first.kill().await;
    let _again = camera(&python, &port).await;
    assert_eq!(decode(&ffmpeg, &url, 50).await, good);
}

#[tokio::test]
async fn an_encoder_publishes_at_the_site_and_a_recorder_there_plays() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name).display().to_string();
    let mut upstream = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state("upstream")]);
    let address = upstream.address().await;
    let (config, dial) = (folder.path().join("site.toml"), format!("ws://{address}"));
    std::fs::write(&config, "[rtsp]\npublish_token = 'secret'\n").unwrap();
    let (config, state) = (config.display().to_string(), state("gate"));
    let arguments = ["--upstream", &dial, "--site", "gate", "--state-dir", &state, "--config", &config];
    let more = ["--rtsp", "127.0.0.1:0", "--stream", "cams/hall=listen:rtsp"];
    let mut site = Program::start("downstream", &[&arguments[..], &more].concat());
    let port = site.says("listening on rtsp://").await.trim_end_matches('/').to_owned();
    let [with, without] = ["encoder:secret@", ""].map(|login| format!("rtsp://{login}{port}/cams/hall"));
    let encode = |url: &str| {
        let mut command = Command::new(&ffmpeg);
        command.args(["-hide_banner", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]).arg(media::sample());
        command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", url]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    };
    let refused = soon("a refusal", encode(&without).output()).await.unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401 Unauthorized"), "{refused:?}");
    let _encoder = Program::spawn("encoder", &mut encode(&with));
    api::until_site(&address, "gate").await;
    let good = Decoded { pictures: 50, complaints: String::new() };
    assert_eq!(decode(&ffmpeg, &format!("http://{address}/live/cams/hall-gate.flv"), 50).await, good);
    // ffmpeg asks for UDP first.
    let played = decode(&ffmpeg, &without, 50).await;
    assert!(played.pictures == 50 && played.complaints.ends_with("461 Unsupported Transport"), "{played:?}");
}

/// A message of a stream: its head and body.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    loop {
        text.push(from.read_u8().await.ok()?);
        let Some(head) = text.strip_suffix(b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(head).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        from.read_exact(&mut body).await.ok()?;
        return String::from_utf8([text, body].concat()).ok();
    }
}

/// What a cheap camera makes of an answer to `SETUP`: no channels, another source than that of the packets, and a number
/// with a space behind it.
fn oddly(answer: &str) -> String {
    let odd = answer.split("\r\n").map(|line| match line.split_once(": ") {
        Some(("Transport", _)) => "Transport: RTP/AVP/TCP;unicast;ssrc=0BADCAFE".to_owned(),
        Some(("Session", value)) => format!("Session: {} ; timeout=", value.split(';').next().unwrap()),
        _ => line.to_owned(),
    });
    odd.collect::<Vec<_>>().join("\r\n")
}

/// A camera behind this port whose answers to `SETUP` are odd, and what it is asked: the methods.
async fn odd_camera(port: String) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (own, (heard, methods)) = (listener.local_addr().unwrap().port(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut camera = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
            let heard = heard.clone();
            tokio::spawn(async move {
                while let Some(asked) = message(&mut client).await {
                    heard.send(asked.split(' ').next().unwrap().to_owned()).unwrap();
                    camera.write_all(asked.as_bytes()).await.unwrap();
                    if asked.starts_with("PLAY") {
                        break;
                    }
                    let mut answer = message(&mut camera).await.unwrap();
                    if asked.starts_with("SETUP") && answer.contains(" 200 ") {
                        answer = oddly(&answer);
                    }
                    client.write_all(answer.as_bytes()).await.unwrap();
                }
                let ((mut asks, mut hears), (mut says, mut takes)) = (client.split(), camera.split());
                let asking = async {
                    while let Some(asked) = message(&mut asks).await {
                        // The test may be over.
                        let _ = heard.send(asked.split(' ').next().unwrap().to_owned());
                        takes.write_all(asked.as_bytes()).await.unwrap();
                    }
                };
                tokio::select! {
                    () = asking => {}
                    _ = tokio::io::copy(&mut says, &mut hears) => {}
                }
            });
        }
    });
    (own, methods)
}

#[tokio::test]
async fn a_camera_with_odd_answers_is_shown() {
    let (Some(ffmpeg), Some(python)) = (find(Peer::Ffmpeg), find(Peer::GstRtspServer)) else { return };
    let (_camera, behind) = camera(&python, "0").await;
    let (port, mut methods) = odd_camera(behind).await;
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name).display().to_string();
    let mut upstream = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state("upstream")]);
    let address = upstream.address().await;
    let (source, dial) = (format!("cams/yard=rtsp://admin:p%40ss@127.0.0.1:{port}/main"), format!("ws://{address}"));
    let arguments = ["--upstream", &dial, "--site", "gate", "--state-dir", &state("gate"), "--stream", &source];
    let _site = Program::start("downstream", &arguments);
    api::until_site(&address, "gate").await;
    let good = Decoded { pictures: 50, complaints: String::new() };
    assert_eq!(decode_uneven(&ffmpeg, &format!("http://{address}/live/cams/yard-gate.flv"), 50).await, good);
    // When nobody watches any more, the camera is told.
    let mut asked = Vec::new();
    while asked.last().is_none_or(|method| method != "TEARDOWN") {
        asked.push(soon("a goodbye", methods.recv()).await.unwrap());
    }
    let first = ["DESCRIBE", "DESCRIBE", "SETUP", "SETUP", "PLAY"];
    assert_eq!(asked[..first.len()], first, "the second with a password; pictures and sound");
}
