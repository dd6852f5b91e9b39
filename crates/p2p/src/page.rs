//! A page that plays a video whose segments come from peers: `/play/{vid}`.
//!
//! Its script is our own and needs nothing else. The page takes the list of streams, initialisation segments and
//! hashes from the HTTP face beside it, and every segment from nodes by data channel.

use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;
use sluicegate_net::problem::Problem;

use crate::media::{Itag, Library, MediaError, VideoId};

const HTML: &str = include_str!("page/player.html");
const SCRIPT: &str = include_str!("page/player.js");
const PEERS: &str = include_str!("page/peers.js");
const PEER: &str = include_str!("page/peer.js");
/// Scripts of our own only; pictures and sound from where they are put together; sockets to the signalling server,
/// wherever it is.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
                      media-src blob:; base-uri 'none'; form-action 'none'";

/// What the page is told. Whoever opens it can read it.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The signalling server as browsers reach it, to which they add their uid. Empty is `/uid/` of the server that the
    /// page comes from. Default empty.
    pub signal: String,
    /// STUN and TURN servers. Default none: a node that is reachable needs none.
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server, as `RTCIceServer` of <https://www.w3.org/TR/webrtc/>.
#[derive(Debug, Clone, Serialize)]
pub struct IceServer {
    /// Its addresses: `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`.
    pub urls: Vec<String>,
    /// Who asks, for TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// With what password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

#[derive(Debug, Clone)]
struct Page {
    library: Library,
    config: Arc<Config>,
}

/// The page, its scripts, and what it asks for.
pub fn router(library: Library, config: Config) -> Router {
    Router::new()
        .route("/play/player.js", get(|| ready(text("text/javascript", SCRIPT))))
        .route("/play/peers.js", get(|| ready(text("text/javascript", PEERS))))
        .route("/play/peer.js", get(|| ready(text("text/javascript", PEER))))
        .route("/play/{vid}", get(page))
        .route("/play/{vid}/streams.json", get(streams))
        .route("/play/{vid}/{itag}/segments.json", get(segments))
        .with_state(Page { library, config: Arc::new(config) })
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
        "title": info.title, "duration": info.duration, "streams": streams,
        "signal": page.config.signal, "ice_servers": page.config.ice_servers,
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
