//! `/pull/*`: relays to and from other servers, as far as their protocol is `wcs`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Error, Retry, Spec, Standing, State, Status};

use super::answer::{self, Answered, Fault};
use super::filter;
use crate::service::PROTOCOL;
use crate::{Service, address, info};

/// How long a relay's end waits for the far side, which has a second itself.
const ENDING: Duration = Duration::from_secs(3);

pub(super) async fn push(service: &Service, fields: &Map<String, Value>) -> Answered {
    let spec = spec(Direction::Push, fields)?;
    let hub = &service.0.parts.hub;
    if hub.stream(&spec.stream).is_none_or(|status| status.state == sluicegate_hub::State::Waiting) {
        return Err(Fault::not_found(format!("{}: {}", info::STREAM_NOT_FOUND, spec.stream)));
    }
    let (target, remote) = (spec.target.clone(), spec.remote.clone());
    let taken = |relay: &Status| {
        relay.spec.direction == Direction::Push && relay.spec.target == target && relay.spec.remote == remote
    };
    if live(service).iter().any(taken) {
        return Err(Fault::conflict("this name is pushed to this address already"));
    }
    begin(service, spec).await
}

pub(super) async fn pull(service: &Service, fields: &Map<String, Value>) -> Answered {
    let spec = spec(Direction::Pull, fields)?;
    let status = service.0.parts.hub.stream(&spec.stream);
    let published = status.is_some_and(|status| status.publisher.is_some() || status.owner.is_some());
    let pulled = |relay: &Status| relay.spec.direction == Direction::Pull && relay.spec.stream == spec.stream;
    if published || live(service).iter().any(pulled) {
        return Err(Fault::conflict(format!("{}: {}", info::NAME_IN_USE, spec.stream)));
    }
    begin(service, spec).await
}

/// Begins a relay and waits for what comes of it. One that fails leaves nothing.
async fn begin(service: &Service, spec: Spec) -> Answered {
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
        State::Publishing | State::Playing => Ok(None),
        // The far side has been asked and takes its time.
        State::New | State::Connecting if now.remote_id.is_some() => Ok(None),
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

fn spec(direction: Direction, fields: &Map<String, Value>) -> Result<Spec, Fault> {
    let text = |key: &str| {
        let value = fields.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| Fault::bad(format!("{key} is missing")))
    };
    let (uri, local, remote) = (text("uri")?, text("localStreamName")?, text("remoteStreamName")?);
    let target = address::canonical(uri).ok_or_else(|| Fault::bad("uri is no address of ws: or wss:"))?;
    let stream = StreamName::parse(local).map_err(|error| Fault::bad(format!("localStreamName: {error}")))?;
    Ok(Spec {
        direction,
        protocol: Some(PROTOCOL.to_owned()),
        remote: Some(remote.to_owned()),
        ..Spec::push(stream, target, Retry::Times(0))
    })
}

/// The relays of this protocol that are not over.
fn live(service: &Service) -> Vec<Status> {
    let mut relays = service.0.parts.relays.list();
    relays.retain(|relay| relay.spec.protocol() == PROTOCOL && !relay.standing.state.is_ended());
    relays
}

pub(super) fn find(service: &Service, filter: &Map<String, Value>) -> Answered {
    let filter = canonical(filter);
    let entries = live(service).iter().map(entry).filter(|entry| filter::matches(entry, &filter)).collect();
    answer::list(entries)
}

pub(super) async fn terminate(service: &Service, filter: &Map<String, Value>) -> Answered {
    let known = ["uri", "localStreamName", "remoteStreamName", "localMediaSessionId", "remoteMediaSessionId"];
    let mut filter = canonical(filter);
    filter.retain(|key, _| known.contains(&key.as_str()));
    if filter::is_empty(&filter) {
        return Err(Fault::bad("say which relays: uri, localStreamName or remoteStreamName"));
    }
    let relays = &service.0.parts.relays;
    let meant: Vec<u64> =
        live(service).iter().filter(|relay| filter::matches(&entry(relay), &filter)).map(|relay| relay.id).collect();
    if meant.is_empty() {
        return Err(Fault::not_found("there is no such relay"));
    }
    for id in &meant {
        relays.stop(*id);
    }
    for id in meant {
        // Whoever looks next, here or there, sees that it is gone.
        if let Some(mut standing) = relays.watch(id) {
            let ended = standing.wait_for(|standing| standing.state.is_ended());
            drop(tokio::time::timeout(ENDING, ended).await);
        }
        relays.forget(id);
    }
    Ok(None)
}

/// The filter with its address in the one form.
fn canonical(filter: &Map<String, Value>) -> Map<String, Value> {
    let mut filter = filter.clone();
    if let Some(uri) = filter.get_mut("uri")
        && let Some(canonical) = uri.as_str().and_then(address::canonical)
    {
        *uri = canonical.into();
    }
    filter
}

fn entry(relay: &Status) -> Value {
    let Standing { state, reason, remote_id, .. } = &relay.standing;
    let status = match state {
        State::Connecting if remote_id.is_some() => "PENDING",
        State::New | State::Connecting => "NEW",
        State::Retrying => "FAILED",
        ended => ended.name(),
    };
    let mut entry = json!({
        "localMediaSessionId": format!("relay-{}", relay.id),
        "remoteMediaSessionId": remote_id,
        "localStreamName": relay.spec.stream.as_str(),
        "remoteStreamName": relay.spec.remote,
        "uri": relay.spec.target,
        "status": status,
        "direction": relay.spec.direction.name(),
        "createDate": answer::millis(relay.created),
    });
    if let (Some(reason), Some(fields)) = (reason, entry.as_object_mut()) {
        fields.insert("info".to_owned(), reason.as_str().into());
    }
    entry
}
