//! A pull that runs while somebody watches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::run::tries;
use super::{Progress, Spec, State, Target};
use crate::Hub;

/// How long a stream is fetched after its last viewer has left, as a site's lease is.
const LINGER: Duration = Duration::from_secs(5);
/// A pull that has failed for good is begun anew for the next viewer, or after this for those who still wait.
const AGAIN: Duration = Duration::from_secs(10);

/// Shows the stream as offered, and fetches it for its viewers.
pub(super) async fn run(hub: Hub, spec: Spec, target: Arc<dyn Target>, progress: Progress) {
    let offer = match hub.offer_openly(&spec.stream) {
        Ok(offer) => offer,
        Err(error) => return progress.tell(State::Failed, Some(error.to_string())),
    };
    let mut demand = offer.demand();
    let mut reason = "waits for a viewer".to_owned();
    while !progress.stop.is_cancelled() {
        progress.tell(State::New, Some(reason));
        tokio::select! {
            _ = demand.wait_for(|viewers| *viewers > 0) => {}
            () = progress.stop.cancelled() => break,
        }
        let wanted = Progress { state: progress.state.clone(), stop: progress.stop.child_token() };
        let mut fetching = std::pin::pin!(tries(&spec, &target, &wanted));
        let ended = tokio::select! {
            ended = &mut fetching => Some(ended),
            () = forsaken(&mut demand) => None,
        };
        reason = "waits for a viewer".to_owned();
        match ended {
            Some((_, Some(why))) => {
                reason = why;
                let changed = tokio::time::timeout(AGAIN, demand.changed());
                let _ = progress.stop.run_until_cancelled(changed).await;
            }
            Some((_, None)) => {}
            None => {
                wanted.stop.cancel();
                fetching.await;
            }
        }
    }
    progress.tell(State::Stopped, None);
}

/// Waits until nobody has watched for a while.
async fn forsaken(demand: &mut watch::Receiver<usize>) {
    loop {
        // The offer holds the sender, so that it does not fail.
        let _ = demand.wait_for(|viewers| *viewers == 0).await;
        let came = tokio::time::timeout(LINGER, demand.wait_for(|viewers| *viewers > 0)).await;
        if came.is_err() {
            return;
        }
    }
}
