//! Answers and their headers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sha2::{Digest, Sha256};

use super::range::{Validators, Wanted, wanted};
use crate::media::MediaError;

/// Ten days: what has a name does not change.
const DOCUMENT_CACHE: HeaderValue = HeaderValue::from_static("public,max-age=864000");
const MEDIA_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=864000");
/// What does not exist now may exist soon.
const ERROR_CACHE: HeaderValue = HeaderValue::from_static("public,max-age=1");
const DAYS: HeaderValue = HeaderValue::from_static("864000");
/// What scripts of other pages may read beside the simple headers.
const EXPOSED: HeaderValue = HeaderValue::from_static("Accept-Ranges, Content-Length, Content-Range, ETag");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A whole of which a request may want a part.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) method: &'a Method,
    pub(super) request: &'a HeaderMap,
    pub(super) mime: &'a str,
    pub(super) validators: Validators,
    pub(super) len: u64,
    /// Whether parts may be wanted; else `Range` is left out of account.
    pub(super) has_parts: bool,
    pub(super) cache: Cache,
}

/// How long an answer is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    Document,
    Media,
}

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The head only.
    Head,
    /// The part from the first to the last byte.
    Part(u64, u64),
}

/// A tag of the text that a hash begins with.
pub(super) fn etag(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let digits: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

impl Answer<'_> {
    /// The head of the answer, and what of the whole goes with it.
    pub(super) fn head(&self) -> (Response, Sent) {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        cors(headers, self.request);
        let cache = if self.cache == Cache::Document { DOCUMENT_CACHE } else { MEDIA_CACHE };
        headers.insert(header::CACHE_CONTROL, cache);
        set(headers, header::ETAG, &self.validators.etag);
        if let Some(date) = self.validators.date() {
            set(headers, header::LAST_MODIFIED, &date);
        }
        if self.has_parts {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if self.validators.are_known(self.request) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return (response, Sent::Head);
        }
        set(headers, header::CONTENT_TYPE, self.mime);
        let is_ranged = self.has_parts && self.method == Method::GET;
        let wanted = if is_ranged { wanted(self.request, &self.validators, self.len) } else { Wanted::Whole };
        let (count, sent) = match wanted {
            Wanted::Beyond => return (beyond(self.len), Sent::Head),
            Wanted::Part(part) => {
                set(headers, header::CONTENT_RANGE, &format!("bytes {}-{}/{}", part.start, part.end, self.len));
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                (part.count(), Sent::Part(part.start, part.end))
            }
            Wanted::Whole => (self.len, self.len.checked_sub(1).map_or(Sent::Head, |last| Sent::Part(0, last))),
        };
        set(response.headers_mut(), header::CONTENT_LENGTH, &count.to_string());
        (response, if self.method == Method::HEAD { Sent::Head } else { sent })
    }

    /// The answer with a whole that is in memory.
    pub(super) fn with(self, whole: &Bytes) -> Response {
        let (response, sent) = self.head();
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        match sent {
            Sent::Part(start, end) if place(end) < whole.len() => {
                response.map(|_| Body::from(whole.slice(place(start)..=place(end))))
            }
            _ => response,
        }
    }

    /// What the existing server says of paths that it does not know.
    pub(super) fn not_found() -> Response {
        text(StatusCode::NOT_FOUND, "404 page not found")
    }
}

/// 416, with the length that there is.
pub(super) fn beyond(len: u64) -> Response {
    let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "the range lies beyond the end");
    set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{len}"));
    response
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: &str) -> Response {
    let mut response = (status, format!("{line}\n")).into_response();
    let headers = response.headers_mut();
    cors(headers, &HeaderMap::new());
    headers.insert(header::CONTENT_TYPE, TEXT);
    headers.insert(header::CACHE_CONTROL, ERROR_CACHE);
    response
}

/// The status of a failure.
fn status(error: &MediaError) -> StatusCode {
    match error {
        MediaError::NoOrigin => StatusCode::SERVICE_UNAVAILABLE,
        MediaError::UnknownVideo | MediaError::UnknownStream | MediaError::NoIndex | MediaError::NoSegment { .. } => {
            StatusCode::NOT_FOUND
        }
        MediaError::Denied => StatusCode::NO_CONTENT,
        MediaError::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        MediaError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// The answer to a failure: a document where one is asked for, else a line of text.
pub(super) fn failure(error: &MediaError, is_document: bool) -> Response {
    let status = status(error);
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(error = error as &dyn std::error::Error, "the origin failed");
    }
    match error {
        MediaError::Denied => StatusCode::NO_CONTENT.into_response(),
        MediaError::Range { length } => beyond(*length),
        _ if is_document => {
            let document = serde_json::json!({ "code": -1, "msg": error.to_string() });
            let mut response = (status, document.to_string()).into_response();
            let headers = response.headers_mut();
            cors(headers, &HeaderMap::new());
            headers.insert(header::CONTENT_TYPE, JSON);
            headers.insert(header::CACHE_CONTROL, ERROR_CACHE);
            response
        }
        _ => text(status, &error.to_string()),
    }
}

/// The answer to `OPTIONS`.
pub(super) fn preflight(request: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    cors(headers, request);
    let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    response
}

/// Everybody may read it, from every page.
fn cors(headers: &mut HeaderMap, request: &HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, DAYS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(wanted) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
}

/// Sets a header to a text of ours. One that cannot be a header's value is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
