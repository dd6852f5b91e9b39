//! Pushes that somebody asks for by name and URL: FLV over WebSocket, to ours, to RTCPilot and to the m7s plugin.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use sluicegate_hub::relay::{Direction, Progress, Spec, Target, TargetError, Transfer};
use sluicegate_hub::{Hub, Viewer};
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use url::Url;

use super::streams::{Streams, Want};
use crate::{FlvPort, metrics};

/// How long the source may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// How long the connection and the server's answer may take, each.
const CONNECT: Duration = Duration::from_secs(5);
/// The route on which the m7s plugin takes pushes in its own form.
const M7S_ROUTE: &str = "/erwscascade/wspush/";

/// The site's streams, pushed to `ws:` and `wss:` URLs.
pub(super) struct WebSocketTarget {
    pub(super) streams: Arc<Streams>,
    pub(super) hub: Hub,
    pub(super) port: Arc<dyn FlvPort>,
    pub(super) tls: ClientTls,
}

impl Target for WebSocketTarget {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        let Spec { stream, target: url, .. } = spec;
        let fed = self.streams.get(stream.as_str());
        let (hub, port, tls) = (self.hub.clone(), Arc::clone(&self.port), self.tls.clone());
        Box::pin(async move {
            // A stream of the site's own is fed while this lives; one that an encoder publishes is there or not.
            let _want = fed.map(Want::new);
            let stopped = progress.stopped();
            let opening = async {
                let url: Url = url.parse()?;
                let mut subscriber = hub.subscribe(&stream, Viewer::by("relay"));
                subscriber.ready(FIRST_FRAME).await?;
                let (websocket, _) = ws::connect(&url, HeaderMap::new(), &[], &tls, CONNECT).await?;
                Ok::<_, TargetError>((url, subscriber, websocket))
            };
            let Some(opened) = stopped.run_until_cancelled(opening).await else { return Ok(()) };
            let (url, subscriber, websocket) = opened?;
            metrics::pushed();
            tracing::info!(%stream, to = url.host_str(), "pushing");
            progress.publishing();
            if url.path().contains(M7S_ROUTE) {
                port.push_m7s(subscriber, websocket, stopped).await
            } else {
                port.push(subscriber, websocket, stopped).await
            }
        })
    }
}

/// Another protocol's target, with the source running meanwhile.
pub(super) struct Feeding {
    pub(super) streams: Arc<Streams>,
    pub(super) target: Arc<dyn Target>,
}

impl Target for Feeding {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        // What is pulled has its source elsewhere.
        let fed = (spec.direction == Direction::Push).then(|| self.streams.get(spec.stream.as_str())).flatten();
        let transfer = self.target.transfer(spec, progress);
        Box::pin(async move {
            let _want = fed.map(Want::new);
            transfer.await
        })
    }

    fn pulls(&self) -> bool {
        self.target.pulls()
    }
}
