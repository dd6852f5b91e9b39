//! Chromium publishes its camera by WHIP and plays by WHEP, through the binaries.

use std::path::Path;
use std::process::Stdio;

use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, media};
use tokio::process::Command;

use crate::stage::{STREAM, Site, Upstream};
use crate::whip::webrtcbin;

/// A page's WHIP and WHEP client: the offer without candidates, the rest by trickle as browsers do.
pub(crate) const CLIENT: &str = "
    globalThis.exchange = async (pc, url) => {
        const early = [];
        let send = (candidate) => early.push(candidate);
        pc.onicecandidate = ({candidate}) => { if (candidate && candidate.candidate) send(candidate); };
        await pc.setLocalDescription();
        const headers = {'Content-Type': 'application/sdp'};
        const response = await fetch(url, {method: 'POST', headers, body: pc.localDescription.sdp});
        if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
        globalThis.session = new URL(response.headers.get('Location'), url).href;
        globalThis.etag = response.headers.get('ETag');
        const credentials = (sdp) => ['ufrag', 'pwd'].map((key) => sdp.match(new RegExp(`a=ice-${key}:.*`))[0]).join('\\r\\n');
        send = ({candidate, sdpMid}) => fetch(session, {
            method: 'PATCH',
            headers: {'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': etag},
            body: `${credentials(pc.localDescription.sdp)}\\r\\nm=audio 9 RTP/AVP 0\\r\\na=mid:${sdpMid}\\r\\na=${candidate}\\r\\n`,
        });
        await pc.setRemoteDescription({type: 'answer', sdp: await response.text()});
        early.forEach(send);
        return true;
    };
    globalThis.publish = async (url) => {
        globalThis.pc = new RTCPeerConnection();
        const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 480}});
        stream.getTracks().forEach((track) => pc.addTransceiver(track, {direction: 'sendonly', streams: [stream]}));
        const sender = pc.getTransceivers().find(({sender}) => sender.track.kind === 'video');
        const codecs = RTCRtpSender.getCapabilities('video').codecs.filter(({mimeType}) => mimeType === globalThis.only);
        if (codecs.length) sender.setCodecPreferences(codecs);
        return exchange(pc, url);
    };
    const player = () => {
        globalThis.pc = new RTCPeerConnection();
        pc.addTransceiver('audio', {direction: 'recvonly'});
        pc.addTransceiver('video', {direction: 'recvonly'});
        globalThis.video = document.createElement('video');
        [video.autoplay, video.srcObject] = [true, new MediaStream()];
        pc.ontrack = ({track}) => video.srcObject.addTrack(track);
        document.body.append(video);
    };
    globalThis.play = async (url) => { player(); return exchange(pc, url); };
    globalThis.playM7s = async (url) => {
        player();
        await pc.setLocalDescription();
        const response = await fetch(url, {method: 'POST', body: pc.localDescription.sdp});
        if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
        await pc.setRemoteDescription({type: 'answer', sdp: await response.text()});
        return true;
    };
    globalThis.inbound = async (kind) => {
        const stats = [...(await pc.getStats()).values()];
        return stats.find((entry) => entry.type === 'inbound-rtp' && entry.kind === kind) ?? {};
    };
    true";

pub(crate) async fn page(chromium: &Path, upstream: &Upstream) -> Browser {
    let mut browser = Browser::open(chromium, &upstream.url("http", "/healthz")).await;
    browser.until("location.pathname === '/healthz' && document.readyState === 'complete'").await;
    assert_eq!(browser.value(CLIENT).await, true);
    browser
}

/// Calls a function of the page with a URL; what it throws comes back as text.
pub(crate) async fn call(browser: &mut Browser, function: &str, url: &str) -> serde_json::Value {
    browser.value(&format!("{function}('{url}').catch((error) => `${{error}}`)")).await
}

