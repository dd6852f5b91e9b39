//! `/push/*`: republishing by RTMP, as relays of the table.

use serde_json::{Map, Value, json};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Retry, Spec, Status};
use sluicegate_media::Kind;

use super::answer::{self, Answered, Fault};
use super::{filter, table};
use crate::{Service, address};

pub(super) async fn startup(service: &Service, fields: &Map<String, Value>) -> Answered {
    let text = |key: &str| {
        let value = fields.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| Fault::bad(format!("{key} is missing")))
    };
    let (name, url) = (text("streamName")?, text("rtmpUrl")?);
    let stream = StreamName::parse(name).map_err(|error| Fault::bad(format!("streamName: {error}")))?;
    let is_full = fields.get("rtmpTransponderFullUrl").and_then(Value::as_bool).unwrap_or_default();
    let target = address::republished(url, name, is_full);
    let target = target.ok_or_else(|| Fault::bad("rtmpUrl is no address of rtmp: or rtmps:"))?;
    table::check_published(service, &stream)?;
    let id = table::begin(service, Spec::push(stream, target, Retry::Times(0))).await?;
    let begun = pushes(service).into_iter().find(|relay| relay.id == id);
    let begun = begun.ok_or_else(|| Fault::internal("the stream has ended"))?;
    Ok(Some(entry(service, &begun)))
}

/// By `streamName` and `rtmpUrl`, the one with the stream's name at its end or without.
pub(super) fn find(service: &Service, filter: &Map<String, Value>) -> Answered {
    let found = pushes(service).into_iter().filter(|relay| is_meant(service, relay, filter));
    answer::list(found.map(|relay| entry(service, &relay)).collect())
}

pub(super) async fn terminate(service: &Service, filter: &Map<String, Value>) -> Answered {
    if filter::is_empty(filter) {
        return Err(Fault::bad("say which: mediaSessionId, streamName or rtmpUrl"));
    }
    let found = pushes(service).into_iter().filter(|relay| is_meant(service, relay, filter));
    let ids: Vec<u64> = found.map(|relay| relay.id).collect();
    table::end(service, &ids).await.map(|()| None)
}

fn pushes(service: &Service) -> Vec<Status> {
    let mut relays = table::live(&service.0.parts.relays, &address::RTMP);
    relays.retain(|relay| relay.spec.direction == Direction::Push);
    relays
}

fn is_meant(service: &Service, relay: &Status, filter: &Map<String, Value>) -> bool {
    let mut filter = filter.clone();
    if let Some(url) = filter.get("rtmpUrl").and_then(Value::as_str) {
        let appended = format!("{}/{}", url.trim_end_matches('/'), relay.spec.stream);
        if appended == relay.spec.target {
            filter.insert("rtmpUrl".to_owned(), appended.into());
        }
    }
    filter::matches(&entry(service, relay), &filter)
}

fn entry(service: &Service, relay: &Status) -> Value {
    let status = service.0.parts.hub.stream(&relay.spec.stream);
    let tracks = status.map(|status| status.tracks).unwrap_or_default();
    let video = tracks.iter().find(|track| track.kind == Kind::Video);
    json!({
        "mediaSessionId": format!("relay-{}", relay.id),
        "streamName": relay.spec.stream.as_str(),
        "rtmpUrl": relay.spec.target,
        "width": video.map_or(0, |track| track.width),
        "height": video.map_or(0, |track| track.height),
        "muted": false,
        "soundEnabled": false,
        "options": {},
        "status": relay.standing.state.name(),
        "createDate": answer::millis(relay.created),
    })
}
