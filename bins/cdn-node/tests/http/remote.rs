//! Another server as the origin, well and ill.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Node;
use crate::server::{Reply, Server, document, file, origin};

/// A node on these servers, with short deadlines.
async fn node(bases: &str, more: &str) -> (Node, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let limits = "[limits]\norigin = '500ms'\norigin_silence = '500ms'\nnegative_time = '1min'\n";
    std::fs::write(&path, format!("{more}\n{limits}")).unwrap();
    (Node::start(&["--config", path.to_str().unwrap()], &[("BASE_URL", bases)]).await, folder)
}

#[tokio::test]
async fn all_that_the_origin_has_is_served_and_asked_for_once() {
    let server = Server::start(origin).await;
    let (node, _folder) = node(&server.url("/video"), "").await;
    let info = node.get("/video/testvideo01.json").await;
    assert_eq!((info.status, info.json()["title"].as_str()), (200, Some("a film")));
    assert!(!info.text().contains("10.0.0.1"), "addresses are not shown");
    let all = node.get("/video/testvideo01.json?info=all").await;
    assert!(all.text().contains("10.0.0.1"), "{all:?}");
    let part = node.get("/video/testvideo01/134/64-1063.ts").await;
    assert_eq!((part.status, part.body), (200, vec![1; 1_000]));
    let whole = node.get("/video/testvideo01/134.mp4").await;
    assert_eq!((whole.status, whole.header("last-modified")), (200, "Fri, 01 Jan 2021 00:00:00 GMT"));
    assert!(whole.body == file());
    let hash = node.get("/video/testvideo01/134/1.sha256").await.text();
    assert_eq!(hash, "0c70022fc37e6c83977f93693650a2e68963551acfdf512828018fdb4988a492\n");
    let captions = node.get("/video/testvideo01.xml?lang=fr").await;
    assert_eq!(
        (captions.text().as_str(), captions.header("content-type")),
        ("/video/testvideo01.xml?lang=fr", "text/xml; charset=UTF-8")
    );
    // Many at once, and one after the other.
    let many = join_all((0..20).map(|_| node.get("/video/testvideo02/134/64-99.ts"))).await;
    assert!(many.iter().all(|answer| answer.body == [1; 36]), "{:?}", many[0]);
    node.get("/video/testvideo02/134/64-99.ts").await;
    assert_eq!((server.count("testvideo02.json"), server.count("/64-99.ts")), (1, 1));
    // The index and the segment; the part asked for above is another range.
    assert_eq!((server.count("/8-63.ts"), server.count("/1064-3063.ts")), (1, 1));
    let metrics = node.get("/metrics").await.text();
    for line in [
        "sluicegate_p2p_cache_asked_total{store=\"media\",outcome=\"kept\"}",
        "sluicegate_p2p_cache_bytes{store=\"media\"}",
        "sluicegate_p2p_origin_requests_total{outcome=\"ok\"}",
        "sluicegate_p2p_origin_bytes_total",
        "sluicegate_p2p_http_answers_total{status=\"2xx\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(server.heard()[0].to_ascii_lowercase().contains("user-agent: sluicegate"), "{:?}", server.heard()[0]);
}

#[tokio::test]
async fn what_is_missing_is_said_once_and_known_for_a_while() {
    let script = |target: &str| match target {
        "/testdenied1.json" => Reply::status(204),
        "/testredir01.json" => Reply::Say(302, "Location: http://127.0.0.1:1/x.json\r\n", Vec::new()),
        "/testinvalid.json" => Reply::body("{}"),
        "/testbroken1.json" => Reply::status(500),
        _ => origin(target),
    };
    let server = Server::start(script).await;
    let (node, _folder) = node(&server.url(""), "").await;
    for _ in 0..3 {
        let missing = node.get("/video/missing0001.json").await;
        assert_eq!((missing.status, missing.json()["code"].as_i64()), (404, Some(-1)));
        assert_eq!(missing.header("cache-control"), "public,max-age=1");
    }
    assert_eq!(server.count("missing0001"), 1);
    assert_eq!(node.get("/video/testvideo01/999.mp4").await.status, 404);
    let denied = node.get("/video/testdenied1.json").await;
    assert_eq!((denied.status, denied.body.len()), (204, 0));
    for (vid, part) in [("testredir01", "follow_redirects"), ("testinvalid", "document"), ("testbroken1", "500")] {
        let answer = node.get(&format!("/video/{vid}.json")).await;
        assert_eq!(answer.status, 502, "{vid}");
        assert!(answer.text().contains(part) && !answer.text().contains("127.0.0.1"), "{}", answer.text());
    }
    // Nothing that is no name gets to the origin.
    for path in ["/video/..%2f..%2fxx.json", "/video/a?b.json", "/video/testvideo01/1345.mp4", "/video/ab.json"] {
        assert_eq!(node.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.heard().iter().filter(|head| head.contains("..")).count(), 0);
}

#[tokio::test]
async fn what_was_missing_is_found_when_it_is_there() {
    let asked = AtomicUsize::new(0);
    let script = move |target: &str| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(404),
        _ => origin(target),
    };
    let server = Server::start(script).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, "[limits]\nnegative_time = '200ms'\n").unwrap();
    let node = Node::start(&["--config", path.to_str().unwrap()], &[("BASE_URL", &server.url(""))]).await;
    assert_eq!(node.get("/video/testvideo01.json").await.status, 404);
    let found = || async { (node.get("/video/testvideo01.json").await.status == 200).then_some(()) };
    sluicegate_testbed::until("the video", found).await;
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn what_is_on_disk_outlives_a_restart() {
    let script = |target: &str| if target.ends_with(".json") { origin(target) } else { Reply::status(500) };
    let (good, ill) = (Server::start(origin).await, Server::start(script).await);
    let folder = tempfile::tempdir().unwrap();
    let kept = format!("cache_dir = {:?}", folder.path());
    let (first, _folder) = node(&good.url(""), &kept).await;
    assert_eq!(first.get("/video/testvideo01/134/64-1063.ts").await.status, 200);
    let is_written = || async {
        std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .any(|entry| entry.path().extension().is_none())
            .then_some(())
    };
    sluicegate_testbed::until("a file", is_written).await;
    first.program.kill().await;
    let (second, _folder) = node(&ill.url(""), &kept).await;
    assert_eq!(second.get("/video/testvideo01/134/64-1063.ts").await.body, [1; 1_000]);
    assert_eq!(second.get("/video/testvideo01/134/65-1063.ts").await.status, 502);
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_measured_and_served_as_a_whole() {
    let unknown = document("testvideo01").replace("\"len\":\"3064\"", "\"len\":\"\"");
    let script = move |target: &str| match target {
        "/testvideo01.json" => Reply::body(unknown.clone()),
        "/testvideo01/134.mp4" => Reply::body(file()),
        _ => origin(target),
    };
    let server = Server::start(script).await;
    let (node, _folder) = node(&server.url(""), "").await;
    for path in ["/video/testvideo01/134.mp4", "/video/testvideo01.mp4"] {
        assert!(node.get(path).await.body == file(), "{path}");
    }
    let part = node.ask("GET", "/video/testvideo01/134.mp4", &["Range: bytes=-2000"]).await;
    assert_eq!((part.status, part.body), (206, vec![2; 2_000]));
    assert_eq!((server.count("HEAD /testvideo01/134.mp4"), server.count("/134.mp4")), (1, 1));
}

#[tokio::test]
async fn one_request_that_hangs_is_noticed_by_nobody_else() {
    let script = |target: &str| if target.contains("testhang001") { Reply::Hang } else { origin(target) };
    let server = Server::start(script).await;
    let (node, _folder) = node(&server.url("/video"), "").await;
    let hanging = async {
        let began = Instant::now();
        let answers = join_all((0..10).map(|_| node.get("/video/testhang001.json"))).await;
        (answers, began.elapsed())
    };
    let others = async {
        let began = Instant::now();
        for _ in 0..20 {
            assert_eq!(node.get("/video/testvideo01/134/64-99.ts").await.status, 200);
        }
        began.elapsed()
    };
    let ((answers, waited), quick) = tokio::join!(hanging, others);
    assert!(answers.iter().all(|answer| answer.status == 504), "{answers:?}");
    assert!(waited >= Duration::from_millis(500), "{waited:?}");
    // Twenty requests one after the other, while the ten waited.
    assert!(quick < waited, "{quick:?} and {waited:?}");
    assert_eq!(server.count("testhang001"), 1);
}

#[tokio::test]
async fn an_ill_server_is_made_up_for_by_the_other() {
    for ill in [Reply::status(500), Reply::status(404), Reply::Close, Reply::Short(b"{".to_vec()), Reply::body("{")] {
        let answer = ill.clone();
        let (one, two) = (Server::start(move |_| answer.clone()).await, Server::start(origin).await);
        let (node, _folder) = node(&format!("{};{}", one.url("/a"), two.url("/b")), "").await;
        // Whichever comes first by chance.
        for number in 10..18 {
            let answer = node.get(&format!("/video/testvideo{number}/134/0-7.ts")).await;
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"\0\0\0\x08free"[..]), "{ill:?}");
        }
        assert!(two.heard().iter().all(|head| head.starts_with("GET /b/testvideo")));
    }
}

