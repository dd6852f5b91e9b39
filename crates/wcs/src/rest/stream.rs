//! `/stream/*`: what is published here, by whatever protocol, and what clients of WCS play.

use serde_json::{Map, Value, json};
use sluicegate_hub::{StreamName, StreamStatus};
use sluicegate_media::Kind;

use super::answer::{self, Answered, Fault};
use super::filter;
use crate::Service;
use crate::message::Role;
use crate::registry::{Command, Entry, Listed};

/// Before the name of a stream that no client of WCS publishes, as its identification.
const OTHERS: &str = "stream:";

pub(super) fn find(service: &Service, filter: &Map<String, Value>) -> Answered {
    let metrics = filter.get("display").and_then(Value::as_array);
    let metrics = metrics.is_some_and(|display| display.iter().any(|what| what == "metrics"));
    let found = all(service).into_iter().filter(|entry| filter::matches(entry, filter));
    let shown = found.map(|mut entry| {
        if let Some(fields) = entry.as_object_mut().filter(|_| metrics) {
            let numbers = json!({ "VIDEO_WIDTH": fields["width"], "VIDEO_HEIGHT": fields["height"] });
            fields.insert("metrics".to_owned(), numbers);
        }
        entry
    });
    answer::list(shown.collect())
}

pub(super) fn terminate(service: &Service, fields: &Map<String, Value>) -> Answered {
    let mut filter = fields.clone();
    let ids = filter.remove("mediaSessionIds");
    let ids = ids.as_ref().and_then(Value::as_array);
    if filter::is_empty(&filter) && ids.is_none_or(Vec::is_empty) {
        return Err(Fault::bad("say which streams: mediaSessionId, mediaSessionIds, or a filter such as name"));
    }
    let meant =
        |entry: &Value| filter::matches(entry, &filter) && ids.is_none_or(|ids| ids.contains(&entry["mediaSessionId"]));
    let streams: Vec<Value> = all(service).into_iter().filter(meant).collect();
    if streams.is_empty() {
        return Err(Fault::not_found("there is no such stream"));
    }
    let clients = service.0.registry.list();
    for id in streams.iter().filter_map(|stream| stream["mediaSessionId"].as_str()) {
        let owner = clients.iter().find(|client| client.streams.contains_key(id));
        if let Some(owner) = owner {
            owner.send(Command::Terminate { id: id.to_owned() });
        } else if let Some(Ok(name)) = id.strip_prefix(OTHERS).map(StreamName::parse) {
            service.0.parts.hub.cut(&name);
        }
    }
    Ok(None)
}

/// All streams as the lists show them.
fn all(service: &Service) -> Vec<Value> {
    let hub = &service.0.parts.hub;
    let clients = service.0.registry.list();
    let mut entries = Vec::new();
    for client in &clients {
        for (id, listed) in &client.streams {
            let status = StreamName::parse(&listed.stream.name).ok().and_then(|name| hub.stream(&name));
            entries.push(of_client(client, id, listed, status.as_ref()));
        }
    }
    let publishes = |name: &str| {
        let mut streams = clients.iter().flat_map(|client| client.streams.values());
        streams.any(|listed| listed.stream.role == Role::Publish && listed.stream.name == name)
    };
    let others = hub.streams().into_iter().filter(|status| status.publisher.is_some());
    entries.extend(others.filter(|status| !publishes(status.name.as_str())).map(|status| of_hub(&status)));
    entries
}

fn of_client(client: &Entry, id: &str, listed: &Listed, status: Option<&StreamStatus>) -> Value {
    let stream = &listed.stream;
    let app_key = client.client.get("appKey").cloned().unwrap_or_default();
    let about = json!({
        "appKey": app_key,
        "sessionId": client.token,
        "mediaSessionId": id,
        "name": stream.name,
        "published": stream.role == Role::Publish,
        "hasVideo": stream.has_video,
        "hasAudio": stream.has_audio,
        "status": stream.standing().name(),
        "mediaProvider": "WebRTC",
        "createDate": answer::millis(listed.since),
    });
    with_media(about, stream.role, status)
}

fn of_hub(status: &StreamStatus) -> Value {
    let has = |kind| status.tracks.iter().any(|track| track.kind == kind);
    let address = status.publisher_address.map(|address| address.to_string()).unwrap_or_default();
    let about = json!({
        "appKey": "",
        "sessionId": format!("/{address}"),
        "mediaSessionId": format!("{OTHERS}{}", status.name),
        "name": status.name.as_str(),
        "published": true,
        "hasVideo": has(Kind::Video),
        "hasAudio": has(Kind::Audio),
        "status": "PUBLISHING",
        "mediaProvider": status.publisher,
        "createDate": status.published_since.map(answer::millis),
    });
    with_media(about, Role::Publish, Some(status))
}

/// Adds what the hub knows of the media; numbers that nobody measures are 0.
fn with_media(mut entry: Value, role: Role, status: Option<&StreamStatus>) -> Value {
    let track = |kind| status.and_then(|status| status.tracks.iter().find(|track| track.kind == kind));
    let (video, audio) = (track(Kind::Video), track(Kind::Audio));
    let codec = |codec: Option<&str>| match codec {
        Some("opus") => "opus".to_owned(),
        Some("aac") => format!(
            "mpeg4-generic/{}/{}",
            audio.map_or(0, |track| track.sample_rate),
            audio.map_or(0, |track| track.channels)
        ),
        Some(other) => other.to_ascii_uppercase(),
        None => String::new(),
    };
    let media = json!({
        "mediaType": if role == Role::Publish { "publish" } else { "play" },
        "videoCodec": codec(video.map(|track| track.codec)),
        "audioCodec": codec(audio.map(|track| track.codec)),
        "width": video.map_or(0, |track| track.width),
        "height": video.map_or(0, |track| track.height),
        "sdp": "", "record": false, "bitrate": 0, "minBitrate": 0, "maxBitrate": 0, "quality": 0, "history": false,
        "gop": 0, "fps": 0, "audioBitrate": 0, "codecImpl": "", "transport": "UDP", "cvoExtension": false,
    });
    if let (Some(fields), Value::Object(media)) = (entry.as_object_mut(), media) {
        fields.extend(media);
    }
    entry
}
