//! RTMP at the site: encoders publish to its port, it pulls from servers, and pages have streams pushed to them.

use std::path::Path;

use sluicegate_testbed::media::{Decoded, decode, publish};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, media};
use tempfile::TempDir;

const PICTURES: u32 = 50;

/// An upstream, and sites that dial it.
struct Stage {
    _upstream: Program,
    address: String,
    folder: TempDir,
}

impl Stage {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().display().to_string();
        let mut upstream = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state]);
        let address = upstream.address().await;
        Self { _upstream: upstream, address, folder }
    }

    /// A site with a port for RTMP, and that port.
    async fn site(&self, id: &str, more: &[&str]) -> (Program, String) {
        let (url, state) = (format!("ws://{}", self.address), self.folder.path().join(id).display().to_string());
        let mut arguments = vec!["--upstream", &url, "--site", id, "--state-dir", &state, "--rtmp", "127.0.0.1:0"];
        arguments.extend(more);
        let mut site = Program::start("downstream", &arguments);
        let port = site.says("listening on rtmp://").await.trim_end_matches('/').to_owned();
        (site, port)
    }

    async fn plays(&self, ffmpeg: &Path, stream: &str) {
        let url = format!("http://{}/live/{stream}.flv", self.address);
        good(&decode(ffmpeg, &url, PICTURES).await, &url);
    }
}

fn good(decoded: &Decoded, url: &str) {
    assert_eq!(*decoded, Decoded { pictures: PICTURES.into(), complaints: String::new() }, "{url}");
}

#[tokio::test]
async fn an_encoder_publishes_at_the_site_and_the_upstream_shows_it() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let (_site, port) = stage.site("gate", &["--stream", "cams/hall=listen:rtmp"]).await;
    let _encoder = publish(&ffmpeg, &format!("rtmp://{port}/cams/hall"));
    api::until_site(&stage.address, "gate").await;
    stage.plays(&ffmpeg, "cams/hall-gate").await;
}

#[tokio::test]
async fn a_site_pulls_from_a_server_while_somebody_watches() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let (_server, port) = stage.site("server", &[]).await;
    let mut encoder = publish(&ffmpeg, &format!("rtmp://{port}/cams/hall"));
    let source = format!("cams/copy=rtmp://{port}/cams/hall");
    let (mut site, _) = stage.site("gate", &["--stream", &source]).await;
    assert!(encoder.is_running() && !site.said().contains("source started"), "{}", site.said());
    api::until_site(&stage.address, "gate").await;
    stage.plays(&ffmpeg, "cams/copy-gate").await;
    site.says("source stopped: nobody watches").await;
}

#[tokio::test]
async fn a_page_has_a_stream_pushed_to_a_server() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let (_server, port) = stage.site("server", &[]).await;
    let path = stage.folder.path().join("gate.toml");
    let text = format!(
        "push_targets = ['rtmp://{port}/live', 'rtmp://127.0.0.1:1/live']\n[streams.'cams/door']\nsource = 'file:{}'\n",
        media::sample().display()
    );
    std::fs::write(&path, text).unwrap();
    let (_site, _) = stage.site("gate", &["--config", path.to_str().unwrap()]).await;
    let address = &stage.address;
    api::until_site(address, "gate").await;
    let push = |route: &'static str, target: String| async move {
        let path = format!("{route}?streamPath=cams/door&target={target}");
        let path = format!("/erwscascade/httpproxy/?cid=gate&httpPath={path}");
        let answer = api::request("GET", address, &path).await.unwrap();
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let target = |name: &str| format!("rtmp://{port}/live/{name}");
    assert_eq!(push("/rtmp/api/push", target("one")).await, (200, "ok\n".to_owned()));
    good(&decode(&ffmpeg, &target("one"), PICTURES).await, "one");
    assert_eq!(push("/erwscascade/api/push", target("two")).await, (200, "ok\n".to_owned()));
    let (status, text) = push("/rtmp/api/push", "rtmp://127.0.0.1:1/live/x&repush=0".to_owned()).await;
    assert!(status == 502 && text.contains("cannot connect") && !text.contains("tried again"), "{status} {text}");
    let (status, text) = push("/rtmp/api/push", format!("rtmp://{port}/other/x")).await;
    assert!(status == 403 && text.contains("push_targets"), "{status} {text}");
}

#[tokio::test]
async fn a_push_goes_on_when_its_server_comes_back() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let stage = Stage::start().await;
    let (server, port) = stage.site("server", &[]).await;
    let path = stage.folder.path().join("gate.toml");
    let text = format!(
        "push_targets = ['rtmp://{port}']\n[streams.'cams/door']\nsource = 'file:{}'\n",
        media::sample().display()
    );
    std::fs::write(&path, text).unwrap();
    let (_site, _) = stage.site("gate", &["--config", path.to_str().unwrap()]).await;
    api::until_site(&stage.address, "gate").await;
    let push = format!("/rtmp/api/push?streamPath=cams/door&target=rtmp://{port}/live/one");
    let ask = format!("/erwscascade/httpproxy/?cid=gate&httpPath={push}");
    assert_eq!(api::request("GET", &stage.address, &ask).await.unwrap().status, 200);
    server.kill().await;
    // Another one at the same port, which is free: the first was waited for.
    let url = format!("ws://{}", stage.address);
    let state = stage.folder.path().join("again").display().to_string();
    let arguments = ["--upstream", &url, "--site", "server", "--state-dir", &state, "--rtmp", &port];
    let mut again = Program::start("downstream", &arguments);
    again.says("listening on rtmp://").await;
    let url = format!("rtmp://{port}/live/one");
    good(&decode(&ffmpeg, &url, PICTURES).await, &url);
}
