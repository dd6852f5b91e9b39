//! Paths that are nobody else's: sockets of the signalling server, and files of a folder.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sluicegate_p2p::signal::{Service, Target};
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

/// What answers them.
#[derive(Debug, Clone)]
struct Rest {
    signal: Option<Router>,
    files: Option<ServeDir<ServeFile>>,
}

/// Sockets go to the signalling server where it runs here; other paths name a file of the folder, one of whose name they
/// are the folder, or else the folder's own `index.html`. Without one it is 404.
pub(crate) fn router(signal: Option<&Service>, folder: Option<&Path>) -> Router {
    let files = folder.map(|folder| ServeDir::new(folder).fallback(ServeFile::new(folder.join("index.html"))));
    Router::new().fallback(answer).with_state(Rest { signal: signal.map(Service::router), files })
}

async fn answer(State(rest): State<Rest>, request: Request) -> Response {
    match (rest.signal, rest.files) {
        (Some(signal), _) if Target::parse(request.uri().path()).is_some() => unfailing(signal.oneshot(request).await),
        (_, Some(files)) => {
            let answered = unfailing(files.oneshot(request).await).map(Body::new);
            if answered.status() == StatusCode::NOT_FOUND { not_found() } else { answered }
        }
        _ => not_found(),
    }
}

fn unfailing<T>(answered: Result<T, std::convert::Infallible>) -> T {
    match answered {
        Ok(response) => response,
    }
}

/// What the existing node says.
fn not_found() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::NOT_FOUND, kind, "404 page not found\n").into_response()
}
