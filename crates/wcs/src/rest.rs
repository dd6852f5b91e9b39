//! The REST interface: `/rest-api/{method}`, in the manner of the original.
//!
//! Commands answer 200 with an empty body, since tools take any other body for an error; lists are arrays, and 404 when
//! they are empty. Queries without arguments come by `GET` from the SDK and by `POST` from others.

mod answer;
mod connection;
mod filter;
mod pull;
mod push;
mod rtsp;
mod stream;
mod table;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::Method;
use serde_json::{Map, Value};

use self::answer::{Answered, Fault};
use crate::Service;

pub(crate) use self::rtsp::pulled_from;

/// Bytes of a request's body: names and an address.
const MAX_BODY: usize = 64 << 10;

pub(crate) fn router(service: Service) -> Router {
    Router::new().route("/rest-api/{*method}", any(dispatch)).with_state(service)
}

async fn dispatch(State(service): State<Service>, Path(path): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return answer::preflight();
    }
    let done = match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(body) => act(&service, &parts.method, &path, &body).await,
        Err(_) => Err(Fault::too_large()),
    };
    answer::respond(done, parts.uri.path())
}

async fn act(service: &Service, method: &Method, path: &str, body: &Bytes) -> Answered {
    let is_query = path.ends_with("/find") || path.ends_with("/find_all");
    if *method != Method::POST && !(*method == Method::GET && is_query) {
        return Err(Fault::method());
    }
    let fields = fields(body)?;
    match path {
        "pull/push" => pull::push(service, &fields).await,
        "pull/pull" => pull::pull(service, &fields).await,
        "pull/find_all" => pull::find(service, &Map::new()),
        "pull/find" => pull::find(service, &fields),
        "pull/terminate" => pull::terminate(service, &fields).await,
        "push/startup" => push::startup(service, &fields).await,
        "push/find_all" => push::find(service, &Map::new()),
        "push/find" => push::find(service, &fields),
        "push/terminate" => push::terminate(service, &fields).await,
        "rtsp/startup" => rtsp::startup(service, &fields).await,
        "rtsp/find_all" => rtsp::find(service, &Map::new()),
        "rtsp/find" => rtsp::find(service, &fields),
        "rtsp/terminate" => rtsp::terminate(service, &fields).await,
        "stream/find_all" => stream::find(service, &Map::new()),
        "stream/find" => stream::find(service, &fields),
        "stream/terminate" => stream::terminate(service, &fields),
        "connection/find_all" => connection::find(service, &Map::new()),
        "connection/find" => connection::find(service, &fields),
        "connection/set_log_level" => connection::set_log_level(service, &fields),
        "connection/terminate" => connection::terminate(service, &fields),
        _ => Err(Fault::no_method()),
    }
}

/// The object of a body; without a body there are no fields.
fn fields(body: &Bytes) -> Result<Map<String, Value>, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| Fault::internal(format!("the body is no JSON object: {error}")))
}
