//! Our site under an original upstream: it falls back, answers, pushes, and survives what the original does.

use serde_json::Value;
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{media, soon};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;

use crate::original::{self, Seen};

const CORRUPTED: &[u8] =
    include_bytes!("../../../../crates/ws-stream/testdata/concurrent-writers-corruption.upstream-to-downstream.bin");

/// A site of this upstream; the configuration goes on with `more`.
fn site(upstream: &str, more: &str) -> (Program, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("downstream.toml");
    let text = format!("site = 'test-c001'\nname = 'gate'\n[[upstreams]]\nurl = 'ws://{upstream}'\n{more}");
    std::fs::write(&path, text).unwrap();
    let state = folder.path().display().to_string();
    (Program::start("downstream", &["--config", path.to_str().unwrap(), "--state-dir", &state]), folder)
}

/// The next registration, past requests for routes that an original does not know.
async fn registered(seen: &mut Receiver<Seen>) -> (String, TcpStream) {
    let next = async {
        loop {
            if let Seen::Register(target, socket) = seen.recv().await.unwrap() {
                return (target, socket);
            }
        }
    };
    soon("a registration", next).await
}

async fn answer(socket: &mut TcpStream) -> (i64, String) {
    let message: Value = soon("an answer", original::said(socket)).await.unwrap();
    assert_eq!(message["type"], 2, "{message}");
    (message["sn"].as_i64().unwrap(), String::from_utf8(original::pad(&message)).unwrap())
}

/// A device that answers every request with its path.
async fn device() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await?);
                }
                let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                socket.write_all(answer.as_bytes()).await
            });
        }
    });
    address
}

#[tokio::test]
async fn it_falls_back_registers_and_answers_every_request() {
    let (upstream, mut seen) = original::start().await;
    let device = device().await;
    let more = format!("[services.web]\nurl = 'http://{device}'\n[m7s]\ndefault_service = 'web'\n");
    let (_site, _folder) = site(&upstream, &more);
    let Seen::Unknown(first) = soon("the first dial", seen.recv()).await.unwrap() else { panic!("no native dial") };
    assert_eq!(first, "/cascade/v1/link");
    let (target, mut socket) = registered(&mut seen).await;
    assert_eq!(target, "/erwscascade/wsocket/register%3Fcid=test-c001");
    let info = soon("the info", original::said(&mut socket)).await.unwrap();
    assert_eq!((&info["sn"], &info["type"]), (&1.into(), &0.into()));
    let info: Value = serde_json::from_slice(&original::pad(&info)).unwrap();
    assert_eq!((&info["cid"], &info["name"]), (&"test-c001".into(), &"gate".into()));

    let urls = [
        "/a?b=1".to_owned(),
        format!("http://{device}/c"),
        "http://10.1.2.3/x".into(),
        "/erwscascade/api/streamlist".into(),
    ];
    for (sn, url) in (1..).zip(&urls) {
        original::ask(&mut socket, sn, url).await;
    }
    let mut answers = Vec::new();
    for _ in &urls {
        answers.push(answer(&mut socket).await);
    }
    answers.sort();
    let bodies: Vec<_> = answers.into_iter().map(|(_, body)| body).collect();
    assert_eq!((bodies[0].as_str(), bodies[1].as_str(), bodies[3].as_str()), ("/a?b=1", "/c", "[]"));
    assert!(bodies[2].contains("none of the services"), "{}", bodies[2]);
}

#[tokio::test]
async fn it_pushes_what_is_always_wanted_in_the_form_that_the_original_reads() {
    let (upstream, mut seen) = original::start().await;
    let more = format!("[streams.'live/test']\nsource = 'file:{}'\nalways = true\n", media::sample().display());
    let (_site, _folder) = site(&upstream, &more);
    let (_, mut socket) = registered(&mut seen).await;
    tokio::spawn(async move { while original::said(&mut socket).await.is_some() {} });
    let mut kinds = Vec::new();
    while kinds.len() < 40 {
        if let Seen::Tag(target, tag) = soon("a tag", seen.recv()).await.unwrap() {
            assert_eq!(target, "/erwscascade/wspush/live/test?cid=test-c001");
            let size = usize::try_from(u32::from_be_bytes([0, tag[1], tag[2], tag[3]])).unwrap();
            assert_eq!(tag.len(), size + 15);
            kinds.push(tag[0]);
        }
    }
    assert!(kinds.contains(&8) && kinds.contains(&9), "{kinds:?}");
}

#[tokio::test]
async fn interleaved_writers_cost_the_connection_and_no_more() {
    let (upstream, mut seen) = original::start().await;
    let (mut site, _folder) = site(&upstream, "");
    let (_, mut socket) = registered(&mut seen).await;
    soon("the info", original::said(&mut socket)).await.unwrap();
    // What an original wrote under load. The site may hang up before it has all of it.
    let _ = socket.write_all(CORRUPTED).await;
    drop(site.says("disconnected").await);
    let (_, mut again) = registered(&mut seen).await;
    soon("the info", original::said(&mut again)).await.unwrap();
    original::ask(&mut again, 1, "/erwscascade/api/streamlist").await;
    assert_eq!(answer(&mut again).await, (1, "[]".to_owned()));
}

#[tokio::test]
async fn an_old_and_a_new_upstream_at_once() {
    let (original, mut seen) = original::start().await;
    let state = tempfile::tempdir().unwrap();
    let state = state.path().display().to_string();
    let mut ours = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state]);
    let address = ours.address().await;
    let more = format!(
        "[[upstreams]]\nurl = 'ws://{address}'\n[streams.'live/test']\nsource = 'file:{}'\n",
        media::sample().display()
    );
    let (_site, _folder) = site(&original, &more);
    let known = sluicegate_testbed::api::until_site(&address, "test-c001").await;
    assert_eq!((&known["protocol"], &known["streams"][0]), (&"native".into(), &"live/test-test-c001".into()));
    let (_, mut socket) = registered(&mut seen).await;
    soon("the info", original::said(&mut socket)).await.unwrap();
    original::ask(&mut socket, 1, "/erwscascade/api/streamlist").await;
    let (_, list) = answer(&mut socket).await;
    assert!(list.starts_with('['), "{list}");
}

#[tokio::test]
async fn a_token_forbids_the_fall_back() {
    let (upstream, mut seen) = original::start().await;
    let (mut site, _folder) = site(&upstream, "token = 'secret'\n");
    let refusal = site.says("cannot connect").await;
    assert!(refusal.contains("404"), "{refusal}");
    while let Ok(Seen::Unknown(target)) = seen.try_recv().map_err(|_| ()) {
        assert_eq!(target, "/cascade/v1/link");
    }
}
