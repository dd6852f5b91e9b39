//! Our port and our pushes: ffmpeg publishes and plays, servers of others take what we push.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

mod slow;

use bytes::Bytes;
use sluicegate_hub::{Hub, StreamName, Viewer};
use sluicegate_media::Kind;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::{ClientTls, ServerTls};
use sluicegate_rtsp::{Ask, Config, Error, Gate, Listener, Output, Service, push};
use sluicegate_testbed::media::sample;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use url::Url;

const NAME: &str = "cams/hall";

/// Publishers need a token, players none.
struct Publishers;

impl Gate for Publishers {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        !ask.publishes || ask.credentials.prove("p@ss")
    }
}

struct Server {
    hub: Hub,
    output: Output,
    scheme: &'static str,
    port: u16,
    shutdown: Shutdown,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl Server {
    async fn start() -> Self {
        Self::start_with(sluicegate_hub::Config::default(), None).await
    }

    async fn start_with(config: sluicegate_hub::Config, tls: Option<ServerTls>) -> Self {
        let hub = Hub::new(config).unwrap();
        let (output, shutdown) = (Output::new(&hub), Shutdown::new());
        let service = Service::new(hub.clone(), Config::default(), output.clone(), Arc::new(Publishers)).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls, Some(0)).await.unwrap();
        let (scheme, port) = (listener.scheme(), listener.local_addr().port());
        tokio::spawn(service.serve(listener, shutdown.clone()));
        Self { hub, output, scheme, port, shutdown }
    }

    /// The URL for publishers.
    fn publish_url(&self) -> Url {
        format!("{}://cam:p%40ss@127.0.0.1:{}/live/{NAME}", self.scheme, self.port).parse().unwrap()
    }

    fn play_url(&self) -> String {
        format!("{}://127.0.0.1:{}/{NAME}", self.scheme, self.port)
    }

    /// ffmpeg publishes the sample without end.
    async fn published(&self, ffmpeg: &Path) -> Program {
        self.published_by(ffmpeg, &["-rtsp_transport", "tcp"]).await
    }

    async fn published_by(&self, ffmpeg: &Path, options: &[&str]) -> Program {
        let mut command = Command::new(ffmpeg);
        command.args(["-hide_banner", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i"]).arg(sample());
        command.args(["-c", "copy", "-f", "rtsp"]).args(options).arg(self.publish_url().as_str());
        let publisher = spawn("publisher", &mut command);
        self.until_live().await;
        publisher
    }

    async fn until_live(&self) {
        let name = StreamName::parse(NAME).unwrap();
        let live = || async { (self.hub.stream(&name)?.tracks.len() == 2).then_some(()) };
        until("the stream", live).await;
    }

    /// Pushes the stream in the background, until the token that is returned is cancelled.
    fn pushing(&self, url: &Url) -> (CancellationToken, tokio::task::JoinHandle<Result<(), Error>>) {
        let (stop, url, output) = (CancellationToken::new(), url.clone(), self.output.clone());
        let subscriber = self.hub.subscribe(&StreamName::parse(NAME).unwrap(), Viewer::by("relay"));
        let stopped = stop.clone();
        let pushing = async move {
            push(&url, &ClientTls::insecure().unwrap(), subscriber, &output, stopped, || {}).await.map(drop)
        };
        (stop, tokio::spawn(pushing))
    }
}

fn spawn(name: &str, command: &mut Command) -> Program {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn(name, command)
}

/// Decodes two seconds without a complaint.
async fn plays(ffmpeg: &Path, options: &[&str], url: &str) {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "warning", "-xerror"]).args(options).args(["-i", url]);
    command.args(["-map", "0", "-t", "2", "-f", "framemd5", "-"]);
    decodes(url, command).await;
}

