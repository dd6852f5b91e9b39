//! `GET /?action=stat` at a port of its own: figures of the whole server, as sections of `key=value` lines or as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::Request;
use axum::response::{IntoResponse, Json, Response};
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};
use sluicegate_net::problem::Problem;

use crate::Service;
use crate::service::PROTOCOL;

/// A section: its name in `groups`, its heading, its lines.
type Section = (&'static str, &'static str, Vec<(String, Value)>);

/// The answer to a question for figures; none where a request is another.
pub(crate) fn answer(service: &Service, request: &Request) -> Option<Response> {
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(request.uri().query()?.as_bytes()).collect();
    if *request.method() != Method::GET || query.get("action").is_none_or(|action| action != "stat") {
        return None;
    }
    let mut response = figures(service, request, &query);
    // Pages of every origin read it by the SDK's module, as they do the rest of the interface.
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Some(response)
}

fn figures(service: &Service, request: &Request, query: &BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> Response {
    if !(service.0.parts.gate)(request).manage {
        return Problem::new(StatusCode::UNAUTHORIZED).detail("a valid token is needed here").into_response();
    }
    let wanted = |name: &str| query.get("groups").is_none_or(|groups| groups.split(',').any(|group| group == name));
    let sections: Vec<Section> = sections(service).into_iter().filter(|(name, ..)| wanted(name)).collect();
    if query.get("format").is_some_and(|format| format == "json") {
        let object = |(name, _, lines): Section| (name.to_owned(), Value::Object(lines.into_iter().collect()));
        return Json(sections.into_iter().map(object).collect::<Map<_, _>>()).into_response();
    }
    let mut text = String::new();
    for (_, heading, lines) in sections {
        text.push_str(&format!("-----{heading}-----\n"));
        for (key, value) in lines {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{key}={value}\n"));
        }
    }
    text.into_response()
}

fn sections(service: &Service) -> Vec<Section> {
    let parts = &service.0.parts;
    let line = |key: &str, value: Value| (key.to_owned(), value);
    let clients = service.0.registry.list();
    let established = clients.iter().filter(|client| !client.client.is_empty()).count();
    let connections = vec![
        line("connections", clients.len().into()),
        line("connections_websocket", clients.len().into()),
        line("connections_established", established.into()),
    ];
    // By protocol, how many come in and how many are watched.
    let mut flows: BTreeMap<String, usize> = BTreeMap::new();
    let (mut viewers, mut bits) = (Vec::new(), 0);
    for stream in parts.hub.streams().iter().filter(|stream| stream.publisher.is_some()) {
        let publisher = stream.publisher.map(|protocol| format!("streams_{}_in", family(protocol)));
        publisher.into_iter().for_each(|key| *flows.entry(key).or_default() += 1);
        for (protocol, count) in &stream.viewers {
            *flows.entry(format!("streams_{}_out", family(protocol))).or_default() += count;
        }
        viewers.push(format!("{}/{}", stream.name, stream.viewers.values().sum::<usize>()));
        bits += stream.bits_per_second.unwrap_or_default();
    }
    for key in ["streams_webrtc_in", "streams_webrtc_out"] {
        flows.entry(key.to_owned()).or_default();
    }
    let mut streams: Vec<_> = flows.into_iter().map(|(key, count)| (key, count.into())).collect();
    streams.push(line("streams_viewers", viewers.join(";").into()));
    streams.push(line("streams_bits_per_second_in", bits.into()));
    let relays = parts.relays.list();
    let by_wcs = relays.iter().filter(|relay| relay.spec.protocol() == PROTOCOL).count();
    let relays = vec![line("relays", relays.len().into()), line("relays_wcs", by_wcs.into())];
    vec![
        ("connection_stats", "Connection Stats", connections),
        ("stream_stats", "Stream Stats", streams),
        ("relay_stats", "Relay Stats", relays),
    ]
}

/// Media of WCS is WebRTC, as that of WHIP and WHEP.
fn family(protocol: &str) -> &str {
    match protocol {
        PROTOCOL | "whip" | "whep" | "webrtc" => "webrtc",
        other => other,
    }
}
