//! `/api/v1/viewers`.

use axum::Json;
use axum::extract::{Query, State as Extract};
use serde::Deserialize;
use sluicegate_hub::StreamStatus;

use crate::State;
use crate::documents::ViewerDocument;

/// Which viewers are listed.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// Only those of this stream.
    stream: Option<String>,
}

/// Who watches, ordered by stream.
#[utoipa::path(
    get,
    path = "/api/v1/viewers",
    params(("stream" = Option<String>, Query, description = "only those of this stream")),
    responses((status = 200, body = Vec<ViewerDocument>))
)]
pub(crate) async fn list(Extract(state): Extract<State>, Query(asked): Query<Asked>) -> Json<Vec<ViewerDocument>> {
    let wanted = |status: &&StreamStatus| asked.stream.as_ref().is_none_or(|name| *name == status.name.to_string());
    let of = |status: &StreamStatus| {
        let viewers = state.hub.viewers(&status.name);
        let document = |viewer| ViewerDocument::new(&status.name, viewer);
        viewers.iter().map(document).collect::<Vec<_>>()
    };
    Json(state.hub.streams().iter().filter(wanted).flat_map(of).collect())
}
