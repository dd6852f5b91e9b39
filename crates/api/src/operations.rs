//! What operators and their tools look at.

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use sluicegate_net::problem::Problem;

use crate::State;

/// Makes the counters of all crates visible at `/metrics`. Once per process.
///
/// # Errors
/// Another recorder is installed already.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}

/// 200 while the process runs.
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// 200 while new work is welcome, 503 while the process drains.
pub(crate) async fn ready(Extract(state): Extract<State>) -> Response {
    if state.shutdown.is_begun() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail("the server is draining").into_response();
    }
    "ready\n".into_response()
}

/// The counters in Prometheus' text format.
pub(crate) async fn metrics(Extract(state): Extract<State>) -> Response {
    match &state.metrics {
        Some(handle) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND).detail("metrics are not recorded").into_response(),
    }
}
