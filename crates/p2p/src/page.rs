//! A page that plays a video whose segments come from peers: `/play/{vid}`.
//!
//! Its script is our own and needs nothing else. The page takes the list of streams, initialisation segments and
//! hashes from the HTTP face beside it, and every segment from nodes by data channel.

use std::future::ready;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::json;
use sluicegate_net::problem::Problem;

use crate::media::{Itag, Library, MediaError, VideoId};

const HTML: &str = include_str!("page/player.html");
const SCRIPT: &str = include_str!("page/player.js");
const PEERS: &str = include_str!("page/peers.js");
/// Scripts of our own only; pictures and sound from where they are put together; sockets to the signalling server,
/// wherever it is.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
                      media-src blob:; base-uri 'none'; form-action 'none'";

#[derive(Debug, Clone)]
struct Page {
    library: Library,
    signal: String,
}

/// The page, its scripts, and what it asks for. `signal` is the signalling server as browsers reach it, to which they add
/// their uid; empty is `/uid/` of the server that the page comes from.
pub fn router(library: Library, signal: String) -> Router {
    Router::new()
        .route("/play/player.js", get(|| ready(text("text/javascript", SCRIPT))))
        .route("/play/peers.js", get(|| ready(text("text/javascript", PEERS))))
        .route("/play/{vid}", get(page))
        .route("/play/{vid}/streams.json", get(streams))
        .route("/play/{vid}/{itag}/segments.json", get(segments))
        .with_state(Page { library, signal })
}

fn text(kind: &'static str, body: &'static str) -> impl IntoResponse + use<> {
    let kind = format!("{kind}; charset=utf-8");
    let headers = [
        (header::CONTENT_TYPE, kind.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let headers = headers.map(|(name, value)| (name, value.to_owned()));
    (headers, body)
}

fn absent(detail: &str) -> Response {
    Problem::new(StatusCode::NOT_FOUND).detail(detail).into_response()
}

fn failed(error: &MediaError) -> Response {
    let status = if error.is_fault() { StatusCode::BAD_GATEWAY } else { StatusCode::NOT_FOUND };
    Problem::new(status).detail(error.to_string()).into_response()
}

async fn page(Path(vid): Path<String>) -> Response {
    match vid.parse::<VideoId>() {
        Ok(_) => text("text/html", HTML).into_response(),
        Err(error) => absent(&error.to_string()),
    }
}

async fn streams(State(page): State<Page>, Path(vid): Path<String>) -> Response {
    let vid = match vid.parse::<VideoId>() {
        Ok(vid) => vid,
        Err(error) => return absent(&error.to_string()),
    };
    let info = match page.library.info(&vid).await {
        Ok(info) => info,
        Err(error) => return failed(&error),
    };
    // What has no index has no segments.
    let streams = info.streams.values().filter(|stream| stream.index.is_some()).filter_map(|stream| {
        let init = stream.init?;
        Some(json!({"itag": stream.itag.number(), "type": stream.mime, "init": [init.start, init.end]}))
    });
    let streams: Vec<_> = streams.collect();
    axum::Json(json!({
        "title": info.title, "duration": info.duration, "signal": page.signal, "streams": streams,
    }))
    .into_response()
}

async fn segments(State(page): State<Page>, Path((vid, itag)): Path<(String, String)>) -> Response {
    let named = vid.parse::<VideoId>().and_then(|vid| Ok((vid, itag.parse::<Itag>()?)));
    let (vid, itag) = match named {
        Ok(named) => named,
        Err(error) => return absent(&error.to_string()),
    };
    match page.library.segment_count(&vid, itag).await {
        Ok(count) => axum::Json(json!({"segments": count})).into_response(),
        Err(error) => failed(&error),
    }
}
