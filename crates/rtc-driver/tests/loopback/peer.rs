//! The `webrtc` crate as the other end, and waiting with a deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sluicegate_rtc_driver::{Config, Connection, Driver, Event};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState, RTCSessionDescription,
};

/// No step of a test takes longer, unless the test says so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a peer, but not forever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
}

pub(crate) fn config() -> Config {
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Config::default() }
}

pub(crate) fn driver() -> Driver {
    Driver::bind(config()).unwrap()
}

/// Takes events until one fits.
pub(crate) async fn event<T>(connection: &mut Connection, what: &str, fit: impl Fn(&Event) -> Option<T>) -> T {
    within(what, async {
        loop {
            let event = connection.next().await.unwrap_or_else(|| panic!("ended before {what}"));
            if let Some(found) = fit(&event) {
                return found;
            }
        }
    })
    .await
}

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

/// A peer connection of the `webrtc` crate.
pub(crate) struct Peer {
    pub(crate) connection: Arc<dyn PeerConnection>,
    gathered: mpsc::UnboundedReceiver<()>,
    channels: mpsc::UnboundedReceiver<Arc<dyn DataChannel>>,
}

impl Peer {
    pub(crate) async fn new() -> Self {
        let (gathered, on_gathered) = mpsc::unbounded_channel();
        let (channels, on_channel) = mpsc::unbounded_channel();
        let connection = PeerConnectionBuilder::new()
            .with_handler(Arc::new(Handler { gathered, channels }))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build()
            .await
            .unwrap();
        Self { connection: Arc::new(connection), gathered: on_gathered, channels: on_channel }
    }

    async fn description(&mut self) -> String {
        within("candidates", self.gathered.recv()).await;
        self.connection.local_description().await.unwrap().sdp
    }

    pub(crate) async fn offer(&mut self) -> String {
        let offer = self.connection.create_offer(None).await.unwrap();
        self.connection.set_local_description(offer).await.unwrap();
        self.description().await
    }

    pub(crate) async fn answer(&mut self, offer: &str) -> String {
        let offer = RTCSessionDescription::offer(offer.to_owned()).unwrap();
        self.connection.set_remote_description(offer).await.unwrap();
        let answer = self.connection.create_answer(None).await.unwrap();
        self.connection.set_local_description(answer).await.unwrap();
        self.description().await
    }

    pub(crate) async fn accept(&self, answer: &str) {
        let answer = RTCSessionDescription::answer(answer.to_owned()).unwrap();
        self.connection.set_remote_description(answer).await.unwrap();
    }

    /// The next channel that the driver opened.
    pub(crate) async fn channel(&mut self) -> Arc<dyn DataChannel> {
        within("a channel", self.channels.recv()).await.unwrap()
    }
}

/// Waits until a channel of the peer is open.
pub(crate) async fn opened(channel: &Arc<dyn DataChannel>) {
    within("an open channel", async { while !matches!(channel.poll().await.unwrap(), DataChannelEvent::OnOpen) {} })
        .await;
}

/// The next message of a peer's channel.
pub(crate) async fn message(channel: &Arc<dyn DataChannel>) -> (bool, BytesMut) {
    within("a message", async {
        loop {
            if let DataChannelEvent::OnMessage(message) = channel.poll().await.unwrap() {
                return (message.is_string, message.data);
            }
        }
    })
    .await
}

/// Sends back what comes, until the channel closes.
pub(crate) fn echo(channel: Arc<dyn DataChannel>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(event) = channel.poll().await {
            match event {
                DataChannelEvent::OnMessage(message) if message.is_string => {
                    let text = String::from_utf8(message.data.to_vec()).unwrap();
                    channel.send_text(&text).await.unwrap();
                }
                DataChannelEvent::OnMessage(message) => channel.send(message.data).await.unwrap(),
                DataChannelEvent::OnClose => return,
                _ => {}
            }
        }
    })
}
