//! RTSP in the table of relays: pushes to `rtsp:` and `rtsps:` URLs, pulls from these and `rtsp+udp:`.

use sluicegate_hub::relay::{Direction, Progress, Spec, Target, TargetError, Transfer};
use sluicegate_hub::{Hub, Publish, StreamName, Viewer};
use sluicegate_net::tls::ClientTls;
use url::Url;

use super::push;
use crate::serve::Output;
use crate::{Error, Limits, pull};

/// Relays of one hub's streams.
#[derive(Debug, Clone)]
pub struct RtspTarget {
    hub: Hub,
    tls: ClientTls,
    output: Output,
}

impl RtspTarget {
    /// The schemes of its URLs.
    pub const SCHEMES: [&'static str; 3] = ["rtsp", "rtsps", "rtsp+udp"];

    /// Relays to servers that `tls` trusts.
    #[must_use]
    pub fn new(hub: Hub, tls: ClientTls, output: Output) -> Self {
        Self { hub, tls, output }
    }

    async fn pushed(self, stream: StreamName, url: String, progress: Progress) -> Result<(), TargetError> {
        let stopped = progress.stopped();
        let url: Url = url.parse()?;
        let subscriber = self.hub.subscribe(&stream, Viewer::by("relay"));
        let begun = || {
            tracing::info!(%stream, host = url.host_str(), "pushing by RTSP");
            progress.publishing();
        };
        push(&url, &self.tls, subscriber, &self.output, stopped.clone(), begun).await?;
        Ok(())
    }

    async fn pulled(self, stream: StreamName, url: String, progress: Progress) -> Result<(), TargetError> {
        let stopped = progress.stopped();
        let url: Url = url.parse()?;
        let publish = || {
            let publisher = self.hub.publish(&stream, Publish::by("rtsp-pull"))?;
            progress.playing();
            Ok(publisher)
        };
        match stopped.run_until_cancelled(pull(&url, &self.tls, Limits::default(), publish)).await {
            Some(Err(error)) => Err(Box::<Error>::new(error)),
            _ => Ok(()),
        }
    }
}

impl Target for RtspTarget {
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
