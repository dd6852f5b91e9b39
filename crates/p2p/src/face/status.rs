//! `/status` and `/peers`, with the keys of the existing node.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Face;
use super::answer::Answer;
use crate::media::{Library, VideoInfo};
use crate::node::PeerInfo;

/// Bytes of a page as `/proc` counts them.
const PAGE_KIB: u64 = 4;

/// What the process is like. Memory in KiB.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    uptime: String,
    go_version: &'static str,
    hostname: String,
    mem_allocated: u64,
    mem_total: u64,
    mem_sys: u64,
    num_goroutine: usize,
    #[serde(rename = "CPUNum")]
    cpu_num: usize,
    pid: u32,
}

/// What is asked of `/peers`.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    #[serde(default)]
    t: String,
}

fn document(document: &impl Serialize) -> Response {
    let body = serde_json::to_string(document).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

pub(super) async fn status(State(face): State<Face>) -> Response {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    // Sizes in pages: all, resident, shared.
    let statm = read("/proc/self/statm");
    let mut pages = statm.split_whitespace().map(|pages| pages.parse::<u64>().unwrap_or_default());
    let (all, resident) = (pages.next().unwrap_or_default(), pages.next().unwrap_or_default());
    document(&Status {
        uptime: go_duration(face.0.began.elapsed().unwrap_or_default()),
        // There is no Go here; whoever reads the key finds what runs instead.
        go_version: concat!("sluicegate ", env!("CARGO_PKG_VERSION")),
        hostname: read("/proc/sys/kernel/hostname").trim().to_owned(),
        mem_allocated: resident * PAGE_KIB,
        mem_total: resident * PAGE_KIB,
        mem_sys: all * PAGE_KIB,
        num_goroutine: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        cpu_num: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        pid: std::process::id(),
    })
}

pub(super) async fn peers(State(face): State<Face>, Query(kind): Query<Kind>) -> Response {
    let Some(peers) = &face.0.peers else { return Answer::not_found() };
    let all = peers.peers();
    if kind.t != "video" {
        let shown: BTreeMap<&str, Value> = all.iter().map(|peer| (peer.uid.as_str(), shown(peer))).collect();
        return document(&json!({ "ID": peers.uid(), "Peers": shown }));
    }
    let known = face.0.library.as_ref().map(Library::known).unwrap_or_default();
    let without_urls = |info: Arc<VideoInfo>| info.as_ref().clone().without_urls();
    let videos: BTreeMap<String, Value> =
        known.into_iter().map(|(vid, info)| (vid.to_string(), json!(info.map(without_urls)))).collect();
    let open = all.iter().filter_map(|peer| Some((peer.number.to_string(), queue(peer)?)));
    let queues: BTreeMap<String, Value> = open.collect();
    document(&json!({ "Time": time(face.0.began), "Videos": videos, "Queues": queues }))
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_nanos(at).to_string()
}

/// The channel to a peer, once it is open.
fn channel(peer: &PeerInfo) -> Option<Value> {
    let label = peer.label.as_ref()?;
    Some(json!({ "ID": peer.number.to_string(), "Label": label, "State": "open", "Buffered": peer.buffered }))
}

/// The same, with what waits to be sent on it.
fn queue(peer: &PeerInfo) -> Option<Value> {
    let mut channel = channel(peer)?;
    channel.as_object_mut()?.insert("Tasks".to_owned(), peer.tasks.into());
    Some(channel)
}

/// A peer, with the names that browsers have for states and statistics.
fn shown(peer: &PeerInfo) -> Value {
    let ice = if peer.state == "connecting" { "checking" } else { peer.state };
    let (number, round_trip) = (peer.number, peer.round_trip.map(|time| time.as_secs_f64()));
    let mut stats = serde_json::Map::new();
    let mut tell = |kind: &str, mut fields: Value| {
        let id = format!("{kind}-{number}");
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("id".to_owned(), id.clone().into());
            fields.insert("type".to_owned(), kind.into());
        }
        stats.insert(id, fields);
    };
    tell("peer-connection", json!({ "dataChannelsOpened": u8::from(peer.label.is_some()) }));
    tell("transport", json!({ "bytesSent": peer.sent, "bytesReceived": peer.received }));
    tell("candidate-pair", json!({ "currentRoundTripTime": round_trip, "nominated": peer.address.is_some() }));
    if let Some(address) = peer.address {
        tell("remote-candidate", json!({ "ip": address.ip(), "port": address.port(), "protocol": "udp" }));
    }
    if let Some(label) = &peer.label {
        let traffic = json!({ "label": label, "bytesSent": peer.sent, "bytesReceived": peer.received });
        tell("data-channel", traffic);
    }
    json!({
        "Time": time(peer.since),
        "ConnectionState": peer.state,
        "ICEConnectionState": ice,
        "ICEGatheringState": "complete",
        "DataChannelStatus": channel(peer),
        "PeerStatus": stats,
    })
}

/// A duration as Go writes it: `3m55.002082409s`.
fn go_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let mut out = String::new();
    // Writing to a text does not fail.
    if seconds >= 3_600 {
        let _ = write!(out, "{}h", seconds / 3_600);
    }
    if seconds >= 60 {
        let _ = write!(out, "{}m", seconds / 60 % 60);
    }
    let fraction = format!("{}.{nanos:09}", seconds % 60);
    out.push_str(fraction.trim_end_matches('0').trim_end_matches('.'));
    out.push('s');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_the_existing_nodes() {
        let go = |seconds, nanos| go_duration(Duration::new(seconds, nanos));
        assert_eq!(go(7, 21_858_625), "7.021858625s");
        assert_eq!(go(235, 2_082_409), "3m55.002082409s");
        assert_eq!((go(3_600, 0), go(0, 0), go(10, 500_000_000)), ("1h0m0s".into(), "0s".into(), "10.5s".into()));
    }
}
