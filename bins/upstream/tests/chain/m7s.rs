//! A fleet of the m7s plugin under our upstream: sites register, answer, push; pages use the plugin's routes.

use std::time::Duration;

use sluicegate_testbed::media::{self, Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::{api, until};
use tokio::time::Instant;

use crate::device::Device;
use crate::original::{self, Original};
use crate::stage::{Site, Upstream};

const CID: &str = "test-c001";

async fn get(address: &str, path: &str) -> api::Answer {
    api::request("GET", address, path).await.unwrap()
}

fn ask(upstream: &Upstream, path: &str) -> tokio::task::JoinHandle<api::Answer> {
    let (address, path) = (upstream.address.clone(), path.to_owned());
    tokio::spawn(async move { get(&address, &path).await })
}

/// Starts an upstream with this configuration.
async fn configured(text: &str) -> (Upstream, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    std::fs::write(&path, text).unwrap();
    let more = ["--config", path.to_str().unwrap()];
    (Upstream::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &more).await, folder)
}

#[tokio::test]
async fn an_original_site_answers_in_every_spelling() {
    let upstream = Upstream::start().await;
    let mut site = Original::register(&upstream.address, "", CID).await;
    let known = api::until_site(&upstream.address, CID).await;
    assert_eq!((&known["services"][0], &known["protocol"]), (&"m7s".into(), &"m7s".into()), "{known}");
    let spellings = [
        "/erwscascade/httpproxy/?cid=test-c001&httpPath=/erwscascade/api/streamlist",
        "/erwscascade/httpproxy/erwscascade/api/streamlist?cid=test-c001",
        "/erwscascade/httpproxy/?httpPath=erwscascade/api/streamlist?cid=test-c001",
        "/erwscascade/api/streamlist?cid=test-c001",
        "/proxy/test-c001/m7s/erwscascade/api/streamlist",
    ];
    for path in spellings {
        let answer = ask(&upstream, path);
        let request = site.asked().await;
        assert_eq!(
            (&request["url"], &request["method"]),
            (&"/erwscascade/api/streamlist".into(), &"GET".into()),
            "{path}"
        );
        site.answer(br#"[{"Source":"api","StreamPath":"live/test"}]"#).await;
        let answer = answer.await.unwrap();
        let head = answer.head.to_ascii_lowercase();
        assert_eq!(answer.status, 200, "{path}: {head}");
        assert!(answer.body.starts_with(b"[{\"Source\""), "{path}");
        assert!(head.contains("application/json") && head.contains("x-site-protocol: m7s"), "{head}");
    }
    let clients = api::get(&upstream.address, "/erwscascade/api/clientlist").await;
    assert_eq!((&clients[0]["cid"], &clients[0]["name"]), (&CID.into(), &"gate".into()), "{clients}");
    assert_eq!(get(&upstream.address, "/erwscascade/httpproxy/x?cid=nobody").await.status, 404);
    assert_eq!(get(&upstream.address, "/erwscascade/httpproxy/x").await.status, 400);
}

#[tokio::test]
async fn answers_are_never_another_ones() {
    let (upstream, _folder) = configured("[m7s]\ndeadline = '2s'\n").await;
    let mut site = Original::register(&upstream.address, "", CID).await;
    api::until_site(&upstream.address, CID).await;
    let lost = ask(&upstream, "/proxy/test-c001/m7s/lost");
    assert_eq!(site.asked().await["url"], "/lost");
    let begun = Instant::now();
    let answers: Vec<_> = (0..20).map(|number| ask(&upstream, &format!("/proxy/test-c001/m7s/{number}"))).collect();
    // The original is silent about a request that fails, and works on in order.
    site.fail();
    for _ in 0..answers.len() {
        let url = site.asked().await["url"].as_str().unwrap().to_owned();
        site.answer(format!("answer to {url}").as_bytes()).await;
    }
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(String::from_utf8(answer.await.unwrap().body).unwrap(), format!("answer to /{number}"));
    }
    assert_eq!(lost.await.unwrap().status, 504);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn answers_out_of_order_and_late_ones_find_their_askers_or_nobody() {
    let (upstream, _folder) = configured("[m7s]\ndeadline = '2s'\n").await;
    let mut site = Original::register(&upstream.address, "", CID).await;
    api::until_site(&upstream.address, CID).await;
    let first = ask(&upstream, "/proxy/test-c001/m7s/first");
    assert_eq!(site.asked().await["url"], "/first");
    let second = ask(&upstream, "/proxy/test-c001/m7s/second");
    assert_eq!(site.asked().await["url"], "/second");
    site.answer_newest(b"second").await;
    assert_eq!(second.await.unwrap().body, b"second");
    assert_eq!(first.await.unwrap().status, 504);
    let third = ask(&upstream, "/proxy/test-c001/m7s/third");
    assert_eq!(site.asked().await["url"], "/third");
    // The first answer comes after its asker was told that there is none.
    site.answer(b"first").await;
    site.answer(b"third").await;
    assert_eq!(third.await.unwrap().body, b"third");
}

#[tokio::test]
async fn a_second_registration_takes_the_place_of_the_first() {
    let upstream = Upstream::start().await;
    let mut first = Original::register(&upstream.address, "", CID).await;
    api::until_site(&upstream.address, CID).await;
    let mut second = Original::register(&upstream.address, "", CID).await;
    assert!(first.is_cut().await);
    drop(first);
    let answer = ask(&upstream, "/proxy/test-c001/m7s/x");
    second.asked().await;
    second.answer(b"of the second").await;
    assert_eq!(answer.await.unwrap().body, b"of the second");
    drop(second);
    until("the end", || async { api::site(&upstream.address, CID).await.is_null().then_some(()) }).await;
}

#[tokio::test]
async fn a_site_that_is_silent_is_gone_within_ten_seconds() {
    let upstream = Upstream::start().await;
    // This script answers no pings, as a site whose network is gone.
    let _site = Original::register(&upstream.address, "", CID).await;
    api::until_site(&upstream.address, CID).await;
    let begun = Instant::now();
    until("the end", || async { api::site(&upstream.address, CID).await.is_null().then_some(()) }).await;
    assert!(begun.elapsed() <= Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn ffmpeg_plays_what_came_by_the_quirk() {
    let Some(ffmpeg) = find(Peer::Ffmpeg) else { return };
    let upstream = Upstream::start().await;
    let flv = std::fs::read(media::sample()).unwrap();
    let target = "/erwscascade/wspush/cams/door?cid=test-c001";
    let push = original::push_file(&upstream.address, target, &flv).await;
    api::until_stream(&upstream.address, "cams/door-test-c001", "live").await;
    let url = upstream.url("http", "/live/cams/door-test-c001.flv");
    assert_eq!(decode(&ffmpeg, &url, 50).await, Decoded { pictures: 50, complaints: String::new() });
    push.abort();
}

#[tokio::test]
async fn a_push_that_breaks_off_may_come_back() {
    let upstream = Upstream::start().await;
    let target = "/erwscascade/wspush/one?cid=test-c001";
    let flv = std::fs::read(media::sample()).unwrap();
    let push = original::push_file(&upstream.address, target, &flv).await;
    api::until_stream(&upstream.address, "one-test-c001", "live").await;
    push.abort();
    let gone = || async { (api::stream(&upstream.address, "one-test-c001").await["state"] != "live").then_some(()) };
    until("the end of the push", gone).await;
    let again = original::push_file(&upstream.address, target, &flv).await;
    api::until_stream(&upstream.address, "one-test-c001", "live").await;
    again.abort();
}

#[tokio::test]
async fn what_a_site_sends_never_runs_on_our_origin() {
    let upstream = Upstream::start().await;
    let mut site = Original::register(&upstream.address, "", CID).await;
    api::until_site(&upstream.address, CID).await;
    let answer = ask(&upstream, "/erwscascade/httpproxy/page?cid=test-c001");
    site.asked().await;
    site.answer(b"<html><script>steal()</script></html>").await;
    let head = answer.await.unwrap().head.to_ascii_lowercase();
    assert!(head.contains("text/plain") && head.contains("nosniff") && head.contains("sandbox"), "{head}");
}

#[tokio::test]
async fn the_recorded_push_is_published() {
    let upstream = Upstream::start().await;
    let _push = original::push(&upstream.address).await;
    let stream = api::until_stream(&upstream.address, "live/test-test-c001", "live").await;
    assert_eq!(stream["publisher"], "m7s", "{stream}");
    let decoded = || async {
        let stream = api::stream(&upstream.address, "live/test-test-c001").await;
        (stream["frames_in"].as_u64() > Some(20)).then_some(stream)
    };
    let stream = until("the frames of the push", decoded).await;
    assert!(stream["tracks"].to_string().contains("avc1"), "{stream}");
    let list = api::get(&upstream.address, "/erwscascade/api/streamlist").await;
    assert_eq!(list[0]["StreamPath"], "live/test-test-c001", "{list}");
}

#[tokio::test]
async fn a_site_needs_its_token_or_a_place_on_the_list() {
    let configuration = "open = false\nlisten = '127.0.0.1:0'\n[m7s]\ncids = ['listed']\n";
    let (upstream, _folder) = configured(configuration).await;
    let output =
        sluicegate_testbed::program::run("upstream", &["site", "add", CID, "--state-dir", &upstream.state()]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let token = said.split_whitespace().max_by_key(|word| word.len()).unwrap();
    let register = |prefix: &str, cid: &str| format!("{prefix}/erwscascade/wsocket/register%3Fcid={cid}");
    let status = |target: String| {
        let address = upstream.address.clone();
        async move { original::status(&address, &target).await }
    };
    // The running server notices a new token within a second.
    until("the token", || async { (status(register("", CID)).await == 401).then_some(()) }).await;
    assert_eq!(status(register("/t/wrong", CID)).await, 401);
    assert_eq!(status(register(&format!("/t/{token}"), "other")).await, 403);
    assert_eq!(status(register("", "listed")).await, 101);
    assert_eq!(status("/erwscascade/wsocket/register".to_owned()).await, 400);
    let _site = Original::register(&upstream.address, &format!("/t/{token}"), CID).await;
    api::until_site(&upstream.address, CID).await;
    let _prefixed = Original::register(&upstream.address, "/cascade", "listed").await;
    api::until_site(&upstream.address, "listed").await;
}

#[tokio::test]
async fn a_native_site_answers_on_the_same_routes() {
    let (upstream, device) = (Upstream::start().await, Device::start().await);
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("downstream.toml");
    let text = format!("[services.web]\nurl = '{}'\n[m7s]\ndefault_service = 'web'\n", device.url());
    std::fs::write(&path, text).unwrap();
    let _state = state;
    let _site = Site::dial(&upstream, &["--config", path.to_str().unwrap()]);
    api::until_site(&upstream.address, crate::stage::SITE).await;
    let page = get(&upstream.address, "/erwscascade/httpproxy/?cid=cam-7").await;
    assert!(page.status == 200 && page.head.to_ascii_lowercase().contains("x-device: yes"), "{}", page.head);
    let teapot = get(&upstream.address, "/erwscascade/httpproxy/?cid=cam-7&httpPath=/teapot?leaf=green").await;
    assert_eq!((teapot.status, teapot.body), (418, b"short and stout".to_vec()));
    let listed = get(&upstream.address, &format!("/erwscascade/httpproxy/?cid=cam-7&httpPath={}/", device.url())).await;
    assert_eq!(listed.status, 200);
    let elsewhere = get(&upstream.address, "/erwscascade/httpproxy/?cid=cam-7&httpPath=http://10.1.2.3/").await;
    assert!(elsewhere.status == 403 && String::from_utf8_lossy(&elsewhere.body).contains("10.1.2.3"));
    let streams = get(&upstream.address, "/erwscascade/api/streamlist?cid=cam-7").await;
    assert_eq!((streams.status, streams.body), (200, b"[]".to_vec()));
}

/// A site with the sample, whose pages may push to `target`.
fn pushing_site(
    upstream: &Upstream,
    target: &Upstream,
    folder: &tempfile::TempDir,
) -> sluicegate_testbed::program::Program {
    let path = folder.path().join("downstream.toml");
    let text = format!(
        "site = 'cam-7'\npush_targets = ['{}', 'ws://127.0.0.1:1']\n[[upstreams]]\nurl = '{}'\n\
         [streams.'cams/door']\nsource = 'file:{}'\n",
        target.url("ws", ""),
        upstream.url("ws", ""),
        media::sample().display()
    );
    std::fs::write(&path, text).unwrap();
    let state = folder.path().display().to_string();
    let arguments = ["--config", path.to_str().unwrap(), "--state-dir", &state];
    sluicegate_testbed::program::Program::start("downstream", &arguments)
}

#[tokio::test]
async fn a_page_has_a_stream_pushed_and_is_told_the_truth() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let folder = tempfile::tempdir().unwrap();
    let site = pushing_site(&upstream, &other, &folder);
    api::until_site(&upstream.address, crate::stage::SITE).await;
    let push = |stream: &str, target: &str, more: &str| {
        let path = format!("/erwscascade/api/push?streamPath={stream}&target={target}{more}");
        ask(&upstream, &format!("/erwscascade/httpproxy/?cid=cam-7&httpPath={path}"))
    };
    let there = other.url("ws", "/erwscascade/wspush/copy/door?cid=gate");
    let there = there.replace('?', "%3F");
    let answer = push("cams/door", &there, "&save").await.unwrap();
    assert_eq!((answer.status, answer.body), (200, b"ok\n".to_vec()));
    api::until_stream(&other.address, "copy/door-gate", "live").await;
    let plain = other.url("ws", "/live/plain/door.flv%3Fpublish=1");
    assert_eq!(push("cams/door", &plain, "").await.unwrap().status, 200);
    api::until_stream(&other.address, "plain/door", "live").await;

    let said = |answer: api::Answer| (answer.status, String::from_utf8(answer.body).unwrap());
    let (status, text) = said(push("cams/nothing", &there, "").await.unwrap());
    assert!(status == 404 && text.contains("no stream cams/nothing"), "{text}");
    let (status, text) = said(push("cams/door", "ws://127.0.0.2:9/x", "").await.unwrap());
    assert!(status == 403 && text.contains("push_targets"), "{text}");
    let (status, text) = said(push("cams/door", "srt://127.0.0.1/x", "").await.unwrap());
    assert!(status == 501 && text.contains("srt"), "{text}");
    let (status, text) = said(push("cams/door", "ws://127.0.0.1:1/x", "&repush=0").await.unwrap());
    assert!(status == 502 && !text.contains("tried again"), "{text}");

    // What was saved is pushed again by the next run, what was not is not.
    site.kill().await;
    for stream in ["copy/door-gate", "plain/door"] {
        let gone = || async { api::stream(&other.address, stream).await.is_null().then_some(()) };
        until("the end of the push", gone).await;
    }
    let _site = pushing_site(&upstream, &other, &folder);
    api::until_stream(&other.address, "copy/door-gate", "live").await;
    assert!(api::stream(&other.address, "plain/door").await.is_null());
}
