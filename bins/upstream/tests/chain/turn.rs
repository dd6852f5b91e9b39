//! Browsers that reach nothing but a TURN server publish and play: the servers of the configuration are told to pages.

use std::net::SocketAddr;
use std::path::Path;

use sluicegate_testbed::api;
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::turn::{TurnServer, USER};

use crate::stage::{OFFERED, SITE, STREAM, Site, Upstream};
use crate::webrtc::{CLIENT, call, pictures_advance};

/// From now on the page's connections go by relays only, and `linked()` gives the servers that an address names.
const RELAYED: &str = "
    const Real = RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Real {
        constructor(more) {
            super({iceServers: globalThis.servers, ...more, iceTransportPolicy: 'relay'});
            globalThis.pc = this;
        }
    };
    globalThis.ask = async (url) => {
        const answer = await fetch(url, {method: 'OPTIONS'});
        globalThis.servers = (await import('/page/webrtc.js')).linked(answer.headers.get('Link'));
        return servers;
    };
    globalThis.ends = async () => {
        const stats = await pc.getStats();
        const transport = [...stats.values()].find(({type}) => type === 'transport') ?? {};
        const {localCandidateId, remoteCandidateId} = stats.get(transport.selectedCandidatePairId) ?? {};
        return [localCandidateId, remoteCandidateId].map((id) => stats.get(id)?.candidateType);
    };
    globalThis.path = async () => (await ends())[0];
    true";

/// An upstream that names a TURN server, with more of a configuration before and behind it.
async fn upstream(turn: SocketAddr, before: &str, behind: &str) -> Upstream {
    let state = tempfile::tempdir().unwrap();
    let config = state.path().join("upstream.toml");
    let (name, password) = USER;
    let url = format!("turn:{}?transport=udp", turn);
    let server = format!("[[webrtc.ice_servers]]\nurl = '{url}'\nusername = '{name}'\ncredential = '{password}'\n");
    let text = format!("{before}[webrtc]\nlisten = ['127.0.0.1:0']\n{server}{behind}");
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    Upstream::start_at("127.0.0.1:0", state, &["--config", &config]).await
}

