//! Pushes of one upstream: a WebSocket for each leased stream, dialled again while the lease lives.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use sluicegate_cascade::LeaseId;
use sluicegate_hub::{Hub, Subscriber, Viewer};
use sluicegate_net::backoff::Backoff;
use sluicegate_net::link::Upstream;
use sluicegate_net::ws;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::streams::{Fed, Streams, Want};
use crate::{FlvPort, PortError, metrics};

/// How long the source may take for its first frame before the push is tried anew.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// What every push to one upstream needs.
pub(super) struct Pusher {
    pub(super) upstream: Upstream,
    pub(super) deadline: Duration,
    pub(super) hub: Hub,
    pub(super) port: Arc<dyn FlvPort>,
    pub(super) streams: Arc<Streams>,
}

impl Pusher {
    /// Pushes until `stop` is cancelled. `tell` hears why a push does not come about.
    pub(super) async fn run(
        &self,
        stream: &str,
        leases: watch::Receiver<LeaseId>,
        stop: &CancellationToken,
        tell: impl Fn(&str, &str),
    ) {
        let mut backoff = Backoff::new(rand::rng().random());
        while stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.is_some() {
            let begun = Instant::now();
            let lease = *leases.borrow();
            // The configuration can have given it another source since the last time.
            let Some(fed) = &self.streams.get(stream) else { return tell(stream, "this site has no such stream") };
            let _want = Want::new(Arc::clone(fed));
            let done = self.once(fed, lease, stop).await;
            if stop.is_cancelled() {
                return;
            }
            match done {
                Ok(()) => tracing::info!(stream, "push ended"),
                Err(error) => {
                    let trouble = fed.trouble.borrow().clone();
                    let reason = trouble.unwrap_or_else(|| error.to_string());
                    tracing::warn!(stream, reason, "push failed; trying again while it is wanted");
                    tell(stream, &reason);
                }
            }
            backoff.held_for(begun.elapsed());
        }
    }

    async fn once(&self, fed: &Fed, lease: LeaseId, stop: &CancellationToken) -> Result<(), PortError> {
        let Some(opened) = stop.run_until_cancelled(self.open(fed, lease)).await else { return Ok(()) };
        let (subscriber, websocket) = opened?;
        metrics::pushed();
        tracing::info!(stream = %fed.name, upstream = %self.upstream.url, "pushing");
        self.port.push(subscriber, websocket, stop.clone()).await
    }

    async fn open(&self, fed: &Fed, lease: LeaseId) -> Result<(Subscriber, ws::WebSocket), PortError> {
        let mut subscriber = self.hub.subscribe(&fed.name, Viewer::by("push"));
        subscriber.ready(FIRST_FRAME).await?;
        let url = self.upstream.route(&format!("/cascade/v1/push/{lease}"));
        let credentials = self.upstream.credentials();
        let (websocket, _) = ws::connect(&url, credentials, &[], &self.upstream.tls, self.deadline).await?;
        Ok((subscriber, websocket))
    }
}
