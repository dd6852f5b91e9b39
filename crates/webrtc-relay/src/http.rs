//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep).

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::{
    self, ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_MATCH, LINK, LOCATION, ORIGIN,
};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use sluicegate_hub::{Choice, Publish, StreamName, Viewer};
use sluicegate_net::listener::ConnectInfo;
use sluicegate_net::problem::Problem;

use crate::fragment::Fragment;
use crate::{Engine, Error, IceServer, Session, metrics};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const METHODS: HeaderValue = HeaderValue::from_static("POST, PATCH, DELETE, OPTIONS");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, if-match");
/// What pages need to read (RFC 9725 section 4.7).
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, ETag, Link, Accept-Patch");
/// How long a page may remember the answer to its preflight request, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("86400");

/// How long a session may take to end before its client hears so anyway.
const GOODBYE: Duration = Duration::from_secs(1);

/// Bytes of a body beyond the limit that are read and thrown away before the refusal.
const MAX_DISCARDED: usize = 4 * 1024 * 1024;

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    Whip,
    Whep,
}

impl Face {
    fn prefix(self) -> &'static str {
        if self == Self::Whip { "/whip/" } else { "/whep/" }
    }
}

impl Engine {
    /// `/whip/{name…}` and `/whep/{name…}`, and `/webrtc/play/{name…}` in the form of m7s; sessions are `/whip/{name…}/{id}` and `/whep/{name…}/{id}`.
    pub fn router(&self) -> Router {
        let whip = async |State(engine): State<Self>, request: Request| engine.serve(Face::Whip, request).await;
        let whep = async |State(engine): State<Self>, request: Request| engine.serve(Face::Whep, request).await;
        let m7s = async |State(engine): State<Self>, request: Request| engine.serve_m7s(request).await;
        Router::new()
            .route("/whip/{*path}", any(whip))
            .route("/whep/{*path}", any(whep))
            .route("/webrtc/play/{*path}", any(m7s))
            .with_state(self.clone())
    }

    async fn serve(self, face: Face, request: Request) -> Response {
        let path = request.uri().path().strip_prefix(face.prefix()).unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let response = match *request.method() {
            Method::OPTIONS => self.options(face, request.headers()),
            Method::POST => self.begin(face, &path, request).await,
            Method::PATCH => self.patch(&path, request).await,
            Method::DELETE => self.end(&path).await,
            _ => not_allowed(request.method()),
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            metrics::refused(response.status().as_u16());
        }
        with_cors(response)
    }

    /// An offer as body, a complete answer as body: no trickle, no resource. The session ends with its transport.
    async fn serve_m7s(self, request: Request) -> Response {
        let path = request.uri().path().strip_prefix("/webrtc/play/").unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let response = match *request.method() {
            Method::OPTIONS => self.options(Face::Whep, request.headers()),
            Method::POST => {
                let peer = request.extensions().get::<ConnectInfo>().map(|info| info.peer);
                let begun = async {
                    let (name, viewer) = viewer(&path, &request, peer)?;
                    let offer = self.body(request).await?;
                    self.play(&name, &offer, viewer).await
                };
                match begun.await {
                    Ok((_, answer)) => with_type(Response::new(Body::from(answer)), SDP),
                    Err(error) => problem(&error),
                }
            }
            _ => not_allowed(request.method()),
        };
        with_cors(response)
    }

