//! The signalling server as nodes and browsers see it, compared with what was recorded of the existing one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, soon, until};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const A: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
const B: &str = "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb";
const C: &str = "cccccccc-3333-3333-3333-cccccccccccc";

struct Peer(WebSocketStream<TcpStream>);

async fn start(more: &[&str]) -> (Program, String) {
    let arguments = [&["signal", "--listen", "127.0.0.1:0"][..], more].concat();
    let mut program = Program::start("cdn-node", &arguments);
    let address = program.address().await;
    (program, address)
}

async fn dial(address: &str, path: &str) -> Result<Peer, Error> {
    let socket = TcpStream::connect(address).await.unwrap();
    client_async(format!("ws://{address}{path}"), socket).await.map(|(websocket, _)| Peer(websocket))
}

async fn peer(address: &str, uid: &str) -> Peer {
    dial(address, &format!("/uid/{uid}")).await.unwrap()
}

impl Peer {
    async fn raw(&mut self) -> Message {
        soon("a message", self.0.next()).await.unwrap().unwrap()
    }

    async fn hears(&mut self) -> Value {
        serde_json::from_slice(&self.raw().await.into_data()).unwrap()
    }

    async fn says(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The close code of a connection that ends.
    async fn end(&mut self) -> Option<u16> {
        loop {
            match soon("the end", self.0.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

#[tokio::test]
async fn two_nodes_find_each_other_as_recorded() {
    let (_server, address) = start(&[]).await;
    let mut a = peer(&address, A).await;
    assert_eq!(a.hears().await, json!({"event": "init", "ids": []}));
    let mut b = peer(&address, B).await;
    assert_eq!(b.hears().await, json!({"event": "init", "ids": [A]}));
    assert_eq!(a.hears().await, json!({"event": "online", "id": B}));
    // The spacing and the order of keys are the sender's and stay as they are.
    let offer = format!(
        "{{\"data\": {{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}},\"event\":\"offer\",\"from\":\"{A}\",\"to\":\"{B}\"}}"
    );
    a.says(Message::text(offer.clone())).await;
    assert_eq!(b.raw().await, Message::text(offer.clone()));
    a.says(Message::binary(offer.clone().into_bytes())).await;
    assert_eq!(b.raw().await, Message::binary(offer.into_bytes()));
    // What is not for anybody, or in another's name, is not passed on; the socket stays.
    for nothing in [
        "{",
        "[]",
        "{\"event\":\"x\"}",
        &format!("{{\"from\":\"{C}\",\"to\":\"{B}\"}}"),
        &format!("{{\"to\":\"{C}\"}}"),
    ] {
        a.says(Message::text(nothing.to_owned())).await;
    }
    a.says(Message::text(json!({"event": "last", "to": B}).to_string())).await;
    assert_eq!(b.hears().await["event"], "last");
}

#[tokio::test]
async fn rooms_are_apart_and_offline_is_told_to_those_who_know_it() {
    let (_server, address) = start(&[]).await;
    let mut a = dial(&address, &format!("/film/uid/{A}")).await.unwrap();
    a.hears().await;
    a.says(Message::text("{\"event\":\"hello\"}")).await;
    let mut other = peer(&address, C).await;
    assert_eq!(other.hears().await, json!({"event": "init", "ids": []}));
    let mut b = dial(&address, &format!("/film/uid/{B}")).await.unwrap();
    b.hears().await;
    assert_eq!(a.hears().await, json!({"event": "online", "id": B}));
    drop(b);
    assert_eq!(a.hears().await, json!({"event": "offline", "id": B}));
}

#[tokio::test]
async fn tokens_limits_and_bad_paths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signal.toml");
    std::fs::write(&path, "tokens = ['s3cret']\n[limits]\nuid_sockets = 1\nburst = 3\nrate = 1\n").unwrap();
    let (_server, address) = start(&["--config", path.to_str().unwrap()]).await;
    let status = |path: String| {
        let address = address.clone();
        async move {
            match dial(&address, &path).await {
                Err(Error::Http(answer)) => answer.status().as_u16(),
                _ => 101,
            }
        }
    };
    assert_eq!(status(format!("/uid/{A}")).await, 401);
    assert_eq!(status(format!("/film/wrong/uid/{A}")).await, 401);
    assert_eq!(status("/uid/short".to_owned()).await, 404);
    let good = format!("/film/s3cret/uid/{A}");
    let mut a = dial(&address, &good).await.unwrap();
    a.hears().await;
    let mut twice = dial(&address, &good).await.unwrap();
    assert_eq!(twice.end().await, Some(1013));
    for _ in 0..5 {
        // The server may have hung up already.
        let _ = a.0.send(Message::text("{}")).await;
    }
    a.end().await;
    let counted = || async {
        let metrics = String::from_utf8(api::request("GET", &address, "/metrics").await?.body).ok()?;
        metrics.contains("sluicegate_p2p_signal_refused_total{why=\"token\"} 2").then_some(())
    };
    until("the metrics", counted).await;
}

/// Reads on a task of its own, so that pings are answered whatever the test waits for; gives events, then the close code.
fn listen(peer: Peer) -> mpsc::Receiver<Result<Value, Option<u16>>> {
    let (tell, heard) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut websocket = peer.0;
        loop {
            let message = websocket.next().await;
            let told = match message {
                Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            };
            tell.send(told).await.unwrap();
        }
    });
    heard
}

#[tokio::test]
async fn a_socket_without_pongs_is_dropped_and_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signal.toml");
    std::fs::write(&path, "[limits]\nping = '1s'\n").unwrap();
    let (mut server, address) = start(&["--config", path.to_str().unwrap()]).await;
    let mut well = peer(&address, A).await;
    well.hears().await;
    well.says(Message::text("{\"event\":\"hello\"}")).await;
    let mut well = listen(well);
    // Its socket is open, but nobody reads it, so its pings stay unanswered.
    let _silent = peer(&address, B).await;
    for event in ["online", "offline"] {
        assert_eq!(soon(event, well.recv()).await, Some(Ok(json!({"event": event, "id": B}))));
    }
    server.signal("TERM").await;
    assert_eq!(soon("the end", well.recv()).await, Some(Err(Some(1001))));
    assert_eq!(server.ended().await, Some(0));
}
