//! Relays by FLV: pushed over WebSocket, pulled over WebSocket or HTTP.

use std::time::Duration;

use http::HeaderMap;
use sluicegate_hub::relay::{Direction, Progress, Spec, Target, TargetError, Transfer};
use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use url::Url;

use crate::ingest::Limits;
use crate::{client, m7s};

/// How long the stream here may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// How long the connection and the server's answer may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The route on which the m7s plugin takes pushes in its own form.
const M7S_ROUTE: &str = "/erwscascade/wspush/";

/// Copies streams of a hub to other servers, and from them, as FLV.
#[derive(Debug, Clone)]
pub struct FlvTarget {
    hub: Hub,
    tls: ClientTls,
}

impl FlvTarget {
    /// The schemes of addresses that it reaches; `http` and `https` for pulls only.
    pub const SCHEMES: [&'static str; 4] = ["ws", "wss", "http", "https"];

    /// Copies of this hub's streams.
    #[must_use]
    pub fn new(hub: Hub, tls: ClientTls) -> Self {
        Self { hub, tls }
    }

    async fn push_to(self, stream: StreamName, target: String, progress: Progress) -> Result<(), TargetError> {
        let stopped = progress.stopped();
        let opening = async {
            let url: Url = target.parse()?;
            if !matches!(url.scheme(), "ws" | "wss") {
                return Err(format!("{}: streams are pushed over ws and wss only", url.scheme()).into());
            }
            let mut subscriber = self.hub.subscribe(&stream, Viewer::by("relay"));
            subscriber.ready(FIRST_FRAME).await?;
            let (websocket, _) = ws::connect(&url, HeaderMap::new(), &[], &self.tls, CONNECT).await?;
            Ok::<_, TargetError>((url, subscriber, websocket))
        };
        let Some(opened) = stopped.run_until_cancelled(opening).await else { return Ok(()) };
        let (url, subscriber, websocket) = opened?;
        progress.publishing();
        if url.path().contains(M7S_ROUTE) {
            m7s::push(subscriber, websocket, stopped).await.map(drop)?;
        } else {
            client::push(subscriber, websocket, stopped).await.map(drop)?;
        }
        Ok(())
    }

    async fn pull_from(self, stream: StreamName, target: String, progress: Progress) -> Result<(), TargetError> {
        let url: Url = target.parse()?;
        let publisher = self.hub.publish(&stream, Publish::by("relay"))?;
        let mut arriving = self.hub.subscribe(&stream, Viewer::by("relay"));
        let stopped = progress.stopped();
        let telling = async {
            if arriving.ready(FIRST_FRAME).await.is_ok() {
                progress.playing();
            }
            // From now on it is nobody's business; a viewer that never reads would count as one.
            drop(arriving);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = client::pull(&url, &self.tls, publisher, Limits::default()) => Ok(done?),
            () = telling => Ok(()),
            () = stopped.cancelled() => Ok(()),
        }
    }
}

impl Target for FlvTarget {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        let (target, Spec { stream, target: url, direction, .. }) = (self.clone(), spec);
        match direction {
            Direction::Push => Box::pin(target.push_to(stream, url, progress)),
            Direction::Pull => Box::pin(target.pull_from(stream, url, progress)),
        }
    }

    fn pulls(&self) -> bool {
        true
    }
}