#[tokio::test]
async fn one_server_alone_is_asked_twice_when_the_connection_was_at_fault() {
    let asked = AtomicUsize::new(0);
    let script = move |target: &str| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 { Reply::Close } else { origin(target) }
    };
    let server = Server::start(script).await;
    let (node, _folder) = node(&server.url(""), "").await;
    assert_eq!(node.get("/video/testvideo01.json").await.status, 200);
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn parts_that_are_too_short_or_too_long_are_not_served() {
    let script = |target: &str| match target.rsplit('/').next() {
        Some("64-99.ts") => Reply::body([1; 35]),
        Some("64-98.ts") => Reply::body([1; 36]),
        Some("64-97.ts") => Reply::Short(vec![1; 33]),
        _ => origin(target),
    };
    let server = Server::start(script).await;
    let (node, _folder) = node(&server.url(""), "").await;
    for part in ["64-99", "64-98", "64-97"] {
        let answer = node.get(&format!("/video/testvideo01/134/{part}.ts")).await;
        assert_eq!(answer.status, 502, "{part}: {}", answer.text());
    }
    // An index that leads beyond the end.
    let cut = document("testvideo03").replace("3064", "3063");
    let script = move |target: &str| {
        if target.ends_with(".json") { Reply::body(cut.clone()) } else { origin(target) }
    };
    let server = Server::start(script).await;
    let (node, _folder) = self::node(&server.url(""), "").await;
    let answer = node.get("/video/testvideo03/134/0.sha256").await;
    assert!(answer.status == 502 && answer.text().contains("index"), "{answer:?}");
}

