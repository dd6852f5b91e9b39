//! Who may do what: one rule for each area of the public side.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sluicegate_net::problem::Problem;

/// What an area asks for.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Rule {
    /// Everybody may.
    #[default]
    Open,
    /// Whoever has this token may: as `Authorization: Bearer`, or as query parameter `token`, since a browser's
    /// `WebSocket` cannot send headers.
    Token(String),
}

impl std::fmt::Debug for Rule {
    /// The token stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Open { "Open" } else { "Token(…)" })
    }
}

impl Rule {
    fn admits(&self, request: &Request) -> bool {
        let Self::Token(token) = self else { return true };
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer =
            header.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let query = request.uri().query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
        let presented = bearer.map(|(_, token)| token.trim()).or(query);
        presented.is_some_and(|presented| is_same(presented.as_bytes(), token.as_bytes()))
    }
}

/// Compares in a time that tells nothing about where the difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// The rules of all areas. Links and pushes of sites have credentials of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `/api`, `/metrics`, `/rest-api` and `/erwscascade/api`.
    pub api: Rule,
    /// Watching under `/live`, `/play`, `/whep` and `/webrtc/play`.
    pub play: Rule,
    /// Publishing under `/live`, `/publish` and `/whip`.
    pub publish: Rule,
    /// `/proxy` and `/erwscascade/httpproxy`.
    pub proxy: Rule,
}

impl Access {
    fn rule(&self, request: &Request) -> &Rule {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let publishes = matches!(*request.method(), Method::POST | Method::PUT)
            || query.split('&').any(|pair| pair == "publish=1" || pair == "publish");
        let under = |area: &str| path.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // A browser's preflight request never has credentials (Fetch section 3.3.5). Other questions to WHIP and WHEP are
        // answered with the passwords of TURN servers.
        let preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if *request.method() == Method::OPTIONS
            && (preflight || !(under("/whip") || under("/whep") || under("/webrtc/play")))
        {
            return &Rule::Open;
        }
        if under("/api") || under("/metrics") || under("/rest-api") || under("/erwscascade/api") {
            &self.api
        } else if under("/proxy") || under("/erwscascade/httpproxy") {
            &self.proxy
        } else if under("/publish") || under("/whip") || (under("/live") && publishes) {
            &self.publish
        } else if under("/live") || under("/play") || under("/whep") || under("/webrtc/play") {
            &self.play
        } else {
            &Rule::Open
        }
    }

    /// Whether the sender of a request may publish; for paths whose messages tell what is wanted.
    #[must_use]
    pub fn may_publish(&self, request: &Request) -> bool {
        self.publish.admits(request)
    }

    /// Whether the sender of a request may watch.
    #[must_use]
    pub fn may_play(&self, request: &Request) -> bool {
        self.play.admits(request)
    }

    /// Whether the sender of a request may see and change what the API has.
    #[must_use]
    pub fn may_manage(&self, request: &Request) -> bool {
        self.api.admits(request)
    }

    /// Lets a request on to `next` if its area's rule admits it. For `axum::middleware::from_fn`.
    pub async fn check(self, request: Request, next: Next) -> Response {
        if self.rule(&request).admits(&request) {
            return next.run(request).await;
        }
        let problem = Problem::new(StatusCode::UNAUTHORIZED).detail("a valid token is needed here");
        problem.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluicegate\"")).into_response()
    }
}

/// Whether a browser sent this for a page of another origin (RFC 6454 §7).
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != text(HOST)
}
