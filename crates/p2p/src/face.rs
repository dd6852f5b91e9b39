//! The HTTP face: videos by `/video/…`, and what the node does.
//!
//! `docs/protocols/videoproxy-http.md` lists the routes. Players and existing nodes read from it; it reads from a
//! [`Library`], or passes `/video/…` on to other faces.

mod answer;
mod forward;
mod mpd;
mod range;
mod status;
mod target;
mod video;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{Method, StatusCode, header};

use crate::media::Library;
use crate::node::Peers;
use answer::{Answer, preflight};
use target::Target;

pub use forward::Forward;

/// The HTTP face. Clones share it.
#[derive(Debug, Clone)]
pub struct Face(Arc<Inner>);

struct Inner {
    library: Option<Library>,
    forward: Option<Forward>,
    peers: Option<Arc<dyn Peers>>,
    began: SystemTime,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { library, forward, peers, began } = self;
        let mut shown = f.debug_struct("Inner");
        shown.field("library", library).field("forward", forward).field("began", began);
        shown.field("uid", &peers.as_ref().map(|peers| peers.uid())).finish()
    }
}

impl Face {
    /// A face over a library; without one `/video/…` is 503 and says what to configure.
    #[must_use]
    pub fn new(library: Option<Library>) -> Self {
        Self(Arc::new(Inner { library, forward: None, peers: None, began: SystemTime::now() }))
    }

    /// The same, which passes `/video/…` on to other faces. Only the hashes of segments are its own.
    #[must_use]
    pub fn forwarding(self, forward: Forward) -> Self {
        self.with(|inner| inner.forward = Some(forward))
    }

    /// The same, with a chunk node to tell of; without one `/peers` is 404.
    #[must_use]
    pub fn telling(self, peers: Arc<dyn Peers>) -> Self {
        self.with(|inner| inner.peers = Some(peers))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { library, forward, peers, began } = &*self.0;
        let (library, forward, peers) = (library.clone(), forward.clone(), peers.clone());
        let mut inner = Inner { library, forward, peers, began: *began };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// `/video/…`, `/status` and `/peers`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/video/{*path}", any(videos))
            .route("/status", get(status::status))
            .route("/peers", get(status::peers))
            .with_state(self.clone())
    }
}

/// `/video/…`, counted in `sluicegate_p2p_http_answers_total{status}` by the first digit of the status.
async fn videos(State(face): State<Face>, request: Request) -> Response {
    let response = answered(&face.0, request).await;
    let class = ["1xx", "2xx", "3xx", "4xx", "5xx"].get(usize::from(response.status().as_u16() / 100).wrapping_sub(1));
    let class = class.copied().unwrap_or("other");
    metrics::counter!("sluicegate_p2p_http_answers_total", "status" => class).increment(1);
    response
}

/// `/video/…` in all methods.
async fn answered(face: &Inner, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match parts.method {
        Method::OPTIONS => return preflight(&parts.headers),
        Method::GET | Method::HEAD => {}
        _ => return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD, OPTIONS")]).into_response(),
    }
    let target = Target::parse(parts.uri.path());
    if let (Some(forward), false) = (&face.forward, matches!(target, Some(Target::Hash { .. }))) {
        return forward.pass(&parts).await;
    }
    let Some(target) = target else { return Answer::not_found() };
    video::answer(face.library.as_ref(), target, &parts).await
}
