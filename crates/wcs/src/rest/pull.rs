//! `/pull/*`: relays to and from other servers, as far as their protocol is `wcs`.

use serde_json::{Map, Value, json};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Retry, Spec, Standing, Status};

use super::answer::{self, Answered, Fault};
use super::{filter, table};
use crate::service::PROTOCOL;
use crate::{Service, address};

pub(super) async fn push(service: &Service, fields: &Map<String, Value>) -> Answered {
    let spec = spec(Direction::Push, fields)?;
    table::check_published(service, &spec.stream)?;
    let (target, remote) = (spec.target.clone(), spec.remote.clone());
    let taken = |relay: &Status| {
        let same = address::canonical(&relay.spec.target).as_ref() == Some(&target);
        relay.spec.direction == Direction::Push && same && relay.spec.remote == remote
    };
    if live(service).iter().any(taken) {
        return Err(Fault::conflict("this name is pushed to this address already"));
    }
    table::begin(service, spec).await.map(|_| None)
}

pub(super) async fn pull(service: &Service, fields: &Map<String, Value>) -> Answered {
    let spec = spec(Direction::Pull, fields)?;
    table::check_free(service, &spec.stream)?;
    table::begin(service, spec).await.map(|_| None)
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

fn live(service: &Service) -> Vec<Status> {
    table::live(&service.0.parts.relays, &[PROTOCOL])
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
    let meant = live(service).into_iter().filter(|relay| filter::matches(&entry(relay), &filter));
    let ids: Vec<u64> = meant.map(|relay| relay.id).collect();
    table::end(service, &ids).await.map(|()| None)
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
    let Standing { reason, remote_id, .. } = &relay.standing;
    let mut entry = json!({
        "localMediaSessionId": format!("relay-{}", relay.id),
        "remoteMediaSessionId": remote_id,
        "localStreamName": relay.spec.stream.as_str(),
        "remoteStreamName": relay.spec.remote,
        "uri": address::canonical(&relay.spec.target).unwrap_or_else(|| relay.spec.target.clone()),
        "status": table::status(relay),
        "direction": relay.spec.direction.name(),
        "createDate": answer::millis(relay.created),
    });
    if let (Some(reason), Some(fields)) = (reason, entry.as_object_mut()) {
        fields.insert("info".to_owned(), reason.as_str().into());
    }
    entry
}
