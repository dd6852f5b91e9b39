//! An existing peer, from the recorded exchanges: its own signalling, its own JSON, the `webrtc` crate below. It shares no
//! code with the crate.

use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit, RTCIceGatheringState,
    RTCSessionDescription,
};

use crate::stage::within;

struct Handler {
    gathered: mpsc::UnboundedSender<()>,
    channels: mpsc::UnboundedSender<Arc<dyn DataChannel>>,
}

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl PeerConnectionEventHandler for Handler {
    fn on_ice_gathering_state_change<'a, 'b>(&'a self, state: RTCIceGatheringState) -> Boxed<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
        Box::pin(std::future::ready(()))
    }

    fn on_data_channel<'a, 'b>(&'a self, channel: Arc<dyn DataChannel>) -> Boxed<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let _ = self.channels.send(channel);
        Box::pin(std::future::ready(()))
    }
}

/// An existing peer at the signalling server.
pub(crate) struct Existing {
    uid: String,
    socket: WebSocketStream<TcpStream>,
    connection: Option<Arc<dyn PeerConnection>>,
    gathered: Option<mpsc::UnboundedReceiver<()>>,
    channels: Option<mpsc::UnboundedReceiver<Arc<dyn DataChannel>>>,
}

/// What came over its channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Text(Value),
    /// The first thirty bytes, and what follows.
    Chunk(String, Vec<u8>),
}

