//! Responses: problems, CORS, and the heads of streams.

use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use sluicegate_net::problem::Problem;

use crate::formats::Container;
use crate::{Error, ingest, metrics};

/// The methods of every route.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, OPTIONS");
/// The methods that pages of other origins may use: playing.
const PLAY_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// The request headers that such pages may set: players ask for ranges and carry tokens.
const PLAY_HEADERS: HeaderValue = HeaderValue::from_static("authorization, range");
/// How long a page may remember the answer to its preflight request, in seconds: a day.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("86400");

/// A problem document (RFC 9457) for an error.
pub(crate) fn problem(error: &Error) -> Response {
    let status = error.status();
    metrics::refused(status.as_u16());
    with_cors(Problem::new(status).detail(ingest::reason(error)).into_response())
}

/// 405 with the methods that there are.
pub(crate) fn method_not_allowed(method: &Method) -> Response {
    metrics::refused(StatusCode::METHOD_NOT_ALLOWED.as_u16());
    let detail = format!("{method} has no meaning here");
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED).detail(detail).into_response();
    response.headers_mut().insert(header::ALLOW, METHODS);
    response
}

/// 426 for a GET that asks to publish without a WebSocket (RFC 9110 §15.5.22).
pub(crate) fn upgrade_required() -> Response {
    metrics::refused(StatusCode::UPGRADE_REQUIRED.as_u16());
    let detail = "publish by WebSocket, or send FLV with POST or PUT";
    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED).detail(detail).into_response();
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

/// 503 for a publisher while the server shuts down.
pub(crate) fn going_away() -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail("the server is going away").into_response()
}

/// The answer to OPTIONS, which is also a preflight answer: any page may play, none of another origin may publish.
pub(crate) fn options() -> Response {
    let mut response = with_cors(Response::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, PLAY_METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, PLAY_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    response
}

/// The response of a stream in this container.
pub(crate) fn stream(container: Container, body: axum::body::Body) -> Response {
    let mut response = with_cors(Response::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(container.content_type()));
    response
}

/// Lets any page read the response, and nobody keep it.
fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
