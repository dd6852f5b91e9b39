//! A WebRTC viewer whose link becomes too narrow for a camera's main stream, and wide again: it is moved to the sub stream
//! and back in the session that it has.

use serde_json::Value;
use sluicegate_netsim::Profile;
use sluicegate_testbed::browser::Browser;
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, built};

use crate::lossy::{LINK, UPSTREAM, counter, net, page, run, upstream};
use crate::stage::{SITE, STREAM};
use crate::variants::{encoder, site};
use crate::webrtc::call;

/// Waits for pictures of a height, and watches them and the sound for a while.
async fn watched(viewer: &mut Browser, height: u32) -> Value {
    viewer.until(&format!("video.videoHeight === {height}")).await;
    viewer.value("watch(4)").await
}

/// Waits until sound and pictures are in step as far as a browser brings them within seconds of a change of its path: each
/// stream has times of its own, which are many seconds apart from those of the other.
async fn until_in_step(viewer: &mut Browser) {
    viewer.until("watch(2).then(({apart}) => Math.abs(apart) < 200)").await;
}

/// Plays by a URL's query and narrows the link. Who sends to the viewer says that it has moved it.
async fn moves(query: &str, site_sends: bool) {
    let (Some(chromium), Some(ffmpeg)) = (find(Peer::Chromium), find(Peer::Ffmpeg)) else { return };
    let (Some(_curl), Some(net)) = (find(Peer::Curl), net(11).await) else { return };
    let wide = LINK.with_loss_ppm(0);
    net.set_profile(wide);
    let (mut upstream, _state) = upstream(&net).await;
    let folder = tempfile::tempdir().unwrap();
    let mut camera = camera(&net, &folder);
    let port = camera.says("listening on rtsp://").await.trim_end_matches('/').to_owned();
    let address = camera.address().await;
    let arguments = encoder(|name| format!("http://{address}/live/camera/{name}.flv"));
    let _encoder = run(&net, "encoder", &ffmpeg, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let (config, state, dial) = (site(&port, &folder), folder.path().join("site"), format!("ws://{UPSTREAM}"));
    let arguments =
        ["--config", &config, "--upstream", &dial, "--site", SITE, "--state-dir", &state.display().to_string()];
    let mut site = run(&net, "downstream", &built("downstream"), &arguments);
    site.says("connected").await;

    let mut viewer = page(&net, &chromium).await;
    assert_eq!(call(&mut viewer, "play", &format!("http://{UPSTREAM}/whep/{STREAM}{query}")).await, true);
    viewer.until("inbound('video').then(({framesDecoded}) => framesDecoded > 50)").await;
    let first = viewer.value("[session, pc.connectionState]").await;
    let rich = watched(&mut viewer, 180).await;

    net.set_profile(Profile { rate: Some(1_000_000), queue_bytes: 64 * 1024, ..wide });
    let sender = if site_sends { &mut site } else { &mut upstream };
    sender.says("WebRTC viewer moved").await;
    let lean = watched(&mut viewer, 90).await;
    net.set_profile(wide);
    until_in_step(&mut viewer).await;
    sender.says("WebRTC viewer moved").await;
    let again = watched(&mut viewer, 180).await;
    until_in_step(&mut viewer).await;

    let number = |seen: &Value, key: &str| seen[key].as_f64().unwrap_or(f64::NAN);
    for (seen, least) in [(&rich, 0.8), (&lean, 0.5), (&again, 0.8)] {
        assert!(number(seen, "decoded") >= least * 25.0 * number(seen, "seconds"), "{rich} {lean} {again}");
        assert!(number(seen, "energy") > 0.0, "{rich} {lean} {again}");
    }
    assert_eq!(viewer.value("[session, pc.connectionState]").await, first);
    if !site_sends {
        for direction in ["down", "up"] {
            let name = format!("sluicegate_webrtc_variant_switches_total{{direction=\"{direction}\"}}");
            assert!(counter(&net, &name).await >= 1.0, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_on_a_narrow_link_is_moved_to_the_sub_stream_and_back() {
    moves("", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_one_whose_pictures_come_straight_from_the_site() {
    moves("?via=site", true).await;
}

/// An upstream of its own that stands for a camera, with a port for RTSP.
fn camera(net: &sluicegate_netsim::Net, folder: &tempfile::TempDir) -> Program {
    let path = folder.path().join("camera.toml");
    std::fs::write(&path, "[rtsp]\nlisten = '127.0.0.1:0'\n").unwrap();
    let (config, state) = (path.display().to_string(), folder.path().join("camera").display().to_string());
    let arguments = ["--listen", "127.0.0.1:0", "--config", &config, "--state-dir", &state];
    run(net, "camera", &built("upstream"), &arguments)
}
