//! Errors over HTTP: problem documents (RFC 9457).

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// An error answer: a status, its title and what is wrong in this case.
///
/// ```
/// use http::StatusCode;
/// use sluicegate_net::problem::Problem;
/// let answer = Problem::new(StatusCode::NOT_FOUND).detail("site cam-7 is not connected").into_response();
/// assert_eq!(answer.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    title: Option<String>,
    detail: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with this status.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, title: None, detail: None, headers: Vec::new() }
    }

    /// The same, named by something other than the status' own phrase.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// The same, saying what is wrong in this case and what to do.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same, with a header such as `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let title = self.title.as_deref().or(self.status.canonical_reason()).unwrap_or("Error");
        let mut document = serde_json::json!({ "title": title, "status": self.status.as_u16() });
        if let (Some(detail), Some(members)) = (self.detail, document.as_object_mut()) {
            members.insert("detail".into(), detail.into());
        }
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        Self::into_response(self)
    }
}
