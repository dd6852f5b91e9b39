//! A page with Flashphoner's Web SDK, unmodified, in Chromium.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::soon;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::wcs::Node;

/// What a page made with the SDK does, and a look at its connections.
const PAGE: &str = "
    globalThis.left = [];
    globalThis.open = (url, options = {}) => new Promise((done, failed) => {
        const gone = (status) => { left.push(status); failed(status); };
        Flashphoner.createSession({urlServer: url, ...options})
            .on('ESTABLISHED', (session) => { globalThis.session = session; done(true); })
            .on('FAILED', () => gone('FAILED')).on('DISCONNECTED', () => gone('DISCONNECTED'));
    });
    globalThis.stream = (name, verb, up, options = {}) => new Promise((done) => {
        const display = document.createElement('div');
        document.body.append(display);
        globalThis.told = [];
        const stream = session.createStream({name, display, cacheLocalResources: true, ...options});
        for (const status of ['PUBLISHING', 'PLAYING', 'UNPUBLISHED', 'STOPPED', 'FAILED']) {
            stream.on(status, (stream) => {
                told.push([status, stream.getInfo()].filter((text) => text).join(': '));
                if (status === up || status === 'FAILED') done(told.at(-1));
            });
        }
        stream.on('STREAM_EVENT', (event) => told.push(`${event.type} ${JSON.stringify(event.payload)}`));
        globalThis[verb + 'ed'] = stream;
        stream[verb]();
    });
    globalThis.inbound = async (kind) => {
        const all = await Promise.all(connections.map((connection) => connection.getStats()));
        const found = all.flatMap((stats) => [...stats.values()]);
        return found.findLast((entry) => entry.type === 'inbound-rtp' && entry.kind === kind) ?? {};
    };
    // A stream whose pictures begin when they are drawn.
    globalThis.canvas = () => {
        const drawn = Object.assign(document.createElement('canvas'), {width: 320, height: 240});
        drawn.getContext('2d');
        const stream = drawn.captureStream(0);
        globalThis.draw = () => setInterval(() => {
            drawn.getContext('2d').fillRect(Math.random() * 300, Math.random() * 200, 40, 40);
            stream.getVideoTracks()[0].requestFrame();
        }, 40);
        return stream;
    };
    globalThis.frames = () => [...document.querySelectorAll('video')]
        .reduce((sum, video) => sum + video.getVideoPlaybackQuality().totalVideoFrames, 0);
    Flashphoner.init({});
    Flashphoner.getMediaProviders()[0]";

/// The page keeps its connections where a test sees them, and notes the server's pings and the name to come back by; the
/// SDK is as it came.
const CONNECTIONS: &str = "
    Object.assign(globalThis, {connections: [], sockets: [], pings: 0, token: ''});
    globalThis.WebSocket = class extends WebSocket {
        constructor(...options) {
            super(...options);
            sockets.push(this);
            this.addEventListener('message', ({data}) => {
                const heard = JSON.parse(data);
                if (heard.message === 'ping') pings += 1;
                if (heard.message === 'getUserData') token = heard.data[0].authToken;
            });
        }
    };
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...options) { super(...options); connections.push(this); }
    };
    true";

/// A page with the SDK of a version, and a session.
pub(crate) async fn page(chromium: &Path, sdk: &Path, node: &Node, uri: &str) -> Browser {
    let mut browser = blank(chromium, sdk, node).await;
    assert_eq!(browser.value(&format!("open('{uri}').catch((why) => why)")).await, true);
    browser
}

/// The same without a session.
pub(crate) async fn blank(chromium: &Path, sdk: &Path, node: &Node) -> Browser {
    let mut command = Command::new(chromium);
    // Nodes sign their certificates themselves.
    command.arg("--ignore-certificate-errors");
    let dial = async |devtools: SocketAddr| soon("DevTools", TcpStream::connect(devtools)).await.unwrap();
    let mut browser = Browser::open_with(command, dial, &node.upstream.url("http", "/healthz")).await;
    browser.until("location.pathname === '/healthz' && document.readyState === 'complete'").await;
    assert_eq!(browser.value(CONNECTIONS).await, true);
    let source = std::fs::read_to_string(sdk.join("flashphoner-webrtc-only.js")).unwrap();
    browser.value(&format!("{source}\n;true")).await;
    assert_eq!(browser.value(PAGE).await, "WebRTC");
    browser
}

pub(crate) async fn publish(page: &mut Browser, name: &str) -> Value {
    page.value(&format!("stream('{name}', 'publish', 'PUBLISHING')")).await
}

pub(crate) async fn play(page: &mut Browser, name: &str) -> Value {
    page.value(&format!("stream('{name}', 'play', 'PLAYING')")).await
}

/// Waits until 25 more pictures than now are decoded and shown.
pub(crate) async fn pictures_advance(page: &mut Browser) {
    let decoded = "inbound('video').then(({framesDecoded}) => framesDecoded ?? 0)";
    let (before, shown) = (page.until(decoded).await.as_u64().unwrap(), page.until("frames()").await.as_u64().unwrap());
    page.until(&format!("{decoded}.then((now) => now >= {before} + 25)")).await;
    page.until(&format!("frames() >= {shown} + 10")).await;
}

/// The browser, and the SDK of January 2026, of 2022 and of 2021.
pub(crate) fn versions() -> Option<(PathBuf, [PathBuf; 3])> {
    let (chromium, packages) = (find(Peer::Chromium)?, find(Peer::WebSdk)?);
    let names = ["@flashphoner/websdk", "websdk-2.0.218", "websdk-2.0.180"];
    Some((chromium, names.map(|name| packages.join(name))))
}
