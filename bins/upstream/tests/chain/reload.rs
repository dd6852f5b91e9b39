//! SIGHUP: both programs read their configuration again while they serve.

use std::path::Path;

use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, media, until};
use tempfile::TempDir;

use crate::device::Device;
use crate::stage::{SITE, Upstream};

fn write(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

async fn status(upstream: &Upstream, path: &str) -> u16 {
    api::request("GET", &upstream.address, path).await.unwrap().status
}

#[tokio::test]
async fn an_upstream_takes_new_access_rules_and_keeps_the_old_ones_when_they_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "");
    let mut upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &["--config", &path]).await;
    assert_eq!(status(&upstream, "/api/v1/sites").await, 200);

    write(&folder, "[access]\napi_token = 'secret'\n");
    upstream.program.signal("HUP").await;
    upstream.program.says("reloaded").await;
    assert_eq!(status(&upstream, "/api/v1/sites").await, 401);
    assert_eq!(status(&upstream, "/api/v1/sites?token=secret").await, 200);

    write(&folder, "[acess]\napi_token = 'other'\n");
    upstream.program.signal("HUP").await;
    upstream.program.says("not reloaded").await;
    upstream.program.says("acess").await;
    assert_eq!(status(&upstream, "/api/v1/sites?token=secret").await, 200);

    write(&folder, "[limits]\nviewer_stall = '20s'\n");
    upstream.program.signal("HUP").await;
    assert!(upstream.program.says("this change needs a restart").await.contains("limits"));
}

fn site_file(upstream: &Upstream, stream: &str, sample: &Path, service: &str, device: &Device) -> String {
    format!(
        "site = '{SITE}'\n[[upstreams]]\nurl = '{}'\n[streams.'{stream}']\nsource = 'file:{}'\n\
         [services.{service}]\nurl = '{}'\n",
        upstream.url("ws", ""),
        sample.display(),
        device.url()
    )
}

#[tokio::test]
async fn a_site_offers_other_streams_and_services() {
    let (upstream, device) = (Upstream::start().await, Device::start().await);
    let (folder, state, sample) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), media::sample());
    let path = write(&folder, &site_file(&upstream, "cams/door", &sample, "web", &device));
    let state = state.path().display().to_string();
    let mut site = Program::start("downstream", &["--config", &path, "--state-dir", &state]);
    let known = api::until_site(&upstream.address, SITE).await;
    assert_eq!(known["streams"][0], "cams/door-cam-7");
    assert_eq!(status(&upstream, "/proxy/cam-7/web/").await, 200);

    write(&folder, &site_file(&upstream, "cams/yard", &sample, "page", &device));
    site.signal("HUP").await;
    let yard = api::until_stream(&upstream.address, "cams/yard-cam-7", "offered").await;
    assert_eq!(yard["site"], SITE);
    let gone = || async { api::stream(&upstream.address, "cams/door-cam-7").await.is_null().then_some(()) };
    until("the old stream's end", gone).await;
    assert_eq!(status(&upstream, "/proxy/cam-7/page/").await, 200);
    assert_eq!(status(&upstream, "/proxy/cam-7/web/").await, 403);

    write(&folder, "nothing of this is known = 1\n");
    site.signal("HUP").await;
    site.says("not reloaded").await;
    assert_eq!(status(&upstream, "/proxy/cam-7/page/").await, 200);
}
