//! WCS clients that offer what cannot be: each gets its answer in time, and costs nobody else anything.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluicegate_testbed::soon;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::Upstream;

/// An offer of sound in a codec; nobody is at its other end.
fn offer(codec: &str) -> String {
    let fingerprint = vec!["AB"; 32].join(":");
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        &format!("a=fingerprint:sha-256 {fingerprint}"),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        &format!("a=rtpmap:111 {codec}"),
        "",
    ]
    .join("\r\n")
}

fn wish(id: &str, sdp: &str) -> Message {
    let argument = json!({ "mediaSessionId": id, "name": id, "published": true, "sdp": sdp, "hasAudio": true });
    Message::text(json!({ "message": "publishStream", "data": [argument] }).to_string())
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn open(upstream: &Upstream) -> Self {
        let tcp = soon("connecting", TcpStream::connect(&upstream.address)).await.unwrap();
        let handshake = tokio_tungstenite::client_async(upstream.url("ws", "/websocket"), tcp);
        let (mut socket, _) = soon("upgrade", handshake).await.unwrap();
        socket.send(Message::text(r#"{"message":"connection","data":[{}]}"#)).await.unwrap();
        Self(socket)
    }

    async fn publish(&mut self, id: &str, sdp: &str) {
        soon("sending", self.0.send(wish(id, sdp))).await.unwrap();
    }

    /// The next status, with its reason; everything else is passed over.
    async fn status(&mut self) -> [Value; 3] {
        loop {
            let text = soon("a status", self.0.next()).await.unwrap().unwrap().into_text().unwrap();
            let mut message: Value = serde_json::from_str(&text).unwrap();
            if message["message"] == "ping" {
                self.0.send(Message::text(r#"{"message":"pong","data":[null]}"#)).await.unwrap();
            }
            if message["message"] == "notifyStreamStatusEvent" {
                return ["mediaSessionId", "status", "info"].map(|key| message["data"][0][key].take());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_cannot_be_fail_with_a_reason_and_in_time() {
    let upstream = Upstream::start().await;
    let mut client = Client::open(&upstream).await;
    let whole = offer("opus/48000/2");
    client.publish("nobody-there", &whole).await;
    for (id, sdp, info) in [
        ("empty", String::new(), "Failed by error"),
        ("nonsense", "v=0\r\nm=\u{1}".to_owned(), "No common codecs"),
        ("cut", whole[..whole.len() / 2].to_owned(), "No common codecs"),
        ("long", format!("{whole}{}", "a=x\r\n".repeat(16_000)), "Failed by error"),
        ("strange", offer("speex/16000"), "No common codecs"),
        ("receives", whole.replace("sendonly", "recvonly"), "No common codecs"),
    ] {
        client.publish(id, &sdp).await;
        assert_eq!(client.status().await, [json!(id), json!("FAILED"), json!(info)]);
    }
    // What has an answer and no other end fails last.
    let told = client.status().await;
    assert_eq!(told, [json!("nobody-there"), json!("FAILED"), json!("Failed by ICE timeout")]);
    // A message of 1 MB is more than a client may send; others do not notice.
    let mut other = Client::open(&upstream).await;
    let ended = async {
        // The server knows by the length and does not wait for the rest, so that sending may fail on the way.
        let _ = other.0.send(wish("huge", &"x".repeat(1 << 20))).await;
        while let Some(Ok(_)) = other.0.next().await {}
    };
    soon("the end of the socket", ended).await;
    client.publish("empty", "").await;
    assert_eq!(client.status().await[1], "FAILED");
}
