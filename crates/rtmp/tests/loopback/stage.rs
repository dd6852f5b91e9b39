//! A hub with the service on a free port, and a publisher of the sample that needs no socket.

use std::sync::Arc;

use sluicegate_flv::{Limits, Reader};
use sluicegate_hub::{Hub, Publish, StreamName};
use sluicegate_media::{Content, Frame};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ServerTls;
use sluicegate_rtmp::{Ask, Config, Gate, Listener, Outputs, Service};
use sluicegate_testbed::media;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

/// Lets in whoever has the token; anybody where there is none.
pub(crate) struct Token(pub(crate) Option<&'static str>);

impl Gate for Token {
    fn admits(&self, ask: &Ask<'_>) -> bool {
        self.0.is_none_or(|token| ask.token == Some(token))
    }
}

pub(crate) struct Stage {
    pub(crate) hub: Hub,
    pub(crate) outputs: Outputs,
    pub(crate) shutdown: Shutdown,
    pub(crate) serving: JoinHandle<()>,
    scheme: &'static str,
    port: u16,
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default(), None, None).await
    }

    pub(crate) async fn with(config: Config, token: Option<&'static str>, tls: Option<ServerTls>) -> Self {
        let hub = Hub::new(sluicegate_hub::Config::default()).unwrap();
        let (outputs, shutdown) = (Outputs::new(&hub), Shutdown::new());
        let service = Service::new(hub.clone(), config, outputs.clone(), Arc::new(Token(token))).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
        let (scheme, port) = (listener.scheme(), listener.local_addr().port());
        let serving = tokio::spawn(service.serve(listener, shutdown.clone()));
        Self { hub, outputs, shutdown, serving, scheme, port }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of a stream.
    pub(crate) fn url(&self, stream: &str) -> Url {
        format!("{}://localhost:{}/{stream}", self.scheme, self.port).parse().unwrap()
    }

    /// Publishes the sample at its own pace, again and again, until the handle is dropped.
    pub(crate) fn publish(&self, stream: &str) -> Playing {
        let publisher = self.hub.publish(&name(stream), Publish::by("test")).unwrap();
        Playing(tokio::spawn(async move {
            let (frames, begun) = (sample(), Instant::now());
            let mut at = begun;
            loop {
                for frame in &frames {
                    if frame.content == Content::Media {
                        tokio::time::sleep_until(at + frame.dts.to_duration()).await;
                    }
                    let mut frame = frame.clone();
                    frame.dts = frame.dts.saturating_add(at.duration_since(begun).into());
                    publisher.push(frame).unwrap();
                }
                at += std::time::Duration::from_secs(10);
            }
        }))
    }
}

/// A publisher; it ends when this is dropped.
pub(crate) struct Playing(JoinHandle<()>);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The frames of the sample.
pub(crate) fn sample() -> Vec<Frame> {
    let mut reader = Reader::new(Limits::default());
    reader.handle_bytes(std::fs::read(media::sample()).unwrap().into());
    std::iter::from_fn(|| reader.poll_frame().unwrap()).collect()
}