#[tokio::test]
async fn names_of_private_addresses_and_redirects_need_a_word() {
    let server = Server::start(origin).await;
    // Names that hosts have for themselves.
    for name in ["ip6-localhost", "localhost.localdomain"] {
        let found = tokio::net::lookup_host((name, 0)).await;
        if !found.is_ok_and(|mut found| found.any(|address| address.ip().is_loopback())) {
            continue;
        }
        let named = format!("http://{name}:1");
        for (more, part) in [("", "allow_private"), ("allow_private = true", "refused")] {
            let (node, _folder) = node(&named, more).await;
            let answer = node.get("/video/testvideo01.json").await;
            assert!(answer.status == 502 && answer.text().contains(part), "{name}: {answer:?}");
        }
    }
    let there = server.url("/testvideo01.json");
    let location: &'static str = Box::leak(format!("Location: {there}\r\n").into_boxed_str());
    let leads = Server::start(move |_| Reply::Say(302, location, Vec::new())).await;
    let (follows, _folder) = node(&leads.url(""), "follow_redirects = true").await;
    assert_eq!(follows.get("/video/testvideo01.json").await.status, 200);
    let leads = Server::start(|_| Reply::Say(302, "Location: http://127.0.0.2:1/\r\n", Vec::new())).await;
    let (follows, _folder) = node(&leads.url(""), "follow_redirects = true").await;
    assert_eq!(follows.get("/video/testvideo01.json").await.status, 502);
}

#[tokio::test]
async fn certificates_are_verified() {
    let server = Server::start(origin).await;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let arguments = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let first = Node::start(&arguments, &[("BASE_URL", &server.url("/video"))]).await;
    let base = format!("https://localhost:{}/video", first.address.rsplit(':').next().unwrap());
    let (distrusts, _folder) = node(&base, "").await;
    let answer = distrusts.get("/video/testvideo01.json").await;
    assert!(answer.status == 502 && answer.text().contains("certificate"), "{answer:?}");
    let (trusts, _folder) = node(&base, &format!("authorities = {certificate:?}")).await;
    assert_eq!(trusts.get("/video/testvideo01/134/64-99.ts").await.body, [1; 36]);
    assert_eq!(server.count("testvideo01.json"), 1);
}

/// A SOCKS5 proxy (RFC 1928) that leads every name to one server.
async fn socks(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let server = server.clone();
            tokio::spawn(async move {
                let mut greeting = [0; 2];
                socket.read_exact(&mut greeting).await.unwrap();
                let mut methods = vec![0; greeting[1].into()];
                socket.read_exact(&mut methods).await.unwrap();
                socket.write_all(&[5, 0]).await.unwrap();
                let mut request = [0; 5];
                socket.read_exact(&mut request).await.unwrap();
                // Connect, to a name.
                assert_eq!(request[..4], [5, 1, 0, 3]);
                let mut name = vec![0; usize::from(request[4]) + 2];
                socket.read_exact(&mut name).await.unwrap();
                assert!(name.starts_with(b"origin.invalid"), "{name:?}");
                socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                let mut other = TcpStream::connect(server).await.unwrap();
                // Either end may hang up.
                tokio::io::copy_bidirectional(&mut socket, &mut other).await.ok()
            });
        }
    });
    address
}

#[tokio::test]
async fn through_a_proxy_of_either_kind() {
    let server = Server::start(origin).await;
    let socks = format!("socks5://{}", socks(server.address.clone()).await);
    let bases = ("BASE_URL", "http://origin.invalid/video");
    let node = Node::start(&[], &[bases, ("VIDEO_PROXY", &socks)]).await;
    assert_eq!(node.get("/video/testvideo01/134/64-99.ts").await.body, [1; 36]);
    let http = server.url("");
    let node = Node::start(&[], &[bases, ("VIDEO_PROXY", &http)]).await;
    assert_eq!(node.get("/video/testvideo01/134/64-99.ts").await.body, [1; 36]);
    assert_eq!(server.count("GET http://origin.invalid/video/testvideo01.json"), 1);
}