    fn options(&self, face: Face, asked: &HeaderMap) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ALLOW, METHODS);
        headers.insert(ACCEPT_POST, HeaderValue::from_static(SDP));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
        // Any page may play; whether pages of other origins may publish is for the operator to say.
        if face == Face::Whep || self.config().foreign_publishers {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        }
        // No page reads a preflight's answer, and everybody may ask: no passwords in it (RFC 9725 section 4.6).
        if !asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            self.add_ice_servers(headers);
        }
        response
    }

    fn add_ice_servers(&self, headers: &mut HeaderMap) {
        for server in &self.config().ice_servers {
            if let Ok(link) = HeaderValue::from_str(&link(server)) {
                headers.append(LINK, link);
            }
        }
    }

    async fn begin(&self, face: Face, path: &str, request: Request) -> Response {
        if face == Face::Whip && !self.config().foreign_publishers && is_foreign(request.headers()) {
            let detail = "a page of another origin may not publish without a token";
            return Problem::new(StatusCode::FORBIDDEN).detail(detail).into_response();
        }
        if !has_type(request.headers(), SDP) {
            return wrong_type(SDP);
        }
        if !accepts_sdp(request.headers()) {
            let detail = format!("the answer is {SDP}, which the request does not accept");
            return Problem::new(StatusCode::NOT_ACCEPTABLE).detail(detail).into_response();
        }
        let peer = request.extensions().get::<ConnectInfo>().map(|info| info.peer);
        let begun = async {
            match face {
                Face::Whip => {
                    let name = StreamName::parse(path).map_err(Error::Name)?;
                    self.publish(&name, &self.body(request).await?, publish_by(peer)).await
                }
                Face::Whep => {
                    let (name, viewer) = viewer(path, &request, peer)?;
                    self.play(&name, &self.body(request).await?, viewer).await
                }
            }
        };
        match begun.await {
            Ok((session, answer)) => self.created(face, &session, answer),
            Err(error) => {
                tracing::info!(stream = path, reason = error.line(), ?face, "refused");
                problem(&error)
            }
        }
    }

    fn created(&self, face: Face, session: &Session, answer: String) -> Response {
        let mut response = Response::new(Body::from(answer));
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP));
        headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
        let location = format!("{}{}/{}", face.prefix(), session.name(), session.id());
        for (name, value) in [(LOCATION, location), (ETAG, session.etag())] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        self.add_ice_servers(headers);
        response
    }

    /// The session of a path; its last segment is the identifier.
    fn of_path(&self, path: &str) -> Option<Session> {
        let (name, id) = path.rsplit_once('/')?;
        self.session(id).filter(|session| session.name().as_str() == name)
    }

    async fn patch(&self, path: &str, request: Request) -> Response {
        let Some(session) = self.of_path(path) else { return no_session() };
        if !has_type(request.headers(), FRAGMENT) {
            return wrong_type(FRAGMENT);
        }
        let condition = request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let fragment = match self.body(request).await {
            Ok(body) => Fragment::parse(&body),
            Err(error) => return problem(&error),
        };
        // RFC 9725 section 4.3.1: a restart is for whatever session there is, candidates are for the one they name.
        if condition.as_deref() == Some("*") && fragment.credentials.is_some() {
            return match session.restart(&fragment).await {
                Ok(ours) => restarted(&session, &ours),
                Err(error) => problem(&error),
            };
        }
        if condition.is_some_and(|tag| tag != "*" && tag != session.etag()) {
            let detail = "the ICE session is another one by now";
            return Problem::new(StatusCode::PRECONDITION_FAILED).detail(detail).into_response();
        }
        match session.trickle(&fragment).await {
            Ok(()) => status(StatusCode::NO_CONTENT),
            Err(error) => problem(&error),
        }
    }

    /// Answers when the session is over, so that its name is free for whoever hears so.
    async fn end(&self, path: &str) -> Response {
        let Some(session) = self.of_path(path) else { return no_session() };
        session.close();
        if tokio::time::timeout(GOODBYE, session.ended()).await.is_err() {
            tracing::debug!(stream = %session.name(), "a session takes long to end");
        }
        status(StatusCode::OK)
    }

    async fn body(&self, request: Request) -> Result<String, Error> {
        let limit = self.config().max_body;
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let too_long = |got: usize| Error::from(sluicegate_rtc_driver::Error::DescriptionTooLong { got, limit });
        if let Some(got) = announced.filter(|got| *got > limit) {
            discard(request.into_body()).await;
            return Err(too_long(got));
        }
        let bytes = axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| too_long(limit + 1))?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::Description { fault: "it is not UTF-8" })
    }
}

fn with_type(mut response: Response, kind: &'static str) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Reads what is not wanted: a client that is still sending would lose the answer with the connection.
async fn discard(mut body: Body) {
    let reading = async {
        let mut left = MAX_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(GOODBYE, reading).await;
}

fn publish_by(peer: Option<SocketAddr>) -> Publish {
    let by = Publish::by("whip");
    peer.map_or(by.clone(), |address| by.from_address(address))
}

/// The stream that a viewer asks for, and who it is; the query may choose a variant.
fn viewer(path: &str, request: &Request, peer: Option<SocketAddr>) -> Result<(StreamName, Viewer), Error> {
    let name = StreamName::parse(path).map_err(Error::Name)?;
    let (name, choice) = Choice::of(&name, request.uri().query().unwrap_or_default()).map_err(Error::Name)?;
    let viewer = Viewer::by("whep").choosing(choice);
    Ok((name, peer.map_or(viewer, |address| viewer.from_address(address))))
}

fn restarted(session: &Session, ours: &Fragment) -> Response {
    let mut response = Response::new(Body::from(ours.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
    if let Ok(tag) = HeaderValue::from_str(&session.etag()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

fn problem(error: &Error) -> Response {
    Problem::new(error.status()).detail(error.line()).into_response()
}

fn no_session() -> Response {
    let detail = "there is no such session, or it has ended";
    Problem::new(StatusCode::NOT_FOUND).detail(detail).into_response()
}

fn not_allowed(method: &Method) -> Response {
    let detail = format!("{method} has no meaning here: POST an offer, PATCH or DELETE a session");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED).detail(detail).header(ALLOW, METHODS).into_response()
}

fn wrong_type(expected: &'static str) -> Response {
    let detail = format!("the Content-Type must be {expected}");
    let accept = if expected == SDP { ACCEPT_POST } else { ACCEPT_PATCH };
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).detail(detail);
    problem.header(accept, HeaderValue::from_static(expected)).into_response()
}

fn has_type(headers: &HeaderMap, expected: &str) -> bool {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    stated.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected)
}

fn accepts_sdp(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else { return true };
    let mut ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    ranges.any(|range| range == "*/*" || range == "application/*" || range.eq_ignore_ascii_case(SDP))
}

/// Whether a browser sent this for a page of another origin (RFC 6454 section 7).
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != text(header::HOST)
}

/// RFC 9725 section 4.6.
fn link(server: &IceServer) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut link = format!("<{}>; rel=\"ice-server\"", server.url);
    if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
        let (username, credential) = (quoted(username), quoted(credential));
        link += &format!("; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"");
    }
    link
}

/// Lets any page read the response, and nobody keep it.
fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
