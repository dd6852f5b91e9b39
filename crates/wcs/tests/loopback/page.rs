//! A page of the Web SDK, as far as the WebSocket is concerned; it shares no code with the crate.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::node::soon;

pub(crate) struct Page(WebSocketStream<TcpStream>);

impl Page {
    /// Opens a socket and a session.
    pub(crate) async fn open(url: &str) -> Self {
        let mut page = Self::socket(url).await;
        page.send("connection", &json!({ "appKey": "defaultApp", "clientVersion": "2.0", "custom": { "a": 1 } })).await;
        let data = page.hear("getUserData").await;
        assert_eq!((&data["status"], &data["custom"]["a"]), (&json!("ESTABLISHED"), &json!(1)));
        page
    }

    /// Opens a socket and a session that outlives it, or one that there is by its name; returns the name, too.
    pub(crate) async fn kept(url: &str, token: Option<&str>) -> (Self, String) {
        let mut page = Self::socket(url).await;
        page.send("connection", &json!({ "appKey": "defaultApp", "keepAlive": true, "authToken": token })).await;
        let told = page.hear("getUserData").await["authToken"].as_str().unwrap().to_owned();
        (page, told)
    }

    pub(crate) async fn socket(url: &str) -> Self {
        let host = url.trim_start_matches("ws://").split('/').next().unwrap();
        let tcp = soon("connecting", TcpStream::connect(host)).await.unwrap();
        let (socket, _) = soon("upgrade", tokio_tungstenite::client_async(url, tcp)).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn send(&mut self, message: &str, argument: &Value) {
        self.text(&json!({ "message": message, "data": [argument] }).to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        soon("sending", self.0.send(Message::text(text))).await.unwrap();
    }

    /// Sends a longer text than a server takes. It may end before it has heard all of it.
    pub(crate) async fn too_much(&mut self, bytes: usize) {
        let _ = soon("sending", self.0.send(Message::text("x".repeat(bytes)))).await;
    }

    /// The first argument of the next message, whose name must be this; pings are answered.
    pub(crate) async fn hear(&mut self, name: &str) -> Value {
        self.message(name).await["data"][0].take()
    }

    pub(crate) async fn message(&mut self, name: &str) -> Value {
        loop {
            let message = soon(name, self.0.next()).await;
            let Some(Ok(Message::Text(text))) = message else { panic!("{name}: {message:?}") };
            let heard: Value = serde_json::from_str(&text).unwrap();
            assert!(heard["data"].is_array(), "{heard}");
            if heard["message"] == "ping" {
                self.send("pong", &Value::Null).await;
                continue;
            }
            assert_eq!(heard["message"], name, "{heard}");
            return heard;
        }
    }

    /// Waits for the end of the socket, and gives its code if one was told.
    pub(crate) async fn ended(&mut self) -> Option<u16> {
        while let Some(Ok(message)) = soon("the end", self.0.next()).await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    }

    pub(crate) async fn ask(&mut self, message: &str, id: &str, name: &str, offer: &str) {
        let published = message == "publishStream";
        let argument = json!({
            "mediaSessionId": id, "name": name, "published": published, "hasVideo": true, "hasAudio": true,
            "status": "PENDING", "record": false, "mediaProvider": "WebRTC", "sdp": offer,
        });
        self.send(message, &argument).await;
    }

    /// Publishes until the server says that it does.
    pub(crate) async fn publish(&mut self, id: &str, name: &str) {
        self.ask("publishStream", id, name, "offer").await;
        self.up(id, name, "PUBLISHING").await;
    }

    /// Plays until the server says that it does.
    pub(crate) async fn play(&mut self, id: &str, name: &str) {
        self.ask("playStream", id, name, "offer").await;
        self.up(id, name, "PLAYING").await;
    }

    async fn up(&mut self, id: &str, name: &str, status: &str) {
        let answer = self.message("setRemoteSDP").await;
        assert_eq!(answer["data"], json!([id, format!("answer {name}")]));
        assert_eq!(self.status().await, [id, status, ""]);
    }

    /// Identification, status and reason.
    pub(crate) async fn status(&mut self) -> [String; 3] {
        let status = self.hear("notifyStreamStatusEvent").await;
        ["mediaSessionId", "status", "info"].map(|key| status[key].as_str().unwrap_or_default().to_owned())
    }
}
