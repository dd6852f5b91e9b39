//! `/rtsp/*`: streams pulled by RTSP, as relays of the table.

use serde_json::{Map, Value, json};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Relays, Retry, Spec, Status};
use url::Url;

use super::answer::{self, Answered, Fault};
use super::{filter, table};
use crate::Service;

/// The protocols, as they register themselves with the table.
const PROTOCOLS: [&str; 3] = ["rtsp", "rtsps", "rtsp+udp"];
/// Before the name of a stream that is named after its address.
const PREFIX: &str = "rtsp";

pub(super) async fn startup(service: &Service, fields: &Map<String, Value>) -> Answered {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
    let uri = text("uri").ok_or_else(|| Fault::bad("uri is missing"))?;
    let url = Url::parse(uri).ok().filter(|url| PROTOCOLS.contains(&url.scheme()) && url.has_host());
    let url = url.ok_or_else(|| Fault::bad("uri is no address of rtsp: or rtsps:"))?;
    let name = text("localStreamName").map_or_else(|| name_of(&url), str::to_owned);
    let stream = StreamName::parse(&name)
        .map_err(|error| Fault::bad(format!("localStreamName: {name} cannot be the stream's name: {error}")))?;
    if pulls(&service.0.parts.relays).any(|relay| relay.spec.target == uri) {
        return Err(Fault::conflict("this address is pulled already"));
    }
    table::check_free(service, &stream)?;
    let spec = Spec { direction: Direction::Pull, ..Spec::push(stream, uri, Retry::Times(0)) };
    table::begin(service, spec).await.map(|_| None)
}

pub(super) fn find(service: &Service, filter: &Map<String, Value>) -> Answered {
    let found = pulls(&service.0.parts.relays).map(|relay| entry(&relay));
    answer::list(found.filter(|entry| filter::matches(entry, filter)).collect())
}

pub(super) async fn terminate(service: &Service, filter: &Map<String, Value>) -> Answered {
    if filter::is_empty(filter) {
        return Err(Fault::bad("say which: uri, or status"));
    }
    let found = pulls(&service.0.parts.relays).filter(|relay| filter::matches(&entry(relay), filter));
    let (ids, streams): (Vec<u64>, Vec<StreamName>) = found.map(|relay| (relay.id, relay.spec.stream)).unzip();
    table::end(service, &ids).await?;
    let hub = &service.0.parts.hub;
    for stream in streams {
        // Else its viewers would be kept for a while, lest the camera return.
        if hub.stream(&stream).is_some_and(|status| status.publisher.is_none()) {
            hub.cut(&stream);
        }
    }
    Ok(None)
}

/// The stream that is pulled from an address, by which pages play it.
pub(crate) fn pulled_from(relays: &Relays, uri: &str) -> Option<StreamName> {
    pulls(relays).find(|relay| relay.spec.target == uri).map(|relay| relay.spec.stream)
}

fn pulls(relays: &Relays) -> impl Iterator<Item = Status> {
    let pulls = |relay: &Status| relay.spec.direction == Direction::Pull;
    table::live(relays, &PROTOCOLS).into_iter().filter(pulls)
}

/// `rtsp://host:554/live/one?a=1` is `rtsp/host-554/live/one-a-1`; passwords stay out of it.
fn name_of(url: &Url) -> String {
    let port = url.port().map(|port| format!("-{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("-{query}")).unwrap_or_default();
    let address = format!("{}{port}{}{query}", url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'));
    let kept = |letter: char| letter == '/' || letter.is_ascii_alphanumeric() || "._~-".contains(letter);
    let address: String = address.chars().map(|letter| if kept(letter) { letter } else { '-' }).collect();
    format!("{PREFIX}/{address}")
}

fn entry(relay: &Status) -> Value {
    json!({
        "mediaSessionId": format!("relay-{}", relay.id),
        "uri": relay.spec.target,
        "localStreamName": relay.spec.stream.as_str(),
        "status": table::status(relay),
        "createDate": answer::millis(relay.created),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_make_names() {
        for (uri, name) in [
            ("rtsp://me:secret@cam:8554/live/one/", "rtsp/cam-8554/live/one"),
            ("rtsp://10.0.0.7/Streaming/101?a=1&b=%20", "rtsp/10.0.0.7/Streaming/101-a-1-b--20"),
            ("rtsp://[::1]:554", "rtsp/---1--554"),
        ] {
            let made = name_of(&uri.parse().unwrap());
            assert_eq!(made, name);
            StreamName::parse(&made).unwrap();
        }
    }
}
