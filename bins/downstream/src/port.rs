//! FLV on the wire, for those who know sites only.

use std::pin::Pin;

use sluicegate_hub::{Publisher, Subscriber};
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws::WebSocket;
use sluicegate_rtmp::RtmpTarget;
use sluicegate_sites::{FlvPort, PortFuture};
use sluicegate_ws_stream::ingest::Limits;
use sluicegate_ws_stream::{client, ingest, m7s};
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The port of the WebSocket stream service, and of RTMP and RTSP for pulls.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) tls: ClientTls,
}

impl FlvPort for Port {
    fn publish(&self, input: Pin<Box<dyn AsyncRead + Send>>, publisher: Publisher) -> PortFuture {
        Box::pin(async move { Ok(ingest::from_reader(input, publisher, Limits::default()).await?) })
    }

    fn push_m7s(&self, subscriber: Subscriber, websocket: WebSocket, stop: CancellationToken) -> PortFuture {
        Box::pin(async move { Ok(m7s::push(subscriber, websocket, stop).await.map(drop)?) })
    }

    fn push(&self, subscriber: Subscriber, websocket: WebSocket, stop: CancellationToken) -> PortFuture {
        Box::pin(async move { Ok(client::push(subscriber, websocket, stop).await.map(drop)?) })
    }

    fn pull(&self, url: Url, publisher: Publisher) -> PortFuture {
        let tls = self.tls.clone();
        Box::pin(async move {
            if RtmpTarget::SCHEMES.contains(&url.scheme()) {
                let limits = Limits::default();
                return Ok(sluicegate_rtmp::client::pull(&url, &tls, limits, || Ok(publisher)).await?);
            }
            if sluicegate_rtsp::SCHEMES.contains(&url.scheme()) {
                let limits = sluicegate_rtsp::Limits::default();
                return Ok(sluicegate_rtsp::pull(&url, &tls, limits, || Ok(publisher)).await?);
            }
            Ok(client::pull(&url, &tls, publisher, Limits::default()).await?)
        })
    }
}
