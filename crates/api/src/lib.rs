//! The JSON API, its OpenAPI document, the first page, health, metrics and access rules.
//!
//! [`router`] serves `/`, `/api/v1/…`, `/api/openapi.json`, `/healthz`, `/readyz` and `/metrics`. Lists are bare arrays,
//! keys are `snake_case`, errors are problem documents (RFC 9457). It reads the hub and the directory of sites and
//! keeps nothing itself.

mod access;
mod documents;
mod operations;
mod page;
mod relays;
mod sites;
mod streams;
mod viewers;

pub use access::{Access, Rule};
pub use operations::install_metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use sluicegate_hub::Hub;
use sluicegate_hub::relay::Relays;
use sluicegate_net::link::Directory;
use sluicegate_net::problem::Problem;
use sluicegate_net::shutdown::Shutdown;
use utoipa::OpenApi;

/// What the API shows.
#[derive(Clone)]
pub struct State {
    /// The live streams.
    pub hub: Hub,
    /// The streams that are copied to other servers, and from them.
    pub relays: Relays,
    /// The connected sites.
    pub sites: Arc<Directory>,
    /// The counters; without them `/metrics` is 404.
    pub metrics: Option<PrometheusHandle>,
    /// Makes `/readyz` 503 when it has begun.
    pub shutdown: Shutdown,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("hub", &self.hub).field("sites", &self.sites).finish_non_exhaustive()
    }
}

/// The routes of the public side that are not media and not proxy.
pub fn router(state: State) -> Router {
    let api = Router::new()
        .route("/api/v1/sites", get(sites::list))
        .route("/api/v1/sites/{id}", get(sites::one))
        .route("/api/v1/relays", get(relays::list).post(relays::begin))
        .route("/api/v1/relays/{id}", get(relays::one).delete(relays::end))
        .route("/api/v1/streams", get(streams::list))
        .route("/api/v1/streams/{*name}", get(streams::one).delete(streams::cut))
        .route("/api/v1/viewers", get(viewers::list))
        .route("/api/openapi.json", get(openapi));
    let operations = Router::new()
        .route("/healthz", get(operations::health))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics));
    api.merge(operations)
        .merge(page::router())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(state)
}

/// The OpenAPI document of the routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Sluicegate", description = "Sites behind NAT: their services and live streams."),
    paths(
        relays::list,
        relays::begin,
        relays::one,
        relays::end,
        sites::list,
        sites::one,
        streams::list,
        streams::one,
        streams::cut,
        viewers::list
    )
)]
struct Document;

async fn openapi() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(Document::openapi())
}

async fn not_found(request: Request) -> Response {
    Problem::new(StatusCode::NOT_FOUND).detail(format!("there is nothing at {}", request.uri().path())).into_response()
}

async fn method_not_allowed(request: Request) -> Response {
    let detail = format!("{} is not offered at {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED).detail(detail).into_response()
}

#[cfg(test)]
mod tests;
