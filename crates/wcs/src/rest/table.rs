//! Relays in the table, begun and ended as this interface promises: what has failed leaves nothing, what is ended is gone.

use std::time::Duration;

use sluicegate_hub::relay::{Direction, Error, Relays, Spec, Standing, State, Status};
use sluicegate_hub::{State as StreamState, StreamName};

use super::answer::Fault;
use crate::{Service, info};

/// How long a relay's end waits for the far side, which has a second itself.
const ENDING: Duration = Duration::from_secs(3);

/// Relays by protocols that are not over.
pub(super) fn live(relays: &Relays, protocols: &[&str]) -> Vec<Status> {
    let mut relays = relays.list();
    relays.retain(|relay| protocols.contains(&relay.spec.protocol().as_str()) && !relay.standing.state.is_ended());
    relays
}

/// Whether there is something to push.
pub(super) fn check_published(service: &Service, stream: &StreamName) -> Result<(), Fault> {
    let status = service.0.parts.hub.stream(stream);
    if status.is_none_or(|status| status.state == StreamState::Waiting) {
        return Err(Fault::not_found(format!("{}: {stream}", info::STREAM_NOT_FOUND)));
    }
    Ok(())
}

/// Whether a stream can be pulled to a name.
pub(super) fn check_free(service: &Service, stream: &StreamName) -> Result<(), Fault> {
    let parts = &service.0.parts;
    let status = parts.hub.stream(stream);
    let published = status.is_some_and(|status| status.publisher.is_some() || status.owner.is_some());
    let pulls = |relay: &Status| relay.spec.direction == Direction::Pull && relay.spec.stream == *stream;
    if published || parts.relays.list().iter().any(|relay| pulls(relay) && !relay.standing.state.is_ended()) {
        return Err(Fault::conflict(format!("{}: {stream}", info::NAME_IN_USE)));
    }
    Ok(())
}

/// The status of a relay, in this interface's words.
pub(super) fn status(relay: &Status) -> &'static str {
    match relay.standing.state {
        State::Connecting if relay.standing.remote_id.is_some() => "PENDING",
        State::New | State::Connecting => "NEW",
        State::Retrying => "FAILED",
        ended => ended.name(),
    }
}

/// Begins a relay and waits for what comes of it. One that fails leaves nothing.
pub(super) async fn begin(service: &Service, spec: Spec) -> Result<u64, Fault> {
    let relays = &service.0.parts.relays;
    let (id, mut standing) = relays.begin(spec).map_err(|error| match error {
        Error::Exists { .. } => Fault::conflict(error.to_string()),
        error => Fault::internal(error.to_string()),
    })?;
    let settled = |standing: &Standing| !matches!(standing.state, State::New | State::Connecting);
    // Whether it has settled in time or not, its standing tells what there is to tell.
    drop(tokio::time::timeout(service.0.config.settle, standing.wait_for(settled)).await);
    let now = standing.borrow().clone();
    match now.state {
        State::Publishing | State::Playing => Ok(id),
        // The far side has been asked and takes its time.
        State::New | State::Connecting if now.remote_id.is_some() => Ok(id),
        _ => {
            relays.forget(id);
            Err(fault(now.reason.unwrap_or_else(|| "the server has not answered in time".to_owned())))
        }
    }
}

/// The far side's own words tell whose fault it is.
fn fault(reason: String) -> Fault {
    if reason.ends_with(info::STREAM_NOT_FOUND) {
        Fault::not_found(reason)
    } else if reason.ends_with(info::NAME_IN_USE) {
        Fault::conflict(reason)
    } else {
        Fault::internal(reason)
    }
}

/// Ends relays and waits for their ends, so that whoever looks next, here or there, sees that they are gone.
pub(super) async fn end(service: &Service, ids: &[u64]) -> Result<(), Fault> {
    if ids.is_empty() {
        return Err(Fault::not_found("there is no such relay"));
    }
    let relays = &service.0.parts.relays;
    for id in ids {
        relays.stop(*id);
    }
    for id in ids {
        if let Some(mut standing) = relays.watch(*id) {
            let ended = standing.wait_for(|standing| standing.state.is_ended());
            drop(tokio::time::timeout(ENDING, ended).await);
        }
        relays.forget(*id);
    }
    Ok(())
}
