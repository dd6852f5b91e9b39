//! GStreamer's RTSP server as a camera: by TCP and UDP, with passwords, in all codecs; and what it does not say.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use sluicegate_hub::{Hub, Publish, StreamName, Subscriber, Viewer};
use sluicegate_media::Kind;
use sluicegate_net::tls::ClientTls;
use sluicegate_rtsp::{Error, Limits, pull};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::soon;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use url::Url;

const PICTURES: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1";
const SOUND: &str = "audiotestsrc is-live=true wave=ticks";
const H264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96";
const AAC: &str = "audioconvert ! avenc_aac ! rtpmp4gpay name=pay1 pt=97";

/// A camera and where it is.
async fn camera(python: &Path, launch: &str, access: &str) -> (Program, Url) {
    camera_by(python, launch, &[access]).await
}

/// The same with more of the script's arguments.
async fn camera_by(python: &Path, launch: &str, more: &[&str]) -> (Program, Url) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pull/scripts/server.py");
    let mut command = Command::new(python);
    command.arg(script).arg(launch).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = Program::spawn("camera", &mut command);
    let url = program.says("listening on ").await;
    (program, url.parse().unwrap())
}

/// What this machine trusts.
fn trust() -> &'static ClientTls {
    static TRUST: LazyLock<ClientTls> = LazyLock::new(|| ClientTls::native().unwrap());
    &TRUST
}

fn hub() -> (Hub, StreamName, Subscriber) {
    let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
    let name = StreamName::parse("cams/door").unwrap();
    let viewer = hub.subscribe(&name, Viewer::by("test"));
    (hub, name, viewer)
}

/// Pulls until so many pictures have come. Gives the codecs, and how far apart pictures and sound are at the end.
async fn watch(url: &Url, pictures: usize) -> (Vec<&'static str>, i64) {
    let (hub, name, mut viewer) = hub();
    let watching = async {
        let (mut seen, mut last) = (0, [0_i64; 2]);
        while seen < pictures || last[1] == 0 && hub.stream(&name).unwrap().tracks.len() > 1 {
            let batch = viewer.next().await.unwrap();
            for frame in &batch.frames {
                let kind = usize::from(frame.kind() == Kind::Audio);
                assert!(!frame.payload.is_empty() && frame.dts.millis() >= last[kind]);
                last[kind] = frame.dts.millis();
                seen += 1 - kind;
            }
        }
        let status = hub.stream(&name).unwrap();
        (status.tracks.iter().map(|track| track.codec).collect(), last[0] - last[1])
    };
    tokio::select! {
        done = pull(url, trust(), Limits::default(), || hub.publish(&name, Publish::by("test"))) => unreachable!("{done:?}"),
        seen = soon("pictures", watching) => seen,
    }
}

fn by_udp(url: &Url) -> Url {
    url.as_str().replace("rtsp:", "rtsp+udp:").parse().unwrap()
}

#[tokio::test]
async fn pictures_and_sound_by_tcp_and_udp() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    let (_camera, url) = camera(&python, &format!("{PICTURES} ! {H264} {SOUND} ! {AAC}"), "open").await;
    for url in [url.clone(), by_udp(&url)] {
        let (codecs, apart) = watch(&url, 60).await;
        assert_eq!(codecs, ["h264", "aac"]);
        assert!(apart.abs() < 500, "{apart} ms apart");
    }
}

#[tokio::test]
async fn a_camera_that_sends_in_one_way_only_is_asked_for_that() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    for way in ["tcp", "udp"] {
        let launch = format!("{PICTURES} ! {H264} {SOUND} ! {AAC}");
        let (_camera, url) = camera_by(&python, &launch, &["open", "0", way]).await;
        let url = if way == "tcp" { by_udp(&url) } else { url };
        assert_eq!(watch(&url, 30).await.0, ["h264", "aac"], "{way}");
    }
}

/// A certificate for a name with its key in a file, as a camera makes its own.
fn certificate(folder: &Path, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let path = folder.join("camera.pem");
    std::fs::write(&path, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    path.display().to_string()
}

async fn refused(url: &Url) -> Error {
    let (hub, name, _viewer) = hub();
    let limits = Limits { answer: Duration::from_secs(10), silence: Duration::from_secs(3) };
    soon("a refusal", pull(url, trust(), limits, || hub.publish(&name, Publish::by("test")))).await.unwrap_err()
}

#[tokio::test]
async fn tls_of_a_camera_whose_certificate_is_its_own() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    let folder = tempfile::tempdir().unwrap();
    let launch = format!("{PICTURES} ! {H264} {SOUND} ! {AAC}");
    let (mut camera, mut url) =
        camera_by(&python, &launch, &["digest", "0", "any", &certificate(folder.path(), "camera")]).await;
    assert_eq!(url.scheme(), "rtsps");
    // The camera made the fingerprint that it prints.
    let shown = camera.says("certificate ").await.trim().to_owned();
    url.set_username("admin").unwrap();
    url.set_password(Some("p@ss")).unwrap();
    let told = refused(&url).await;
    assert!(matches!(told, Error::Untrusted { .. }), "{told:?}");
    let told = told.reason();
    assert!(told.contains(&format!("put #sha256={shown} behind the URL")) && told.contains("UnknownIssuer"), "{told}");
    url.set_fragment(Some(&format!("sha256={}", "00".repeat(32))));
    let told = refused(&url).await;
    let words = format!("shows another certificate than the URL tells; if it was renewed, it is #sha256={shown} now");
    assert!(told.reason().contains(&words), "{told}");
    url.set_fragment(Some(&format!("sha256={shown}")));
    let (codecs, apart) = watch(&url, 60).await;
    assert_eq!(codecs, ["h264", "aac"]);
    assert!(apart.abs() < 500, "{apart} ms apart");
    url.set_password(Some("wrong")).unwrap();
    let told = refused(&url).await;
    assert!(matches!(told, Error::Login), "{told:?}");
}

