//! One service at work: a request of the link becomes a request to the device.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::Connector;
use super::{Config, Service, answer, websocket};
use crate::fault::Fault;
use crate::headers::{self, forwarding};
use crate::transfer::upload::Upload;
use crate::{metrics, request};

/// The most header fields that an answer may have; each costs memory beyond its bytes.
const MAX_FIELDS: usize = 256;

/// A sender's silence is the ingress's matter, not ours.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

type Pending = Upload<Body>;

/// One service and the connections to it.
pub(crate) struct Forward {
    pub(crate) name: String,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// The base URL's path without a slash at its end.
    pub(crate) prefix: String,
    /// What the device is told as `Host`.
    pub(crate) host: HeaderValue,
    pub(crate) config: Config,
    client: Client<Connector, Pending>,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Forward({} -> {}://{}{})", self.name, self.scheme, self.authority, self.prefix)
    }
}

impl Forward {
    pub(crate) fn new(name: String, service: Service, config: Config) -> Self {
        let url = &service.url;
        // A `Url` with a host always has these, so the fall-backs are never asked.
        let authority = Authority::try_from(&url[url::Position::BeforeHost..url::Position::AfterPort])
            .unwrap_or_else(|_| Authority::from_static("localhost"));
        let host = service.host.or_else(|| HeaderValue::try_from(authority.as_str()).ok());
        let more = if url.scheme() == "https" { config.tls_timeout } else { Duration::ZERO };
        let connector =
            Connector { url: url.clone(), tls: service.tls.clone(), deadline: config.connect_timeout + more };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(config.max_idle)
            .http1_max_buf_size(config.max_head_bytes.max(8 << 10))
            .http1_max_headers(MAX_FIELDS)
            .set_host(false)
            .build(connector);
        Self {
            name,
            scheme: if url.scheme() == "https" { Scheme::HTTPS } else { Scheme::HTTP },
            prefix: url.path().trim_end_matches('/').to_owned(),
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            authority,
            config,
            client,
        }
    }

    /// Asks the device and returns its answer as the link carries it.
    pub(crate) async fn ask(&self, mut request: Request<Body>) -> Result<Response<Body>, Fault> {
        let tunnel = websocket::read(&mut request);
        if request.method() == Method::CONNECT && tunnel.is_none() {
            return Err(Fault::Upgrade);
        }
        let (mut parts, body) = request.into_parts();
        if matches!(parts.method, Method::TRACE | Method::OPTIONS) && headers::is_last_hop(&mut parts.headers) {
            return last_hop(&parts.method);
        }
        let uri = self.uri(&parts.uri)?;
        let asked = answer::Asked {
            method: parts.method.clone(),
            path: uri.path().to_owned(),
            public_prefix: parts.headers.get(forwarding::X_FORWARDED_PREFIX).cloned(),
        };
        self.fit(&mut parts.headers, parts.version);
        if tunnel.is_some() {
            websocket::ask(&mut parts.method, &mut parts.headers);
        }
        parts.uri = uri;
        parts.version = Version::HTTP_11;
        parts.extensions = http::Extensions::new();
        let mut response = self.exchange(parts, body).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            websocket::join(tunnel.ok_or(Fault::Protocol)?, &mut response);
        }
        answer::to_link(self, &asked, response)
    }

    /// The device's URI: the base path, then the path of the request, byte for byte.
    fn uri(&self, asked: &Uri) -> Result<Uri, Fault> {
        let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
        if !self.prefix.is_empty() && request::climbs(path) {
            return Err(Fault::Climbs { service: self.name.clone() });
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{slash}{path}", self.prefix))
            .build()
            .map_err(|_| Fault::Ambiguous { why: "the path is no path" })
    }

    /// The fields as the device gets them.
    fn fit(&self, fields: &mut HeaderMap, received: Version) {
        headers::remove_hop_by_hop(fields);
        headers::remove_own(fields);
        fields.remove(EXPECT);
        fields.insert(HOST, self.host.clone());
        forwarding::add_via(fields, received);
        if fields.contains_key(TE) {
            // Over HTTP/1.1 the field is of this hop only and must be named so (RFC 9110 §10.1.4).
            fields.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
        join_cookies(fields);
    }

    /// One exchange, and a second one where the first met a connection that the device had closed meanwhile.
    async fn exchange(&self, parts: http::request::Parts, body: Body) -> Result<Response<Incoming>, Fault> {
        let is_safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let again = (is_safe && http_body::Body::is_end_stream(&body)).then(|| parts.clone());
        match self.send(Request::from_parts(parts, body)).await {
            Err(Fault::Incomplete) => match again {
                Some(parts) => {
                    metrics::site_retried();
                    self.send(Request::from_parts(parts, Body::empty())).await
                }
                None => Err(Fault::Incomplete),
            },
            other => other,
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Fault> {
        let (parts, body) = request.into_parts();
        let (upload, meter) = Upload::new(body, |_| {});
        let after = self.config.answer_timeout;
        tokio::select! {
            biased;
            answered = self.client.request(Request::from_parts(parts, upload)) => answered.map_err(|error| fault(&error)),
            _ = meter.overdue(after, FOREVER) => Err(Fault::AnswerTimeout { after }),
        }
    }
}

/// The answer of the last hop that `Max-Forwards` allows (RFC 9110 §7.6.2).
fn last_hop(method: &Method) -> Result<Response<Body>, Fault> {
    if method == Method::TRACE {
        return Err(Fault::Trace);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// HTTP/2 may split cookies into fields, HTTP/1.1 must not (RFC 9113 §8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    if fields.get_all(COOKIE).iter().count() < 2 {
        return;
    }
    let parts: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        fields.insert(COOKIE, joined);
    }
}

/// The cause of a failed exchange.
fn fault(error: &ClientError) -> Fault {
    let text = error.to_string();
    let is_connect = error.is_connect();
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(own) = inner.downcast_ref::<Fault>().filter(|_| is_connect) {
            return own.again();
        }
        if let Some(hyper) = inner.downcast_ref::<hyper::Error>() {
            if hyper.is_parse() || hyper.is_parse_too_large() {
                return Fault::Protocol;
            }
            if hyper.is_incomplete_message() || hyper.is_canceled() {
                return Fault::Incomplete;
            }
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            if matches!(io.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) {
                return Fault::Incomplete;
            }
            return Fault::Exchange { reason: io.to_string() };
        }
        cause = inner.source();
    }
    Fault::Exchange { reason: text }
}