impl Existing {
    pub(crate) async fn join(address: &str, uid: &str) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/uid/{uid}");
        let (socket, _) = within("the server", client_async(url, tcp)).await.unwrap();
        let mut peer = Self { uid: uid.to_owned(), socket, connection: None, gathered: None, channels: None };
        assert_eq!(peer.hears().await["event"], "init");
        peer
    }

    pub(crate) async fn hears(&mut self) -> Value {
        loop {
            let message = within("signalling", self.socket.next()).await.unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn says(&mut self, event: &str, to: &str, data: Value) {
        let message = json!({"data": data, "event": event, "from": self.uid, "to": to});
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn connect(&mut self) -> Arc<dyn PeerConnection> {
        let (gathered, on_gathered) = mpsc::unbounded_channel();
        let (channels, on_channel) = mpsc::unbounded_channel();
        let built = PeerConnectionBuilder::new()
            .with_handler(Arc::new(Handler { gathered, channels }))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build()
            .await
            .unwrap();
        let connection: Arc<dyn PeerConnection> = Arc::new(built);
        self.connection = Some(Arc::clone(&connection));
        (self.gathered, self.channels) = (Some(on_gathered), Some(on_channel));
        connection
    }

    /// Sends a description without candidates and the candidates after it, as recorded.
    async fn describe(&mut self, kind: &str, to: &str) {
        within("candidates", self.gathered.as_mut().unwrap().recv()).await;
        let sdp = self.connection.as_ref().unwrap().local_description().await.unwrap().sdp;
        let (candidates, bare): (Vec<&str>, Vec<&str>) = sdp.lines().partition(|line| line.starts_with("a=candidate:"));
        self.says(kind, to, json!({"type": kind, "sdp": bare.join("\r\n") + "\r\n"})).await;
        for candidate in candidates {
            let candidate = candidate.strip_prefix("a=").unwrap();
            let data = json!({"candidate": candidate, "sdpMid": "", "sdpMLineIndex": 0, "usernameFragment": null});
            self.says("candidate", to, data).await;
        }
    }

    /// Takes the next call.
    pub(crate) async fn answers(&mut self) -> Arc<dyn DataChannel> {
        let offer = loop {
            let heard = self.hears().await;
            if heard["event"] == "offer" {
                break heard;
            }
        };
        assert_eq!(offer["to"], self.uid.as_str());
        let from = offer["from"].as_str().unwrap().to_owned();
        let sdp = offer["data"]["sdp"].as_str().unwrap().to_owned();
        let connection = self.connect().await;
        connection.set_remote_description(RTCSessionDescription::offer(sdp).unwrap()).await.unwrap();
        let answer = connection.create_answer(None).await.unwrap();
        connection.set_local_description(answer).await.unwrap();
        self.describe("answer", &from).await;
        let channel = within("a channel", self.channels.as_mut().unwrap().recv()).await.unwrap();
        assert_eq!(channel.label().await.unwrap(), "dc");
        channel
    }

    /// Calls who comes online next.
    pub(crate) async fn calls(&mut self) -> Arc<dyn DataChannel> {
        let online = self.hears().await;
        assert_eq!(online["event"], "online");
        let to = online["id"].as_str().unwrap().to_owned();
        let connection = self.connect().await;
        let options = RTCDataChannelInit { ordered: true, max_packet_life_time: Some(2000), ..Default::default() };
        let channel = connection.create_data_channel("dc", Some(options)).await.unwrap();
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer).await.unwrap();
        self.describe("offer", &to).await;
        loop {
            let heard = self.hears().await;
            let data = &heard["data"];
            match heard["event"].as_str() {
                Some("answer") => {
                    let sdp = data["sdp"].as_str().unwrap().to_owned();
                    connection.set_remote_description(RTCSessionDescription::answer(sdp).unwrap()).await.unwrap();
                }
                Some("candidate") => {
                    let candidate = data["candidate"].as_str().unwrap().to_owned();
                    let candidate = RTCIceCandidateInit { candidate, ..Default::default() };
                    connection.add_ice_candidate(candidate).await.unwrap();
                    break;
                }
                _ => {}
            }
        }
        let open = async { while !matches!(channel.poll().await.unwrap(), DataChannelEvent::OnOpen) {} };
        within("an open channel", open).await;
        channel
    }

    /// Falls silent without a goodbye is not in its power; this says one.
    pub(crate) async fn leaves(self) {
        self.connection.unwrap().close().await.unwrap();
    }
}

pub(crate) async fn came(channel: &Arc<dyn DataChannel>) -> Came {
    within("a message", async {
        loop {
            if let DataChannelEvent::OnMessage(message) = channel.poll().await.unwrap() {
                if message.is_string {
                    return Came::Text(serde_json::from_slice(&message.data).unwrap());
                }
                let (head, payload) = message.data.split_at(30);
                return Came::Chunk(String::from_utf8(head.to_vec()).unwrap(), payload.to_vec());
            }
        }
    })
    .await
}

/// The next text that is not the ping and the hello of the start.
pub(crate) async fn text(channel: &Arc<dyn DataChannel>) -> Value {
    loop {
        match came(channel).await {
            Came::Text(text) if text["event"] == "ping" || text["event"] == "hello" => {}
            Came::Text(text) => return text,
            Came::Chunk(head, _) => panic!("{head}"),
        }
    }
}

pub(crate) async fn say(channel: &Arc<dyn DataChannel>, event: &str, id: &str, index: u64) {
    // The order of keys that was recorded.
    let text = format!("{{\"event\":\"{event}\",\"data\":{{\"id\":\"{id}\",\"index\":{index}}}}}");
    channel.send_text(&text).await.unwrap();
}

/// Puts one segment together by chunk numbers, as the existing client does: by the header's name alone.
pub(crate) async fn segment(channel: &Arc<dyn DataChannel>, name: &str) -> Vec<u8> {
    let mut parts: Vec<Option<Vec<u8>>> = Vec::new();
    while parts.is_empty() || parts.iter().any(Option::is_none) {
        if let Came::Chunk(head, payload) = came(channel).await {
            let header: (String, usize, usize) = serde_json::from_str(head.trim()).unwrap();
            if header.0 == name {
                parts.resize(header.2, None);
                parts[header.1] = Some(payload);
            }
        }
    }
    parts.into_iter().flatten().flatten().collect()
}

/// Sends a segment as the existing node does.
pub(crate) async fn send(channel: &Arc<dyn DataChannel>, name: &str, bytes: &[u8]) {
    let chunks: Vec<&[u8]> = bytes.chunks(51_200).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        let head = format!("{:<30}", format!("[\"{name}\",{number},{}]", chunks.len()));
        channel.send(BytesMut::from(&[head.as_bytes(), chunk].concat()[..])).await.unwrap();
    }
}