async fn decodes(what: &str, mut command: Command) {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = soon(what, command.output()).await.unwrap();
    let (text, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let count = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    let (pictures, sounds) = (count("0,"), count("1,"));
    assert!(complaints.is_empty() && pictures >= 45 && sounds >= 40, "{what}: {pictures}, {sounds}, {complaints}");
}

#[tokio::test]
async fn ffmpeg_publishes_and_plays_by_tcp_and_udp() {
    for peer in [Peer::Ffmpeg, Peer::NewFfmpeg] {
        let Some(ffmpeg) = find(peer) else { return };
        let server = Server::start().await;
        let _publisher = server.published(&ffmpeg).await;
        let url = server.play_url();
        let (tcp, udp) = (["-rtsp_transport", "tcp"], ["-rtsp_transport", "udp"]);
        let before = server.output.conversions();
        tokio::join!(plays(&ffmpeg, &tcp, &url), plays(&ffmpeg, &tcp, &url), plays(&ffmpeg, &udp, &url));
        // Three players for some two seconds and a key-frame interval, each batch made once.
        let made = server.output.conversions() - before;
        assert!((50..200).contains(&made), "{made} conversions");
    }
}

#[tokio::test]
async fn a_publisher_that_asks_for_udp_is_told_461_and_comes_by_tcp() {
    for peer in [Peer::Ffmpeg, Peer::NewFfmpeg] {
        let Some(ffmpeg) = find(peer) else { return };
        let server = Server::start().await;
        let _publisher = server.published_by(&ffmpeg, &[]).await;
        plays(&ffmpeg, &["-rtsp_transport", "tcp"], &server.play_url()).await;
    }
}

#[tokio::test]
async fn other_codecs() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let hevc = "libx265 -preset ultrafast -tune zerolatency -x265-params keyint=25:log-level=none";
    let avc = "libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p";
    for (pictures, sound) in [
        (hevc, "pcm_alaw -ar 8000 -ac 1"),
        (avc, "pcm_mulaw -ar 8000 -ac 1"),
        (avc, "libopus -ar 48000 -ac 2"),
        // An access unit of more than one packet.
        (avc, "aac -ar 48000 -ac 2 -b:a 512k"),
    ] {
        let server = Server::start().await;
        let mut command = Command::new(&ffmpeg);
        command.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=25",
        ]);
        command.args(["-re", "-f", "lavfi", "-i", "anoisesrc=sample_rate=48000", "-c:v"]).args(pictures.split(' '));
        command.arg("-c:a").args(sound.split(' ')).args(["-f", "rtsp", "-rtsp_transport", "tcp"]);
        let _publisher = spawn("publisher", command.arg(server.publish_url().as_str()));
        server.until_live().await;
        plays(&ffmpeg, &["-rtsp_transport", "tcp"], &server.play_url()).await;
    }
}

#[tokio::test]
async fn publishers_without_the_token_or_with_a_taken_name_are_refused() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let server = Server::start().await;
    let _publisher = server.published(&ffmpeg).await;
    for (url, status) in [(server.play_url(), 401), (server.publish_url().to_string(), 403)] {
        let (_, pushing) = server.pushing(&url.parse().unwrap());
        let refused = soon("a refusal", pushing).await.unwrap().unwrap_err().to_string();
        assert!(refused.contains(&status.to_string()), "{refused}");
    }
}

#[tokio::test]
async fn a_push_to_our_own_port() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let (here, there) = (Server::start().await, Server::start().await);
    let _publisher = here.published(&ffmpeg).await;
    let (stop, pushing) = here.pushing(&there.publish_url());
    there.until_live().await;
    plays(&ffmpeg, &["-rtsp_transport", "tcp"], &there.play_url()).await;
    stop.cancel();
    soon("the end of the push", pushing).await.unwrap().unwrap();
    let name = StreamName::parse(NAME).unwrap();
    until("the end of the stream", || async { there.hub.stream(&name).is_none().then_some(()) }).await;
}

