//! Streams copied between two upstreams, asked for by the API and by configuration.

use serde_json::{Value, json};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, media, until};

use crate::stage::{STREAM, Site, Upstream};

/// Asks an upstream for a relay, and returns its path in the API.
async fn begin(upstream: &Upstream, relay: &Value) -> String {
    let body = relay.to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = api::send("POST", &upstream.address, "/api/v1/relays", &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.header("location").unwrap().to_owned()
}

async fn until_state(upstream: &Upstream, path: &str, state: &str) -> Value {
    until(&format!("relay {state}"), || async {
        Some(api::get(&upstream.address, path).await).filter(|relay| relay["state"] == state)
    })
    .await
}

/// A relay of the site's stream from the first upstream to the second, asked for at one of them.
fn relay(protocol: &str, direction: &str, target: &str) -> Value {
    let stream = if direction == "push" { STREAM } else { "copy/door" };
    json!({ "direction": direction, "stream": stream, "target": target, "protocol": protocol })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_copied_by_every_protocol_and_goes_when_told() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    let (near, far) = (Upstream::start().await, Upstream::start().await);
    let _site = Site::with_stream(&near).await;
    let (whep, flv) = (format!("/whep/{STREAM}"), format!("/live/{STREAM}.flv"));
    for (asked, relay, state) in [
        (&near, relay("whip", "push", &far.url("http", "/whip/copy/door")), "PUBLISHING"),
        (&far, relay("whep", "pull", &near.url("http", &whep)), "PLAYING"),
        (&near, relay("ws", "push", &far.url("ws", "/live/copy/door.flv?publish=1")), "PUBLISHING"),
        (&far, relay("http", "pull", &near.url("http", &flv)), "PLAYING"),
    ] {
        let path = begin(asked, &relay).await;
        until_state(asked, &path, state).await;
        let decoded = media::decode(&ffmpeg, &far.url("http", "/live/copy/door.flv"), 30).await;
        assert_eq!((decoded.pictures, decoded.complaints.as_str()), (30, ""), "{relay}");
        let gone = api::request("DELETE", &asked.address, &path).await.unwrap();
        assert_eq!(gone.status, 204, "{relay}");
        api::gone(&far.address, "copy/door").await;
        // Nobody watches any more.
        api::until_stream(&near.address, STREAM, "offered").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_relay_comes_back_with_its_source() {
    let far = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("upstream.toml");
    let target = far.url("http", "/whip/copy/door");
    let relay =
        format!("[[relays]]\ndirection = 'push'\nstream = '{STREAM}'\ntarget = '{target}'\nprotocol = 'whip'\n");
    std::fs::write(&config, relay).unwrap();
    let more = ["--config", config.to_str().unwrap()];
    let near = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
    for _ in 0..2 {
        // Without its source it is tried again; with it the copy is there.
        let site = Site::with_stream(&near).await;
        api::until_stream(&far.address, "copy/door", "live").await;
        site.program.kill().await;
        api::gone(&far.address, "copy/door").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_cannot_be_says_why() {
    let (near, far) = (Upstream::start().await, Upstream::start().await);
    let _site = Site::with_stream(&near).await;
    for (target, said) in [
        (far.url("http", "/whip/bad%20name"), "400"),
        (far.url("http", "/api/v1/nothing"), "404"),
        ("http://127.0.0.1:1/whip/x".to_owned(), "127.0.0.1:1"),
        ("gopher://host/".to_owned(), "no http or https address"),
    ] {
        let mut relay = relay("whip", "push", &target);
        relay["retry"] = 0.into();
        let path = begin(&near, &relay).await;
        let failed = until_state(&near, &path, "FAILED").await;
        assert!(failed["reason"].as_str().unwrap().contains(said), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_on_demand_costs_nothing_while_nobody_watches() {
    let Some(ffmpeg) = find(Peer::NewFfmpeg) else { return };
    let (near, far) = (Upstream::start().await, Upstream::start().await);
    let _site = Site::with_stream(&near).await;
    let mut relay = relay("whep", "pull", &near.url("http", &format!("/whep/{STREAM}")));
    relay["on_demand"] = true.into();
    let path = begin(&far, &relay).await;
    for _ in 0..2 {
        until_state(&far, &path, "NEW").await;
        api::until_stream(&far.address, "copy/door", "offered").await;
        api::until_stream(&near.address, STREAM, "offered").await;
        let decoded = media::decode(&ffmpeg, &far.url("http", "/live/copy/door.flv"), 30).await;
        assert_eq!((decoded.pictures, decoded.complaints.as_str()), (30, ""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_begins_lists_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("upstream.toml");
    std::fs::write(&config, "[access]\napi_token = 'sesame'\n").unwrap();
    let more = ["--config", config.to_str().unwrap()];
    let upstream = Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await;
    let relay = async |arguments: &[&str]| {
        let server = ["--server", &upstream.url("http", "")];
        let mut command = tokio::process::Command::new(sluicegate_testbed::program::built("upstream"));
        let output = command.arg("relay").args(arguments).args(server).output();
        let output = sluicegate_testbed::soon("upstream relay", output).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    };
    let token = ["--token", "sesame"];
    let (code, said) = relay(&["list"]).await;
    assert!(code == 2 && said.contains("401") && said.contains("--token"), "{code} {said}");
    let push = ["add", "push", "cams/none", "http://127.0.0.1:1/whip/x", "--protocol", "whip", "--keep"];
    let (code, said) = relay(&[&push[..], &token].concat()).await;
    assert!(code == 0 && said.starts_with("1\tpush\tcams/none\t"), "{code} {said}");
    let (code, said) = relay(&[&push[..], &token].concat()).await;
    assert!(code == 2 && said.contains("409"), "{code} {said}");
    let (code, said) = relay(&["list", "--token", "sesame"]).await;
    assert!(code == 0 && said.lines().count() == 1, "{code} {said}");
    let saved = std::fs::read_to_string(std::path::Path::new(&upstream.state()).join("relays.json")).unwrap();
    assert!(saved.contains("cams/none"), "{saved}");
    let (code, said) = relay(&["remove", "1", "--token", "sesame"]).await;
    assert!(code == 0 && said.contains("removed 1"), "{code} {said}");
}
