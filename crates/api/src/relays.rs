//! `/api/v1/relays`: streams that are copied to other servers, and from them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Error, Retry, Spec, Status};
use sluicegate_net::problem::Problem;
use utoipa::ToSchema;

use crate::State;
use crate::access::is_foreign;
use crate::documents::rfc3339;

/// A relay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelayDocument {
    /// Its number.
    id: u64,
    /// `push` or `pull`.
    direction: &'static str,
    /// The stream here.
    stream: String,
    /// The URL of the other side.
    target: String,
    /// The protocol, such as `wcs` or `ws`.
    protocol: String,
    /// The stream's name there, for protocols whose URLs do not have it.
    remote: Option<String>,
    /// How often it is tried again; -1 for ever.
    retry: i64,
    /// Whether it is kept over a restart.
    saved: bool,
    /// Whether it pulls while somebody watches only.
    on_demand: bool,
    /// `NEW`, `CONNECTING`, `PUBLISHING`, `PLAYING`, `RETRYING`, `STOPPED` or `FAILED`.
    state: &'static str,
    /// Why it is retried, stopped or failed.
    reason: Option<String>,
    /// How often it was begun.
    attempts: u32,
    /// Since when it is in this state (RFC 3339).
    since: String,
    /// When it was asked for (RFC 3339).
    created: String,
}

impl From<&Status> for RelayDocument {
    fn from(relay: &Status) -> Self {
        let Status { id, spec, standing, created } = relay;
        Self {
            id: *id,
            direction: spec.direction.name(),
            stream: spec.stream.to_string(),
            target: spec.target.clone(),
            protocol: spec.protocol(),
            remote: spec.remote.clone(),
            retry: match spec.retry {
                Retry::Always => -1,
                Retry::Times(times) => times.into(),
            },
            saved: spec.saved,
            on_demand: spec.on_demand,
            state: standing.state.name(),
            reason: standing.reason.clone(),
            attempts: standing.attempts,
            since: rfc3339(standing.since),
            created: rfc3339(*created),
        }
    }
}

/// A relay that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelayRequest {
    /// `push` or `pull`.
    direction: Way,
    /// The stream here.
    stream: String,
    /// The URL of the other side.
    target: String,
    /// The protocol, where the URL's scheme does not tell: `wcs`.
    protocol: Option<String>,
    /// The stream's name there; the same as here without it.
    remote: Option<String>,
    /// How often it is tried again after a failure; -1 for ever, which is the default.
    #[serde(default = "for_ever")]
    retry: i64,
    /// Whether it is kept over a restart.
    #[serde(default)]
    saved: bool,
    /// Whether it pulls while somebody watches only.
    #[serde(default)]
    on_demand: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Way {
    Push,
    Pull,
}

const fn for_ever() -> i64 {
    -1
}

impl RelayRequest {
    fn spec(self) -> Result<Spec, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST).detail(detail);
        let stream = StreamName::parse(&self.stream).map_err(|error| bad(error.to_string()))?;
        let retry = match self.retry {
            -1 => Retry::Always,
            times => u32::try_from(times).map(Retry::Times).map_err(|_| bad("retry: -1, 0 or a count".to_owned()))?,
        };
        Ok(Spec {
            stream,
            target: self.target,
            direction: match self.direction {
                Way::Push => Direction::Push,
                Way::Pull => Direction::Pull,
            },
            protocol: self.protocol,
            remote: self.remote,
            retry,
            saved: self.saved,
            on_demand: self.on_demand,
        })
    }
}

/// All relays, in the order in which they were begun; of those that are over, the newest.
#[utoipa::path(get, path = "/api/v1/relays", responses((status = 200, body = Vec<RelayDocument>)))]
pub(crate) async fn list(Extract(state): Extract<State>) -> Json<Vec<RelayDocument>> {
    Json(state.relays.list().iter().map(Into::into).collect())
}

/// One relay.
#[utoipa::path(
    get,
    path = "/api/v1/relays/{id}",
    params(("id" = u64, Path, description = "the relay's number")),
    responses((status = 200, body = RelayDocument), (status = 404, description = "no such relay"))
)]
pub(crate) async fn one(Extract(state): Extract<State>, Path(id): Path<String>) -> Response {
    match id.parse().ok().and_then(|id| find(&state, id)) {
        Some(relay) => Json(RelayDocument::from(&relay)).into_response(),
        None => missing(&id),
    }
}

/// Begins a relay; how it fares is told by its state.
#[utoipa::path(
    post,
    path = "/api/v1/relays",
    request_body = RelayRequest,
    responses(
        (status = 201, body = RelayDocument, description = "begun; Location has its path"),
        (status = 400, description = "not a request for a relay, or for no protocol that is spoken here"),
        (status = 403, description = "asked by a page of another origin"),
        (status = 409, description = "the same relay is under way"),
        (status = 503, description = "there are as many as there may be")
    )
)]
pub(crate) async fn begin(Extract(state): Extract<State>, headers: HeaderMap, body: Bytes) -> Response {
    if is_foreign(&headers) {
        return foreign();
    }
    let bad = |error: serde_json::Error| Problem::new(StatusCode::BAD_REQUEST).detail(error.to_string());
    let spec = serde_json::from_slice::<RelayRequest>(&body).map_err(bad).and_then(RelayRequest::spec);
    let begun = spec.and_then(|spec| {
        state.relays.begin(spec).map_err(|error| {
            let status = match error {
                Error::Exists { .. } => StatusCode::CONFLICT,
                Error::TooMany => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            Problem::new(status).detail(error.to_string())
        })
    });
    match begun.map(|(id, _)| (id, find(&state, id))) {
        Ok((id, Some(relay))) => {
            let location = [(LOCATION, format!("/api/v1/relays/{id}"))];
            (StatusCode::CREATED, location, Json(RelayDocument::from(&relay))).into_response()
        }
        Ok((id, None)) => missing(&id.to_string()),
        Err(problem) => problem.into_response(),
    }
}

/// Ends a relay; one that is over is taken off the list.
#[utoipa::path(
    delete,
    path = "/api/v1/relays/{id}",
    params(("id" = u64, Path, description = "the relay's number")),
    responses(
        (status = 204, description = "ended"),
        (status = 403, description = "asked by a page of another origin"),
        (status = 404, description = "no such relay")
    )
)]
pub(crate) async fn end(Extract(state): Extract<State>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if is_foreign(&headers) {
        return foreign();
    }
    let known = |id: u64| state.relays.stop(id) || state.relays.forget(id);
    if id.parse().is_ok_and(known) { StatusCode::NO_CONTENT.into_response() } else { missing(&id) }
}

fn find(state: &State, id: u64) -> Option<Status> {
    state.relays.list().into_iter().find(|relay| relay.id == id)
}

fn missing(id: &str) -> Response {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is no relay {id}")).into_response()
}

fn foreign() -> Response {
    let detail = "a page of another origin may not change anything here";
    Problem::new(StatusCode::FORBIDDEN).detail(detail).into_response()
}
