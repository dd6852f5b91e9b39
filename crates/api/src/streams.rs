//! `/api/v1/streams`.

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use sluicegate_hub::{StreamName, StreamStatus};
use sluicegate_net::problem::Problem;

use crate::State;
use crate::access::is_foreign;
use crate::documents::StreamDocument;

/// All streams, ordered by name.
#[utoipa::path(get, path = "/api/v1/streams", responses((status = 200, body = Vec<StreamDocument>)))]
pub(crate) async fn list(Extract(state): Extract<State>) -> Json<Vec<StreamDocument>> {
    Json(state.hub.streams().iter().map(|status| document(&state, status)).collect())
}

/// One stream.
#[utoipa::path(
    get,
    path = "/api/v1/streams/{name}",
    params(("name" = String, Path, description = "the stream's name, with its slashes")),
    responses((status = 200, body = StreamDocument), (status = 404, description = "no such stream"))
)]
pub(crate) async fn one(Extract(state): Extract<State>, Path(name): Path<String>) -> Response {
    let status = parse(&name).map(|name| state.hub.stream(&name));
    match status {
        Ok(Some(status)) => Json(document(&state, &status)).into_response(),
        Ok(None) => missing(&name),
        Err(problem) => problem.into_response(),
    }
}

/// Cuts a stream: its publisher and its viewers are disconnected.
#[utoipa::path(
    delete,
    path = "/api/v1/streams/{name}",
    params(("name" = String, Path, description = "the stream's name, with its slashes")),
    responses(
        (status = 204, description = "cut"),
        (status = 403, description = "asked by a page of another origin"),
        (status = 404, description = "no such stream")
    )
)]
pub(crate) async fn cut(Extract(state): Extract<State>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if is_foreign(&headers) {
        let detail = "a page of another origin may not change anything here";
        return Problem::new(StatusCode::FORBIDDEN).detail(detail).into_response();
    }
    match parse(&name).map(|name| state.hub.cut(&name)) {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => missing(&name),
        Err(problem) => problem.into_response(),
    }
}

fn document(state: &State, status: &StreamStatus) -> StreamDocument {
    StreamDocument::new(status, &state.hub.variants(&status.name))
}

fn parse(name: &str) -> Result<StreamName, Problem> {
    StreamName::parse(name).map_err(|error| Problem::new(StatusCode::BAD_REQUEST).detail(error.to_string()))
}

fn missing(name: &str) -> Response {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is no stream {name}")).into_response()
}
