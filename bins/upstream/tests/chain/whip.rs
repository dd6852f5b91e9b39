//! WHIP and WHEP with other programs than browsers, and what the two answer to requests that cannot be.

use std::path::Path;
use std::process::Stdio;

use sluicegate_testbed::api::{self, Answer};
use sluicegate_testbed::media;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::soon;
use tokio::process::Command;

use crate::stage::{STREAM, Site, Upstream};
use crate::webrtc::publish_encoded;

/// ffmpeg publishes the sample by WHIP, its sound as Opus.
fn publish_by_whip(ffmpeg: &Path, url: &str) -> Program {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]).arg(media::sample());
    command.args(["-c:v", "copy", "-c:a", "libopus", "-ar", "48000", "-ac", "2", "-f", "whip", url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn("ffmpeg", &mut command)
}

pub(crate) fn webrtcbin(python: &Path, arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chain/scripts/webrtcbin.py");
    let mut command = Command::new(python);
    command.arg(script).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_publishes_by_whip() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    let upstream = Upstream::start().await;
    let _publisher = publish_by_whip(&ffmpeg, &upstream.url("http", "/whip/film/a"));
    let stream = api::until_stream(&upstream.address, "film/a", "live").await;
    assert_eq!(stream["publisher"], "whip", "{stream}");
    let decoded = media::decode(&ffmpeg, &upstream.url("http", "/live/film/a.mp4"), 50).await;
    assert_eq!((decoded.pictures, decoded.complaints.as_str()), (50, ""));
}

/// So does Debian's `simple-whip-client` with one pipeline, which uses the same element.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_publishes_without_a_bundle() {
    let (Some(python), Some(ffmpeg)) = (find(Peer::GStreamer), find(Peer::Ffmpeg)) else { return };
    let upstream = Upstream::start().await;
    let url = upstream.url("http", "/whip/film/b");
    let _publisher = Program::spawn("webrtcbin", &mut webrtcbin(&python, &["video", &url]));
    api::until_stream(&upstream.address, "film/b", "live").await;
    let decoded = media::decode(&ffmpeg, &upstream.url("http", "/live/film/b.flv"), 50).await;
    assert_eq!((decoded.pictures, decoded.complaints.as_str()), (50, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_plays_by_whep() {
    let Some(python) = find(Peer::GStreamer) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    let url = upstream.url("http", &format!("/whep/{STREAM}"));
    let output = soon("webrtcbin", webrtcbin(&python, &["play", &url, "40"]).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("decoded"), "{said} {}", String::from_utf8_lossy(&output.stderr));
}

/// An offer in the manner of OBS: no trickle, one codec of each kind.
const OFFER: &str = "v=0\r\no=rtc 3767197920 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    a=group:LS 0 1\r\na=msid-semantic:WMS *\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:ice2,trickle\r\na=fingerprint:sha-256 \
    4B:58:62:DC:AD:1B:BF:73:0C:31:17:BD:2B:49:91:E1:1F:83:2E:B6:38:8D:AC:7C:8F:2B:8E:4F:F1:7F:30:E9\r\n\
    m=audio 4557 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.1\r\na=mid:0\r\na=sendonly\r\na=ssrc:1 cname:o\r\n\
    a=msid:o o-audio\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n\
    a=candidate:1 1 UDP 2122317823 192.0.2.1 4557 typ host\r\na=end-of-candidates\r\n\
    m=video 4557 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.1\r\na=mid:1\r\na=sendonly\r\na=ssrc:2 cname:o\r\n\
    a=msid:o o-video\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
    a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n";
const SDP: (&str, &str) = ("Content-Type", "application/sdp");

async fn post(upstream: &Upstream, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    api::send("POST", &upstream.address, path, headers, body.as_bytes()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_a_resource() {
    let upstream = Upstream::start().await;
    let created = post(&upstream, "/whip/studio/a", &[SDP], OFFER).await;
    assert_eq!((created.status, created.header("content-type")), (201, Some("application/sdp")), "{}", created.text());
    assert!(created.header("access-control-expose-headers").unwrap().contains("Location"));
    let answer = created.text();
    assert!(
        answer.contains("a=recvonly") && answer.contains("H264/90000") && answer.contains("a=candidate:"),
        "{answer}"
    );
    let location = created.header("location").unwrap().to_owned();
    assert!(location.starts_with("/whip/studio/a/"), "{location}");

    // The name is taken as long as the session lives.
    let second = post(&upstream, "/whip/studio/a", &[SDP], OFFER).await;
    assert_eq!(second.status, 409, "{}", second.text());
    let etag = created.header("etag").unwrap();
    let fragment = ("Content-Type", "application/trickle-ice-sdpfrag");
    let trickle = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
        a=candidate:2 1 UDP 2122317822 192.0.2.2 4557 typ host\r\n";
    let patch = async |tag: &str, headers: (&str, &str)| {
        let headers = [headers, ("If-Match", tag)];
        api::send("PATCH", &upstream.address, &location, &headers, trickle.as_bytes()).await.unwrap()
    };
    assert_eq!(patch(etag, fragment).await.status, 204);
    assert_eq!(patch("\"other\"", fragment).await.status, 412);
    assert_eq!(patch(etag, SDP).await.status, 415);
    let restart = patch("*", fragment).await;
    assert_eq!(restart.status, 200, "{}", restart.text());
    assert!(restart.text().contains("a=ice-ufrag:") && restart.header("etag") != Some(etag), "{}", restart.head);
    assert_eq!(api::request("DELETE", &upstream.address, &location).await.unwrap().status, 200);
    // Its name is free at once.
    let again = post(&upstream, "/whip/studio/a", &[SDP], OFFER).await;
    assert_eq!(again.status, 201, "{}", again.text());
    let gone = api::request("DELETE", &upstream.address, again.header("location").unwrap()).await.unwrap();
    assert_eq!(gone.status, 200);
    api::gone(&upstream.address, "studio/a").await;
    assert_eq!(api::request("DELETE", &upstream.address, &location).await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_asked_for_and_open_the_door_to_other_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    let ice = "[[webrtc.ice_servers]]\nurl = 'turn:turn.example:3478'\nusername = 'me'\ncredential = 'a\"b'\n";
    std::fs::write(&path, format!("[access]\npublish_token = 'let-me'\nplay_token = 'see'\n{ice}")).unwrap();
    let more = ["--config", path.to_str().unwrap()];
    let upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
    let foreign = ("Origin", "https://studio.example");
    // The browser asks first, without credentials (Fetch).
    let asks = [foreign, ("Access-Control-Request-Method", "POST")];
    let preflight = api::send("OPTIONS", &upstream.address, "/whip/a/b", &asks, b"").await.unwrap();
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("*")));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("authorization"));
    let link = "<turn:turn.example:3478>; rel=\"ice-server\"; username=\"me\"; credential=\"a\\\"b\"; \
        credential-type=\"password\"";
    // No page reads a preflight's answer, so it has no passwords; who asks with a token gets them.
    assert_eq!(preflight.header("link"), None);
    let ask = async |headers: &[(&str, &str)]| {
        api::send("OPTIONS", &upstream.address, "/whep/a/b", headers, b"").await.unwrap()
    };
    assert_eq!(ask(&[]).await.status, 401);
    assert_eq!(ask(&[("Authorization", "Bearer see")]).await.header("link"), Some(link));

    assert_eq!(post(&upstream, "/whip/a/b", &[SDP, foreign], OFFER).await.status, 401);
    let wrong = [SDP, ("Authorization", "Bearer see")];
    assert_eq!(post(&upstream, "/whip/a/b", &wrong, OFFER).await.status, 401);
    let right = [SDP, foreign, ("Authorization", "Bearer let-me")];
    let created = post(&upstream, "/whip/a/b", &right, OFFER).await;
    assert_eq!((created.status, created.header("link")), (201, Some(link)), "{}", created.text());
    assert_eq!(post(&upstream, "/whep/a/b", &[SDP], OFFER).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_told() {
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    let whep = format!("/whep/{STREAM}");
    let plays = OFFER.replace("sendonly", "recvonly");
    let unknown = OFFER.replace("H264", "H262");
    let lacks = plays.replace("H264/90000", "VP8/90000");
    let foreign = ("Origin", "http://elsewhere.example");
    let long = format!("{OFFER}{}", "a=x\r\n".repeat(200_000));
    for (path, headers, body, status, said) in [
        ("/whip/a/b", &[("Content-Type", "text/plain")][..], OFFER, 415, "application/sdp"),
        ("/whip/a/b", &[SDP, ("Accept", "text/html")], OFFER, 406, "application/sdp"),
        ("/whip/a/b", &[SDP], "hello", 400, "v=0"),
        ("/whip/a/b", &[SDP], "", 400, "v=0"),
        ("/whip/a/b", &[SDP], &plays, 400, "nothing to send"),
        ("/whip/a/b", &[SDP], &unknown, 406, "h264 or av1"),
        ("/whip/a/b", &[SDP], &long, 413, "are allowed"),
        ("/whip/a/b", &[SDP, foreign], OFFER, 403, "another origin"),
        ("/whip/a%20b", &[SDP], OFFER, 400, "stream name"),
        (&whep, &[SDP], OFFER, 400, "nothing to receive"),
        (&whep, &[SDP], &lacks, 406, "no common codec: h264 is needed, the peer has VP8"),
        ("/whep/none", &[SDP], &plays, 404, "does not exist"),
    ] {
        let answer = post(&upstream, path, headers, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(said), "{path}: {}", answer.text());
    }
    let get = api::request("GET", &upstream.address, "/whip/a/b").await.unwrap();
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, PATCH, DELETE, OPTIONS")));
    let options = api::request("OPTIONS", &upstream.address, "/whep/a/b").await.unwrap();
    assert_eq!((options.status, options.header("accept-post")), (204, Some("application/sdp")));
    // Nothing of it is left.
    assert!(api::stream(&upstream.address, "a/b").await.is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_plays_h265() {
    let (Some(python), Some(ffmpeg)) = (find(Peer::GStreamer), find(Peer::NewFfmpeg)) else { return };
    let upstream = Upstream::start().await;
    let options = "-c:v libx265 -preset ultrafast -x265-params bframes=0:log-level=none -c:a aac -ac 2";
    let url = upstream.url("http", "/live/film/h265.flv");
    let _publisher = publish_encoded(&ffmpeg, &url, options);
    api::until_stream(&upstream.address, "film/h265", "live").await;
    let url = upstream.url("http", "/whep/film/h265");
    let output = soon("webrtcbin", webrtcbin(&python, &["play", &url, "30", "H265"]).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("decoded"), "{said} {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_out_of_order_are_refused_and_play_elsewhere() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    let upstream = Upstream::start().await;
    let url = upstream.url("http", "/live/film/b.flv");
    let mut command = Command::new(&ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-f", "flv", &url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let _publisher = Program::spawn("ffmpeg", &mut command);
    let decoded = media::decode(&ffmpeg, &url, 50).await;
    assert_eq!((decoded.pictures, decoded.complaints.as_str()), (50, ""));
    let answer = post(&upstream, "/whep/film/b", &[SDP], &OFFER.replace("sendonly", "recvonly")).await;
    assert_eq!(answer.status, 406, "{}", answer.text());
    assert!(answer.text().contains("B-frames") && answer.text().contains("-bf 0"), "{}", answer.text());
}
