//! The HTTP of a WHIP or WHEP client: one request at a time, each on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use sluicegate_net::dial;
use sluicegate_net::tls::ClientTls;
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};

/// From dialling to the end of the answer. A WHEP server may wait 10 s for a stream before it answers.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer. Answers of servers have a few KB.
const MAX_ANSWER: usize = 64 * 1024;
/// Redirections that are followed (RFC 9725 section 4.2).
const MAX_HOPS: usize = 3;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

/// A request could not be made, or its answer not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{url} is no http or https address")]
    Url { url: String },
    #[error(transparent)]
    Dial(#[from] sluicegate_net::Error),
    #[error("the server broke off")]
    Http(#[from] hyper::Error),
    #[error("the server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("the answer is longer than {MAX_ANSWER} bytes, or broke off")]
    Body,
    #[error("the server answered {status}: {said}")]
    Refused { status: StatusCode, said: String },
    #[error("the server redirected more than {MAX_HOPS} times")]
    Hops,
}

/// Where a server's resource is, and what it is asked with.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) tls: ClientTls,
}

impl Client {
    /// Sends an offer, and returns the answer and the resource to end the session with.
    pub(crate) async fn offer(&self, url: &str, offer: &str) -> Result<(String, Option<Url>), Error> {
        let mut url: Url = url.parse().map_err(|_| Error::Url { url: url.to_owned() })?;
        for _ in 0..=MAX_HOPS {
            let answer = self.send(Method::POST, &url, offer).await?;
            match answer.status {
                StatusCode::CREATED | StatusCode::OK => {
                    let resource = answer.location.and_then(|location| url.join(&location).ok());
                    return Ok((answer.body, resource.map(|resource| credentials_of(&url, resource))));
                }
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    let location = answer.location.and_then(|location| url.join(&location).ok());
                    let next = location.ok_or_else(|| Error::Url { url: "the redirection".to_owned() })?;
                    url = credentials_of(&url, next);
                }
                status => return Err(Error::Refused { status, said: said(&answer.body) }),
            }
        }
        Err(Error::Hops)
    }

    /// Ends a session; what the server says to it changes nothing.
    pub(crate) async fn end(&self, resource: &Url) {
        if let Err(error) = self.send(Method::DELETE, resource, "").await {
            tracing::debug!(%error, "the session's resource was not deleted");
        }
    }

    async fn send(&self, method: Method, url: &Url, body: &str) -> Result<Answer, Error> {
        let exchange = self.exchange(method, url, body);
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(Error::Timeout))
    }

    async fn exchange(&self, method: Method, url: &Url, body: &str) -> Result<Answer, Error> {
        let bad = || Error::Url { url: url.to_string() };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        let socket = dial(url, &self.tls, PATIENCE).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        let _driving = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = request(&method, url, body).ok_or_else(bad)?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|_| Error::Body)?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status, location, body })
    }
}

fn request(method: &Method, url: &Url, body: &str) -> Option<Request<Full<Bytes>>> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let mut request = Request::builder().method(method).uri(path).header(HOST, host);
    if *method == Method::POST {
        request = request.header(CONTENT_TYPE, "application/sdp").header(CONTENT_LENGTH, body.len());
    }
    if let Some(token) = token(url) {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Full::from(body.to_owned())).ok()
}

/// The bearer token in the address: its password, or its user where there is no password.
fn token(url: &Url) -> Option<String> {
    let text = url.password().unwrap_or(url.username());
    let text = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// The next address with the token of the last, unless it belongs to somebody else.
fn credentials_of(last: &Url, mut next: Url) -> Url {
    if last.origin() == next.origin() {
        // Neither fails for addresses that have a host.
        let _ = next.set_username(last.username());
        let _ = next.set_password(last.password());
    }
    next
}

/// What a server says about its refusal, cut to a line.
fn said(body: &str) -> String {
    body.chars().filter(|character| !character.is_control()).take(200).collect()
}
