//! `/api/v1/sites`.

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use sluicegate_net::problem::Problem;

use crate::State;
use crate::documents::SiteDocument;

/// The connected sites, ordered by id.
#[utoipa::path(get, path = "/api/v1/sites", responses((status = 200, body = Vec<SiteDocument>)))]
pub(crate) async fn list(Extract(state): Extract<State>) -> Json<Vec<SiteDocument>> {
    Json(state.sites.list().iter().map(|site| SiteDocument::from(site.as_ref())).collect())
}

/// One connected site.
#[utoipa::path(
    get,
    path = "/api/v1/sites/{id}",
    params(("id" = String, Path, description = "the site's id")),
    responses((status = 200, body = SiteDocument), (status = 404, description = "not connected"))
)]
pub(crate) async fn one(Extract(state): Extract<State>, Path(id): Path<String>) -> Response {
    match state.sites.get(&id) {
        Some(site) => Json(SiteDocument::from(site.as_ref())).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND).detail(format!("site {id} is not connected")).into_response(),
    }
}
