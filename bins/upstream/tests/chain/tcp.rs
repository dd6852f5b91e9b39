//! Browsers that cannot use UDP publish and play by TCP.

use std::net::SocketAddr;
use std::path::Path;

use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, soon};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::stage::Upstream;
use crate::webrtc::{call, page, pictures_advance};

/// From now on the page knows no address of the upstream for UDP, and tells none of its own, so that only a connection by
/// TCP is left.
const WITHOUT_UDP: &str = "
    const set = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
        const lines = sdp.split('\\r\\n').filter((line) => !/^a=candidate:\\S+ \\d+ udp /i.test(line));
        return set.call(this, {type, sdp: lines.join('\\r\\n')});
    };
    Object.defineProperty(RTCPeerConnection.prototype, 'onicecandidate', {set() {}});
    true";

/// By what a page's connection goes.
const PATH: &str = "pc.getStats().then((stats) => {
    const transport = [...stats.values()].find(({type}) => type === 'transport') ?? {};
    return stats.get(stats.get(transport.selectedCandidatePairId)?.remoteCandidateId)?.protocol;
})";

async fn upstream() -> Upstream {
    let state = tempfile::tempdir().unwrap();
    let config = state.path().join("upstream.toml");
    std::fs::write(&config, "[webrtc]\nlisten = ['127.0.0.1:0']\ntcp_listen = '127.0.0.1:0'\n").unwrap();
    let config = config.display().to_string();
    Upstream::start_at("127.0.0.1:0", state, &["--config", &config]).await
}

async fn page_without_udp(chromium: &Path, upstream: &Upstream) -> Browser {
    let mut browser = page(chromium, upstream).await;
    assert_eq!(browser.value(WITHOUT_UDP).await, true);
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_and_a_viewer_without_udp() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = upstream().await;
    let mut camera = page_without_udp(&chromium, &upstream).await;
    assert_eq!(call(&mut camera, "publish", &upstream.url("http", "/whip/room/a")).await, true);
    assert_eq!(camera.until(PATH).await, "tcp");
    api::until_stream(&upstream.address, "room/a", "live").await;

    let mut viewer = page_without_udp(&chromium, &upstream).await;
    assert_eq!(call(&mut viewer, "play", &upstream.url("http", "/whep/room/a")).await, true);
    pictures_advance(&mut viewer).await;
    viewer.until("inbound('audio').then(({totalAudioEnergy}) => totalAudioEnergy > 0)").await;
    assert_eq!(viewer.until(PATH).await, "tcp");

    // The goodbye comes through as well.
    assert_eq!(camera.value("fetch(session, {method: 'DELETE'}).then(({status}) => status)").await, 200);
    viewer.until("pc.connectionState !== 'connected'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_works_it_is_taken() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = upstream().await;
    let mut camera = page(&chromium, &upstream).await;
    assert_eq!(call(&mut camera, "publish", &upstream.url("http", "/whip/room/a")).await, true);
    api::until_stream(&upstream.address, "room/a", "live").await;
    let answer = camera.value("pc.remoteDescription.sdp").await;
    let passive = |line: &&str| line.starts_with("a=candidate:") && line.contains(" typ host tcptype passive");
    assert_eq!(answer.as_str().unwrap().lines().filter(passive).count(), 1, "{answer}");
    assert_eq!(camera.until(PATH).await, "udp");
}

/// The page's own player, in a browser whose operator forbids UDP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_plays_where_udp_is_forbidden() {
    let Some(chromium) = find(Peer::Chromium) else { return };
    let upstream = upstream().await;
    let mut camera = page(&chromium, &upstream).await;
    assert_eq!(call(&mut camera, "publish", &upstream.url("http", "/whip/room/a")).await, true);
    api::until_stream(&upstream.address, "room/a", "live").await;

    let mut command = Command::new(&chromium);
    command.arg("--webrtc-ip-handling-policy=disable_non_proxied_udp");
    let dial = async |host: SocketAddr| soon("DevTools", TcpStream::connect(host)).await.unwrap();
    let mut viewer = Browser::open_with(command, dial, &upstream.url("http", "/")).await;
    viewer.until("!!document.querySelector('#streams button')").await;
    let kept = "globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(settings) { super(settings); globalThis.pc = this; }
    }; true";
    assert_eq!(viewer.value(kept).await, true);
    viewer.value("document.querySelector('#streams button').click()").await;
    viewer.until("document.getElementById('facts').textContent.endsWith('· WebRTC')").await;
    assert_eq!(viewer.until(PATH).await, "tcp");
    viewer.until("document.getElementById('video').currentTime > 2").await;
}
