//! `/status` and `/peers`, with the keys of the existing node.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Face;
use super::answer::Answer;

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
    if kind.t != "video" {
        return document(&peers.peers().await);
    }
    let known = face.0.library.as_ref().map(crate::media::Library::known).unwrap_or_default();
    let videos: BTreeMap<String, serde_json::Value> = known
        .into_iter()
        .map(|(vid, info)| (vid.to_string(), json!(info.map(|info| info.as_ref().clone().without_urls()))))
        .collect();
    let time = humantime::format_rfc3339_nanos(face.0.began).to_string();
    document(&json!({ "Time": time, "Videos": videos, "Queues": peers.queues().await }))
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
