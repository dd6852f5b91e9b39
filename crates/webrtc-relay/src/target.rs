//! Relays by WHIP and WHEP: a stream pushed to another server, or pulled from there.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_hub::relay::{Direction, Progress, Relays, Spec, Target, TargetError, Transfer};
use sluicegate_hub::{Publish, Viewer};
use sluicegate_net::tls::ClientTls;
use sluicegate_rtc_driver::CloseReason;
use url::Url;

use crate::client::Client;
use crate::{Ending, Engine, Session};

/// From the answer to media. The transport's own deadlines are 20 s, and a publisher may be slow to begin.
const LIVE: Duration = Duration::from_secs(25);
/// How long the other side may take for our goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Pushes by WHIP and pulls by WHEP.
struct Http {
    engine: Engine,
    client: Client,
}

impl Engine {
    /// Lets relays go by the protocols `whip` (push) and `whep` (pull), to `http` and `https` addresses. A token in the
    /// address (`https://:TOKEN@host/…`) is sent as bearer token.
    pub fn register(&self, relays: &Relays, tls: ClientTls) {
        let target: Arc<dyn Target> = Arc::new(Http { engine: self.clone(), client: Client { tls } });
        relays.register(&["whip", "whep"], &target);
    }
}

impl Target for Http {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        let relay = Relay { engine: self.engine.clone(), client: self.client.clone(), spec, progress };
        Box::pin(relay.run())
    }

    fn pulls(&self) -> bool {
        true
    }
}

/// One relay under way.
struct Relay {
    engine: Engine,
    client: Client,
    spec: Spec,
    progress: Progress,
}

impl Relay {
    async fn run(self) -> Result<(), TargetError> {
        let stopped = self.progress.stopped();
        let Some(begun) = stopped.run_until_cancelled(self.begin()).await else { return Ok(()) };
        let (session, resource) = begun?;
        let ending = tokio::select! {
            ended = self.watch(&session) => ended,
            () = stopped.cancelled() => Ok(()),
        };
        session.close();
        if let Some(resource) = resource {
            let _ = tokio::time::timeout(GOODBYE, self.client.end(&resource)).await;
        }
        ending
    }

    /// Exchanges descriptions with the other side.
    async fn begin(&self) -> Result<(Session, Option<Url>), TargetError> {
        let Spec { stream, target, direction, .. } = &self.spec;
        let offering = match direction {
            Direction::Push => self.engine.offer_push(stream, Viewer::by("whip")).await?,
            Direction::Pull => self.engine.offer_pull(stream, Publish::by("whep")).await?,
        };
        let (answer, resource) = self.client.offer(target, offering.description()).await?;
        match offering.accept(&answer).await {
            Ok(session) => Ok((session, resource)),
            Err(error) => {
                if let Some(resource) = resource {
                    let _ = tokio::time::timeout(GOODBYE, self.client.end(&resource)).await;
                }
                Err(error.into())
            }
        }
    }

    async fn watch(&self, session: &Session) -> Result<(), TargetError> {
        let late = || Ending::Failed(format!("no media within {} s", LIVE.as_secs()));
        tokio::time::timeout(LIVE, session.live())
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(|ending| failure(&ending))?;
        match self.spec.direction {
            Direction::Push => self.progress.publishing(),
            Direction::Pull => self.progress.playing(),
        }
        match session.ended().await {
            Ending::Stream(_) | Ending::Transport(CloseReason::Local | CloseReason::Peer) => Ok(()),
            other => Err(failure(&other)),
        }
    }
}

fn failure(ending: &Ending) -> TargetError {
    ending.to_string().into()
}
