//! One relay: tries, waits, tries again.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::metrics;

use super::{Progress, Retry, Spec, State, Target, TargetError, wait};

/// A transfer that held this long was healthy: what fails later is a first failure again.
const HEALTHY: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs a relay until it ends, and tells how.
pub(super) async fn run(spec: Spec, target: Arc<dyn Target>, progress: Progress) {
    let (end, reason) = tries(&spec, &target, &progress).await;
    progress.tell(end, reason);
}

/// Tries as often as the relay asks for, or until it is stopped.
pub(super) async fn tries(spec: &Spec, target: &Arc<dyn Target>, progress: &Progress) -> (State, Option<String>) {
    let mut failures = 0_u32;
    loop {
        let begun = Instant::now();
        progress.state.send_modify(|standing| {
            standing.state = State::Connecting;
            standing.attempts = standing.attempts.saturating_add(1);
            (standing.since, standing.remote_id) = (SystemTime::now(), None);
        });
        metrics::relay_tried(spec.direction.name());
        let done = target.transfer(spec.clone(), progress.clone()).await;
        if progress.stop.is_cancelled() {
            return (State::Stopped, None);
        }
        let (end, reason) = match done {
            Ok(()) => (State::Stopped, "the stream or its target ended".to_owned()),
            Err(error) => {
                metrics::relay_failed(spec.direction.name());
                (State::Failed, chain(&error))
            }
        };
        failures = if begun.elapsed() >= HEALTHY { 1 } else { failures.saturating_add(1) };
        let again = match spec.retry {
            Retry::Always => true,
            Retry::Times(times) => failures <= times,
        };
        tracing::warn!(stream = %spec.stream, to = spec.place(), reason, again, "a relay ended");
        if !again {
            return (end, Some(reason));
        }
        progress.tell(State::Retrying, Some(reason));
        tokio::select! {
            () = tokio::time::sleep(wait(failures.saturating_sub(1))) => {}
            () = progress.stop.cancelled() => return (State::Stopped, None),
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &TargetError) -> String {
    let first: &(dyn std::error::Error + 'static) = error.as_ref();
    let causes = std::iter::successors(Some(first), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
