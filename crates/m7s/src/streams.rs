//! `api/streamlist`, as the plugin has it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sluicegate_hub::{Hub, State};

/// A stream in the plugin's spelling.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamDocument {
    /// How it is published.
    source: String,
    /// Its name.
    stream_path: String,
}

/// The streams of `hub` that can be watched, live or on demand.
pub(crate) fn list(hub: &Hub) -> Response {
    let watchable = |state| matches!(state, State::Live | State::Away | State::Offered);
    let streams = hub.streams().into_iter().filter(|stream| watchable(stream.state)).map(|stream| StreamDocument {
        source: stream.publisher.unwrap_or("offer").to_owned(),
        stream_path: stream.name.to_string(),
    });
    Json(streams.collect::<Vec<_>>()).into_response()
}
