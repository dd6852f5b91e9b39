//! Our page in Chromium: a video that is played from two nodes, every segment verified.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_p2p::face::Face;
use sluicegate_p2p::media::{Library, Limits};
use sluicegate_p2p::node::{Node, Peers};
use sluicegate_p2p::origin::Local;
use sluicegate_p2p::pacer::Kind;
use sluicegate_p2p::page;
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use tokio::process::Command;

use crate::stage::{Stage, connected, within};

const VID: &str = "testvideo01";

/// Fourteen seconds of a moving picture and a tone, in segments of two seconds.
async fn film(ffmpeg: &Path, folder: &Path) {
    std::fs::create_dir_all(folder.join(VID)).unwrap();
    let picture = "-f lavfi -i testsrc2=size=640x360:rate=25:duration=14 -c:v libx264 -preset ultrafast -b:v 3M -g 50";
    let tone = "-f lavfi -i sine=frequency=440:duration=14 -c:a aac";
    for (source, itag) in [(picture, 134), (tone, 140)] {
        let path = folder.join(VID).join(format!("{itag}.mp4"));
        let fragments = "-movflags frag_keyframe+empty_moov+default_base_moof+global_sidx -frag_duration 2000000";
        let mut command = Command::new(ffmpeg);
        command.args(["-hide_banner", "-loglevel", "error"]).args(source.split(' ')).args(fragments.split(' '));
        command.arg(&path).stdin(Stdio::null()).kill_on_drop(true);
        let output = within("a film", command.output()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn library(folder: &Path) -> Library {
    Library::new(Arc::new(Local::new(folder)), Limits::default())
}

fn node(stage: &Stage, uid: &str, library: Library) -> Option<(Node, Shutdown)> {
    let mut config = stage.config(uid);
    // Chromium takes no part on loopback.
    config.rtc.listen = vec![SocketAddr::from(([0, 0, 0, 0], 0))];
    let shutdown = Shutdown::new();
    let node = Node::start(config, Arc::new(library), ClientTls::insecure().unwrap(), shutdown.clone()).unwrap();
    let alone = node.addresses().iter().all(|address| address.ip().is_loopback());
    (!alone).then_some((node, shutdown))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_plays_from_two_nodes_and_verifies() {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    let folder = tempfile::tempdir().unwrap();
    film(&ffmpeg, folder.path()).await;
    let stage = Stage::new().await;
    let library = library(folder.path());
    let Some((first, _stop)) = node(&stage, "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa", library.clone()) else { return };
    let Some((second, _stop)) = node(&stage, "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb", library.clone()) else { return };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, listener::Config::default()).await.unwrap();
    let address = listener.local_addr();
    let signal = format!("ws://{}/uid/", stage.address);
    let router = Face::new(Some(library.clone()))
        .router()
        .merge(page::router(library, page::Config { signal, ..page::Config::default() }));
    tokio::spawn(listener.serve(router, stage.shutdown.clone()));
    connected(&first, 1).await;
    let mut browser = Browser::open(&chromium, &format!("http://{address}/play/{VID}")).await;
    browser.until("globalThis.player?.video.currentTime > 1").await;
    // Both gave something, all of it was right, and what the page shows of them is what they say of it.
    let shown = browser.until("player.state.appended === 14 && JSON.stringify(player.state)").await;
    let state: serde_json::Value = serde_json::from_str(shown.as_str().unwrap()).unwrap();
    assert_eq!((&state["verified"], &state["wrong"], &state["unverified"]), (&14.into(), &0.into(), &0.into()));
    for node in [&first, &second] {
        let uid = node.uid();
        let page = node.peers().into_iter().find(|peer| peer.kind == Kind::Browser).unwrap();
        let got = browser.value(&format!("player.swarm.peers.get('{uid}').bytes")).await.as_u64().unwrap();
        assert!(got > 500_000 && page.sent >= got, "{got} {page:?}");
    }
}