/// Waits until pictures are decoded, twice, so that they go on.
pub(crate) async fn pictures_advance(browser: &mut Browser) {
    let decoded = "inbound('video').then(({framesDecoded}) => framesDecoded ?? 0)";
    let before = browser.until(decoded).await.as_u64().unwrap();
    browser.until(&format!("{decoded}.then((now) => now >= {before} + 25)")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_in_the_browser_plays_in_another() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let mut camera = page(&chromium, &upstream).await;
    assert_eq!(call(&mut camera, "publish", &upstream.url("http", "/whip/room/a")).await, true);
    let stream = api::until_stream(&upstream.address, "room/a", "live").await;
    assert_eq!(stream["publisher"], "whip", "{stream}");

    let mut viewer = page(&chromium, &upstream).await;
    assert_eq!(call(&mut viewer, "play", &upstream.url("http", "/whep/room/a")).await, true);
    pictures_advance(&mut viewer).await;
    assert_eq!(viewer.value("[video.videoWidth, video.videoHeight].join('x')").await, "640x480");
    // The fake microphone beeps once a second.
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;

    // The goodbye ends the stream for the viewer at once.
    assert_eq!(camera.value("fetch(session, {method: 'DELETE'}).then(({status}) => status)").await, 200);
    viewer.until("pc.connectionState !== 'connected'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_camera_plays_as_flv() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::NewFfmpeg)) else { return };
    let upstream = Upstream::start().await;
    let mut camera = page(&chromium, &upstream).await;
    assert_eq!(call(&mut camera, "publish", &upstream.url("http", "/whip/room/a")).await, true);
    api::until_stream(&upstream.address, "room/a", "live").await;
    let decoded = media::decode_uneven(&ffmpeg, &upstream.url("http", "/live/room/a.flv"), 40).await;
    assert_eq!((decoded.pictures, decoded.complaints.as_str()), (40, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sites_stream_plays_by_whep() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    let _site = Site::with_stream(&upstream).await;
    let mut viewer = page(&chromium, &upstream).await;
    assert_eq!(call(&mut viewer, "play", &upstream.url("http", &format!("/whep/{STREAM}"))).await, true);
    pictures_advance(&mut viewer).await;
    assert_eq!(viewer.value("[video.videoWidth, video.videoHeight].join('x')").await, "640x360");
    // The sample's tone is AAC, and heard as Opus.
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0.001)").await;
    let stream = api::stream(&upstream.address, STREAM).await;
    assert_eq!((&stream["viewers"]["whep"], &stream["viewers"]["opus"]), (&1.into(), &1.into()), "{stream}");
    viewer.value("pc.close()").await;
    api::until_stream(&upstream.address, STREAM, "offered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamers_vp8_plays_in_the_browser() {
    let (Some(chromium), Some(python)) = (find(Peer::Chromium), find(Peer::GStreamer)) else { return };
    let upstream = Upstream::start().await;
    let url = upstream.url("http", "/whip/test/ball");
    let _publisher = Program::spawn("webrtcbin", &mut webrtcbin(&python, &["publish", &url]));
    api::until_stream(&upstream.address, "test/ball", "live").await;
    // Its own key frames are 40 s apart: the pictures come because it is asked for more.
    let mut viewer = page(&chromium, &upstream).await;
    assert_eq!(call(&mut viewer, "play", &upstream.url("http", "/whep/test/ball")).await, true);
    pictures_advance(&mut viewer).await;
    assert_eq!(viewer.value("[video.videoWidth, video.videoHeight].join('x')").await, "320x240");
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
}

/// ffmpeg publishes a test pattern as FLV, encoded by these options.
pub(crate) fn publish_encoded(ffmpeg: &Path, url: &str, options: &str) -> Program {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-g", "15", "-pix_fmt", "yuv420p"]);
    command.args(options.split(' ')).args(["-f", "flv", url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    Program::spawn("ffmpeg", &mut command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_codecs_play_in_the_browser() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::NewFfmpeg)) else { return };
    let upstream = Upstream::start().await;
    for (codec, options) in [
        ("AV1", "-c:v libsvtav1 -preset 12 -svtav1-params pred-struct=1 -c:a libopus"),
        ("VP9", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -c:a aac -ac 2"),
    ] {
        let name = format!("codec/{codec}");
        let _publisher = publish_encoded(&ffmpeg, &upstream.url("http", &format!("/live/{name}.flv")), options);
        api::until_stream(&upstream.address, &name, "live").await;
        let mut viewer = page(&chromium, &upstream).await;
        assert_eq!(call(&mut viewer, "play", &upstream.url("http", &format!("/whep/{name}"))).await, true, "{codec}");
        pictures_advance(&mut viewer).await;
        assert_eq!(viewer.value("[video.videoWidth, video.videoHeight].join('x')").await, "320x180", "{codec}");
        viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_in_any_codec_plays_in_another_browser() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = Upstream::start().await;
    for codec in ["VP9", "AV1"] {
        let mut camera = page(&chromium, &upstream).await;
        camera.value(&format!("globalThis.only = 'video/{codec}'")).await;
        let name = format!("room/{codec}");
        assert_eq!(
            call(&mut camera, "publish", &upstream.url("http", &format!("/whip/{name}"))).await,
            true,
            "{codec}"
        );
        let stream = api::until_stream(&upstream.address, &name, "live").await;
        let mut viewer = page(&chromium, &upstream).await;
        assert_eq!(call(&mut viewer, "play", &upstream.url("http", &format!("/whep/{name}"))).await, true, "{stream}");
        pictures_advance(&mut viewer).await;
        let stream = api::stream(&upstream.address, &name).await;
        assert_eq!(stream["tracks"][0]["codec"], codec.to_lowercase(), "{stream}");
    }
}