async fn page(chromium: &Path, upstream: &Upstream) -> Browser {
    let mut browser = Browser::open(chromium, &upstream.url("http", "/")).await;
    browser.until("location.pathname === '/' && document.readyState === 'complete'").await;
    assert_eq!(browser.value(CLIENT).await, true);
    assert_eq!(browser.value(RELAYED).await, true);
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_and_a_viewer_behind_turn() {
    let (Some(chromium), Some(coturn)) = (find(Peer::Chromium), find(Peer::Coturn)) else { return };
    let turn = TurnServer::start(&coturn).await;
    let upstream = upstream(turn.address, "", "").await;

    let mut camera = page(&chromium, &upstream).await;
    let servers = camera.value(&format!("ask('{}')", upstream.url("http", "/whip/room/a"))).await;
    assert_eq!((servers[0]["username"].as_str(), servers[0]["credential"].as_str()), (Some(USER.0), Some(USER.1)));
    assert_eq!(call(&mut camera, "publish", &upstream.url("http", "/whip/room/a")).await, true);
    api::until_stream(&upstream.address, "room/a", "live").await;
    assert_eq!(camera.until("path()").await, "relay");

    // The page itself asks for the servers.
    let mut viewer = page(&chromium, &upstream).await;
    viewer.until("!!document.querySelector('#streams button')").await;
    viewer.value("document.querySelector('#streams button').click()").await;
    viewer.until("document.getElementById('facts').textContent.endsWith('· WebRTC')").await;
    pictures_advance(&mut viewer).await;
    assert_eq!(viewer.until("path()").await, "relay");
}

/// The section of a host that announces nothing but a relay, with more lines.
fn only_a_relay(server: &str, more: &str) -> String {
    let (name, password) = USER;
    format!("server = '{server}'\nusername = '{name}'\ncredential = '{password}'\nrelay_only = true\n{more}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_and_an_upstream_that_nobody_reaches_play_by_their_relays() {
    let (Some(chromium), Some(coturn)) = (find(Peer::Chromium), find(Peer::Coturn)) else { return };
    let turn = TurnServer::start(&coturn).await;
    let section = only_a_relay(&turn.address.to_string(), "");
    let upstream = upstream(turn.address, "", &format!("[webrtc.turn]\n{section}")).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("site.toml");
    std::fs::write(&config, format!("[webrtc]\nlisten = ['127.0.0.1:0']\n[webrtc.turn]\n{section}")).unwrap();
    let stream = format!("{OFFERED}=file:{}", sluicegate_testbed::media::sample().display());
    let mut site = Site::dial(&upstream, &["--config", config.to_str().unwrap(), "--stream", &stream]);
    site.program.says("relay on the TURN server").await;
    api::until_site(&upstream.address, SITE).await;
    for query in ["?via=site", ""] {
        let mut viewer = page(&chromium, &upstream).await;
        let url = upstream.url("http", &format!("/whep/{STREAM}{query}"));
        viewer.value(&format!("ask('{}')", upstream.url("http", &format!("/whep/{STREAM}")))).await;
        assert_eq!(call(&mut viewer, "play", &url).await, true);
        pictures_advance(&mut viewer).await;
        let ends = viewer.value("ends()").await;
        assert_eq!(ends, serde_json::json!(["relay", "relay"]), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_by_tcp_or_tls_alone_is_played_from() {
    let (Some(chromium), Some(coturn)) = (find(Peer::Chromium), find(Peer::Coturn)) else { return };
    let (own, folder) = (TurnServer::own_address(), tempfile::tempdir().unwrap());
    let made = rcgen::generate_simple_self_signed([own.to_string()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let turn = TurnServer::start_secure(&coturn, own, &cert, &key).await;
    let authority = format!("ca_file = '{}'\n", cert.display());
    for (uri, more) in [
        (format!("turn:{}?transport=tcp", turn.address), ""),
        (format!("turns:{}?transport=tcp", turn.address), authority.as_str()),
    ] {
        let upstream = upstream(turn.address, "", &format!("[webrtc.turn]\n{}", only_a_relay(&uri, more))).await;
        let _site = Site::with_stream(&upstream).await;
        let mut viewer = page(&chromium, &upstream).await;
        let url = upstream.url("http", &format!("/whep/{STREAM}"));
        viewer.value(&format!("ask('{url}')")).await;
        assert_eq!(call(&mut viewer, "play", &url).await, true);
        pictures_advance(&mut viewer).await;
        assert_eq!(viewer.value("ends()").await, serde_json::json!(["relay", "relay"]), "{uri}");
    }
    // The certificate is not trusted where nothing says so, and the log says why there is no relay.
    let uri = format!("turns:{}", turn.address);
    let mut upstream = upstream(turn.address, "", &format!("[webrtc.turn]\n{}", only_a_relay(&uri, ""))).await;
    upstream.program.says("UnknownIssuer").await;
}

#[tokio::test]
async fn passwords_of_turn_servers_need_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("play.token");
    std::fs::write(&token, "open-sesame-open-sesame-open-sesame").unwrap();
    let access = format!("[access]\nplay_token_file = '{}'\n", token.display());
    let upstream = upstream("192.0.2.1:3478".parse().unwrap(), &access, "").await;
    for (method, path) in [("OPTIONS", "/webrtc/play/room/a"), ("POST", "/webrtc/play/room/a")] {
        let nobody = api::request(method, &upstream.address, path).await.unwrap();
        assert_eq!((nobody.status, nobody.header("Link")), (401, None), "{method} {path}");
    }
    let ask = async |headers: &[(&str, &str)]| {
        api::send("OPTIONS", &upstream.address, "/whep/room/a", headers, b"").await.unwrap()
    };
    let nobody = ask(&[]).await;
    assert_eq!((nobody.status, nobody.header("Link")), (401, None));
    let preflight = ask(&[("Access-Control-Request-Method", "POST")]).await;
    assert_eq!((preflight.status, preflight.header("Link")), (204, None));
    let known = ask(&[("Authorization", "Bearer open-sesame-open-sesame-open-sesame")]).await;
    let link = known.header("Link").unwrap();
    assert_eq!(known.status, 204);
    assert!(link.contains("<turn:192.0.2.1:3478?transport=udp>; rel=\"ice-server\""), "{link}");
    assert!(link.contains(r#"credential="a \"secret\", truly""#), "{link}");
}