#[tokio::test]
async fn tls_of_a_camera_that_the_machine_trusts() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = certificate(folder.path(), "127.0.0.1");
    let (_camera, mut url) = camera_by(&python, &format!("{PICTURES} ! {H264}"), &["basic", "0", "any", &own]).await;
    url.set_username("admin").unwrap();
    url.set_password(Some("p@ss")).unwrap();
    let told = refused(&url).await;
    assert!(matches!(told, Error::Untrusted { .. }), "{told:?}");
    let trust = ClientTls::with_authorities(Path::new(&own)).unwrap();
    let (hub, name, mut viewer) = hub();
    tokio::select! {
        done = pull(&url, &trust, Limits::default(), || hub.publish(&name, Publish::by("test"))) => unreachable!("{done:?}"),
        batch = soon("a picture", viewer.next()) => assert!(!batch.unwrap().frames.is_empty()),
    }
}

#[tokio::test]
async fn a_camera_by_tls_that_sends_by_udp_only_is_not_pulled_in_the_clear() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut camera, mut url) = camera_by(
        &python,
        &format!("{PICTURES} ! {H264}"),
        &["digest", "0", "udp", &certificate(folder.path(), "camera")],
    )
    .await;
    let shown = camera.says("certificate ").await.trim().to_owned();
    url.set_username("admin").unwrap();
    url.set_password(Some("p@ss")).unwrap();
    url.set_fragment(Some(&format!("sha256={shown}")));
    let told = refused(&url).await;
    assert!(matches!(told, Error::DatagramsOnly), "{told:?}");
}

#[tokio::test]
async fn a_server_without_tls_says_so() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsps://{}/x", server.local_addr().unwrap()).parse().unwrap();
    let answering = async {
        let (mut socket, _) = server.accept().await.unwrap();
        socket.write_all(b"RTSP/1.0 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (told, _socket) = tokio::join!(refused(&url), answering);
    assert!(told.to_string().ends_with("does not speak TLS; use rtsp://, or the port where it does"), "{told}");
}

#[tokio::test]
async fn other_codecs() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    let hevc = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph265pay name=pay0 pt=96";
    let a_law = "audioconvert ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1";
    let mu_law = "audioconvert ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1";
    let opus = "audioconvert ! opusenc ! rtpopuspay name=pay1 pt=97";
    for (pictures, sound, expected) in [
        (hevc, a_law, &["h265", "g711a"][..]),
        (H264, mu_law, &["h264", "g711u"]),
        // The library does not take Opus apart; the pictures come without it.
        (H264, opus, &["h264"]),
    ] {
        let (_camera, url) = camera(&python, &format!("{PICTURES} ! {pictures} {SOUND} ! {sound}"), "open").await;
        assert_eq!(watch(&url, 30).await.0, expected);
    }
}

#[tokio::test]
async fn a_password_by_basic_and_digest() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    for access in ["basic", "digest"] {
        let (_camera, mut url) = camera(&python, &format!("{PICTURES} ! {H264}"), access).await;
        let (hub, name, _viewer) = hub();
        let refused = pull(&url, trust(), Limits::default(), || hub.publish(&name, Publish::by("test")));
        let refused = soon("a refusal", refused).await.unwrap_err();
        let cause = std::error::Error::source(&refused).unwrap().to_string();
        assert!(cause.contains("401") || cause.to_lowercase().contains("unauthorized"), "{cause}");
        url.set_username("admin").unwrap();
        url.set_password(Some("p@ss")).unwrap();
        assert_eq!(watch(&url, 10).await.0, ["h264"], "{access}");
    }
}

#[tokio::test]
async fn a_camera_that_goes_away_or_never_answers() {
    let Some(python) = find(Peer::GstRtspServer) else { return };
    let (camera, url) = camera(&python, &format!("{PICTURES} ! {H264}"), "open").await;
    let (hub, name, mut viewer) = hub();
    let limits = Limits { answer: Duration::from_millis(500), silence: Duration::from_secs(3) };
    let publishing = name.clone();
    let pulling = tokio::spawn(async move {
        let limits = Limits { answer: Duration::from_secs(10), ..limits };
        pull(&url, trust(), limits, || hub.publish(&publishing, Publish::by("test"))).await
    });
    soon("a picture", viewer.next()).await.unwrap();
    camera.kill().await;
    // The end of the connection, or a fault of it; either way in time.
    let _ = soon("the end of the pull", pulling).await.unwrap();

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://{}/x", silent.local_addr().unwrap()).parse().unwrap();
    let (hub, name, _) = self::hub();
    let late =
        soon("an error", pull(&url, trust(), limits, || hub.publish(&name, Publish::by("test")))).await.unwrap_err();
    assert!(matches!(late, Error::Late { doing: "asking for the stream", .. }), "{late}");
    assert_eq!(hub.stream(&name), None);
}
