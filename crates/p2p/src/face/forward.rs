//! `/video/…` passed on to other faces.

use axum::body::Body;
use axum::response::Response;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::answer::failure;
use crate::media::MediaError;
use crate::origin::{Client, SetupError, servers, turns};

/// Headers that belong to one connection (RFC 9110, 7.6.1), and those that are nobody else's business.
const KEPT_BACK: [HeaderName; 10] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::COOKIE,
    header::SET_COOKIE,
];

/// Other faces. Clones share their connections.
///
/// A request goes to one at random. When it cannot be reached, or answers with a status below 200 or above 304, the
/// next one is asked, or the same where there is one only; what that answers is passed on, whatever it is.
#[derive(Debug, Clone)]
pub struct Forward {
    client: Client,
    upstreams: Vec<Url>,
}

impl Forward {
    /// Passes on to these URLs, below their own paths.
    ///
    /// # Errors
    /// There is none, or one is no http or https URL.
    pub fn new(client: Client, upstreams: Vec<Url>) -> Result<Self, SetupError> {
        Ok(Self { client, upstreams: servers(upstreams)? })
    }

    /// Passes a request on, and the answer back.
    pub(super) async fn pass(&self, request: &Parts) -> Response {
        let mut last = Err(MediaError::NoOrigin);
        for upstream in turns(&self.upstreams) {
            let headers = passed(&request.headers);
            last = self.client.ask(request.method.clone(), below(upstream, request), headers).await;
            let is_good =
                |response: &reqwest::Response| (StatusCode::OK..=StatusCode::NOT_MODIFIED).contains(&response.status());
            if last.as_ref().is_ok_and(is_good) {
                break;
            }
        }
        match last {
            Ok(answer) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = answer.status();
                *response.headers_mut() = passed(answer.headers());
                response.map(|_| Body::from_stream(answer.bytes_stream()))
            }
            Err(error) => failure(&error, false),
        }
    }
}

/// The request's path and query below an upstream's path.
fn below(upstream: &Url, request: &Parts) -> Url {
    let mut url = upstream.clone();
    let path = format!("{}{}", upstream.path().trim_end_matches('/'), request.uri.path());
    url.set_path(&path);
    url.set_query(request.uri.query());
    url
}

/// The headers that go on.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> =
        named.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    let is_kept = |name: &HeaderName| {
        KEPT_BACK.contains(name)
            || name == "keep-alive"
            || name == "proxy-connection"
            || name == "x-forwarded-for"
            || named.iter().any(|other| other == name.as_str())
    };
    headers.iter().filter(|(name, _)| !is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
