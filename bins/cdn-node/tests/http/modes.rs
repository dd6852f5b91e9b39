//! How the program starts, refuses to start, and ends.

use sluicegate_testbed::soon;

use crate::client::{Node, command};
use crate::server::{Server, origin};

const ID: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";

async fn output(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = soon("cdn-node", command(arguments, environment).output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn without_an_origin_videos_are_503_and_all_else_works() {
    let mut node = Node::start(&[], &[]).await;
    for path in ["/video/testvideo01.json", "/video/testvideo01/134.mp4", "/video/testvideo01/134/0-9.ts"] {
        let answer = node.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.text().contains("BASE_URL") && answer.text().contains("media"), "{}", answer.text());
    }
    let status = node.get("/status").await;
    let keys: Vec<String> = status.json().as_object().unwrap().keys().cloned().collect();
    let known =
        ["CPUNum", "GoVersion", "Hostname", "MemAllocated", "MemSys", "MemTotal", "NumGoroutine", "Pid", "Uptime"];
    assert_eq!(keys, known);
    assert!(status.json()["MemTotal"].as_u64().unwrap() > 1_000);
    // Without a chunk node there are no peers to tell of.
    assert_eq!(node.get("/peers").await.status, 404);
    assert_eq!(node.get("/healthz").await.text(), "ok\n");
    assert_eq!(node.get("/metrics").await.status, 200);
    node.program.signal("TERM").await;
    assert_eq!(node.program.ended().await, Some(0));
}

#[tokio::test]
async fn with_an_id_and_a_signalling_server_it_is_a_chunk_node_too() {
    let server = Server::start(origin).await;
    let environment = [("ID", ID), ("BASE_URL", &server.url("/video"))];
    let mut node = Node::start(&["--signal"], &environment).await;
    let peers = node.get("/peers").await;
    assert_eq!((peers.status, peers.json()["ID"].as_str()), (200, Some(ID)));
    assert!(peers.json()["Peers"].as_object().unwrap().is_empty());
    node.get("/video/testvideo01.json").await;
    node.get("/video/missing0001.json").await;
    let videos = node.get("/peers?t=video").await.json();
    assert_eq!(videos["Videos"]["testvideo01"]["title"], "a film");
    assert!(videos["Videos"]["missing0001"].is_null() && videos["Queues"].is_object() && videos["Time"].is_string());
    node.program.signal("TERM").await;
    assert_eq!(node.program.ended().await, Some(0));
}

#[tokio::test]
async fn what_is_wrong_is_said_at_the_start() {
    let (code, _, said) = output(&["-p", "0"], &[("ID", "short"), ("WS_ADDR", "ws://127.0.0.1:1/uid/")]).await;
    assert!(code == Some(2) && said.contains("36"), "{said}");
    let environment = [("BASE_URL", "nonsense"), ("VIDEO_PROXY", "gopher://x")];
    let (code, _, said) = output(&["--media", "/no/such/folder"], &environment).await;
    assert!(code == Some(2) && said.contains("/no/such/folder") && said.contains("VIDEO_PROXY"), "{said}");
    let (code, _, said) = output(&[], &environment).await;
    assert!(code == Some(2) && said.contains("BASE_URL"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, "listen = '127.0.0.1:0'\nlisen = 7\n").unwrap();
    let (code, _, said) = output(&["--config", path.to_str().unwrap()], &[]).await;
    assert!(code == Some(2) && said.contains("line 2") && said.contains("lisen"), "{said}");
    let taken = Node::start(&[], &[]).await;
    let port = taken.address.rsplit(':').next().unwrap().to_owned();
    let (code, _, said) = output(&["-h", "127.0.0.1", "-p", &port], &[]).await;
    assert!(code == Some(1) && said.contains(&port), "{said}");
}

#[tokio::test]
async fn help_is_long_and_check_masks_secrets() {
    let (code, help, _) = output(&["--help"], &[]).await;
    assert!(code == Some(0) && help.contains("-h, --host") && help.contains("6060"), "{help}");
    let (code, help, _) = output(&["signal", "--help"], &[]).await;
    assert!(code == Some(0) && help.contains("uid/UID"), "{help}");
    let environment = [("VIDEO_PROXY", "http://user:s3cret@proxy.example"), ("ID", ID), ("WS_ADDR", "ws://x/uid/")];
    let (code, shown, _) = output(&["--check", "-p", "7"], &environment).await;
    assert!(code == Some(0) && shown.contains("0.0.0.0:7") && shown.contains(ID), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn files_are_served_where_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let public = folder.path().join("public");
    std::fs::create_dir_all(public.join("sub")).unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::fs::write(public.join("a.txt"), "a file").unwrap();
    std::fs::write(public.join("sub/index.html"), "sub").unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, format!("public = {public:?}\n")).unwrap();
    let node = Node::start(&["--config", path.to_str().unwrap(), "--signal"], &[]).await;
    assert_eq!(node.get("/a.txt").await.text(), "a file");
    assert_eq!(node.get("/sub/").await.text(), "sub");
    for path in ["/", "/nothing", "/../secret", "/%2e%2e/secret"] {
        let answer = node.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, "404 page not found\n"), "{path}");
    }
    std::fs::write(public.join("index.html"), "the page").unwrap();
    for path in ["/", "/nothing"] {
        assert_eq!(node.get(path).await.text(), "the page", "{path}");
    }
    // A socket's path is the signalling server's, which wants an upgrade.
    assert_ne!(node.get(&format!("/uid/{ID}")).await.text(), "the page");
    assert_eq!(node.get("/status").await.status, 200);
    // Existing nodes take the folder that lies where they are started.
    let mut here = command(&["-p", "0", "-h", "127.0.0.1"], &[]);
    here.current_dir(folder.path());
    let mut program = sluicegate_testbed::program::Program::spawn("cdn-node", &mut here);
    let address = program.address().await;
    assert_eq!(crate::client::request(&address, "GET", "/a.txt", &[]).await.text(), "a file");
}
