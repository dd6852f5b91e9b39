//! RTMP in the table of relays: pushes to `rtmp:` and `rtmps:` URLs, pulls from them.

use std::time::Duration;

use sluicegate_hub::relay::{Direction, Progress, Spec, Target, TargetError, Transfer};
use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_net::tls::ClientTls;
use url::Url;

use crate::{Error, Limits, Outputs, client};

/// How long the stream may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// Relays of one hub's streams.
#[derive(Debug, Clone)]
pub struct RtmpTarget {
    hub: Hub,
    tls: ClientTls,
    outputs: Outputs,
}

impl RtmpTarget {
    /// The schemes of its URLs.
    pub const SCHEMES: [&'static str; 2] = ["rtmp", "rtmps"];

    /// Relays to servers that `tls` trusts.
    #[must_use]
    pub fn new(hub: Hub, tls: ClientTls, outputs: Outputs) -> Self {
        Self { hub, tls, outputs }
    }

    async fn pushed(self, stream: StreamName, url: String, progress: Progress) -> Result<(), TargetError> {
        let stopped = progress.stopped();
        let url: Url = url.parse()?;
        let mut subscriber = self.hub.subscribe(&stream, Viewer::by("relay"));
        let ready = stopped.run_until_cancelled(subscriber.ready(FIRST_FRAME)).await;
        let Some(ready) = ready else { return Ok(()) };
        ready?;
        let begun = || {
            tracing::info!(%stream, host = url.host_str(), "pushing by RTMP");
            progress.publishing();
        };
        client::push(&url, &self.tls, subscriber, &self.outputs, stopped.clone(), begun).await?;
        Ok(())
    }

    async fn pulled(self, stream: StreamName, url: String, progress: Progress) -> Result<(), TargetError> {
        let stopped = progress.stopped();
        let url: Url = url.parse()?;
        let publish = || {
            let publisher = self.hub.publish(&stream, Publish::by("rtmp-pull"))?;
            progress.playing();
            Ok(publisher)
        };
        let pulling = client::pull(&url, &self.tls, Limits::default(), publish);
        match stopped.run_until_cancelled(pulling).await {
            Some(Err(error)) => Err(Box::<Error>::new(error)),
            _ => Ok(()),
        }
    }
}

impl Target for RtmpTarget {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        match spec.direction {
            Direction::Push => Box::pin(self.clone().pushed(spec.stream, spec.target, progress)),
            Direction::Pull => Box::pin(self.clone().pulled(spec.stream, spec.target, progress)),
        }
    }

    fn pulls(&self) -> bool {
        true
    }
}