/// When the frames of a stream are due in milliseconds, by their payloads: so many of each kind.
async fn times(server: &Server, count: usize) -> [HashMap<Bytes, i64>; 2] {
    let mut viewer = server.hub.subscribe(&StreamName::parse(NAME).unwrap(), Viewer::by("test"));
    let mut times = [HashMap::new(), HashMap::new()];
    while times.iter().any(|kind| kind.len() < count) {
        for frame in &viewer.next().await.unwrap().frames {
            let kind = usize::from(frame.kind() == Kind::Audio);
            times[kind].insert(frame.payload.clone(), frame.pts().millis());
        }
    }
    times
}

#[tokio::test]
async fn sound_and_pictures_stay_in_step() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let (here, there) = (Server::start().await, Server::start().await);
    let _publisher = here.published(&ffmpeg).await;
    let (_stop, _pushing) = here.pushing(&there.publish_url());
    there.until_live().await;
    let (before, after) = soon("frames", async { tokio::join!(times(&here, 100), times(&there, 50)) }).await;
    // How much later each kind is there, without the first half: what comes before the first reports is placed by when it
    // arrives. The sample repeats after 10 s; sooner than that this is over.
    let [pictures, sound] = [0, 1].map(|kind| {
        let moved = after[kind].iter().filter_map(|(payload, at)| Some((*at, at - before[kind].get(payload)?)));
        let mut moved: Vec<(i64, i64)> = moved.collect();
        moved.sort_unstable();
        assert!(moved.len() > 20, "{} of {} came", moved.len(), after[kind].len());
        moved.split_off(moved.len() / 2).into_iter().map(|(_, by)| by).collect::<Vec<_>>()
    });
    let all = || pictures.iter().chain(&sound);
    let apart = all().max().unwrap() - all().min().unwrap();
    assert!(apart < 40, "{apart} ms: pictures {pictures:?}, sound {sound:?}");
}

#[tokio::test]
async fn a_push_by_tls_and_a_player_by_tls() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = ServerTls::from_files(&certificate, &key).unwrap();
    let here = Server::start().await;
    let there = Server::start_with(sluicegate_hub::Config::default(), Some(tls)).await;
    let _publisher = here.published(&ffmpeg).await;
    let (_stop, _pushing) = here.pushing(&there.publish_url());
    there.until_live().await;
    plays(&ffmpeg, &["-rtsp_transport", "tcp"], &there.play_url()).await;
}

#[tokio::test]
async fn a_push_to_ffmpeg() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let server = Server::start().await;
    let _publisher = server.published(&ffmpeg).await;
    // ffmpeg takes a port of its own only by number: this one was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("rtsp://127.0.0.1:{port}/live/x");
    let listening = ffmpeg.clone();
    let heard = url.clone();
    let player = tokio::spawn(async move { plays(&listening, &["-rtsp_flags", "listen"], &heard).await });
    let (_stop, _pushing) = until("ffmpeg's port", || async {
        let (stop, pushing) = server.pushing(&url.parse().unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        (!pushing.is_finished()).then_some((stop, pushing))
    })
    .await;
    soon("ffmpeg", player).await.unwrap();
}

#[tokio::test]
async fn a_push_to_gstreamers_server() {
    let (Some(ffmpeg), Some(python)) = (find(Peer::Ffmpeg), find(Peer::GstRtspServer)) else { return };
    let server = Server::start().await;
    let _publisher = server.published(&ffmpeg).await;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/serve/scripts/recorder.py");
    let mut recorder = spawn("recorder", Command::new(python).arg(script));
    let url: Url = recorder.says("listening on ").await.parse().unwrap();
    let (stop, pushing) = server.pushing(&url);
    recorder.says("decoded 50 pictures and 80 sounds").await;
    stop.cancel();
    soon("the end of the push", pushing).await.unwrap().unwrap();
    recorder.says("the end").await;
}

#[tokio::test]
async fn players_are_told_why_not() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let request = "DESCRIBE rtsp://127.0.0.1/../x RTSP/1.0\r\nCSeq: 1\r\n\r\nhello\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    soon("an answer and the end", socket.read_to_string(&mut said)).await.unwrap();
    assert!(said.starts_with("RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n"), "{said}");
}
