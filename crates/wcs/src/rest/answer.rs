//! Answers and errors.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE,
};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// What a method comes to: nothing for a command, an array for a query.
pub(super) type Answered = Result<Option<Value>, Fault>;

/// A method that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Fault {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(super) fn no_method() -> Self {
        Self::not_found("there is no such method")
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "methods are called by POST; queries also by GET")
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 64 KiB")
    }
}

/// A list, which is not found when it is empty.
pub(super) fn list(entries: Vec<Value>) -> Answered {
    if entries.is_empty() { Err(Fault::not_found("nothing found")) } else { Ok(Some(Value::Array(entries))) }
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn respond(done: Answered, path: &str) -> Response {
    let (status, body) = match done {
        Ok(body) => (StatusCode::OK, body),
        Err(Fault { status, message }) => {
            tracing::debug!(path, %status, message, "a method of the REST interface failed");
            let error = status.canonical_reason().unwrap_or_default();
            let timestamp = millis(SystemTime::now());
            let body = json!({
                "timestamp": timestamp, "status": status.as_u16(), "error": error, "message": message, "path": path,
            });
            (status, Some(body))
        }
    };
    crate::metrics::rest(status.as_u16());
    let text = body.as_ref().map(ToString::to_string);
    let mut response = Response::new(text.map_or_else(Body::empty, Body::from));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// Lets a page of any origin call methods, as the original does (Fetch, "CORS-preflight request").
pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type, Authorization"));
    response
}
