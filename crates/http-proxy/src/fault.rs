//! Why a request is not answered by its device: the status, the problem document and the `Proxy-Status` of each cause.

use std::io;
use std::time::Duration;

use axum::body::Body;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION};
use http::{Response, StatusCode};
use sluicegate_net::problem::Problem;

use crate::headers::forwarding::PSEUDONYM;

/// The field that only an answer of ours carries: the code of the problem. Devices' answers lose it at the site.
pub(crate) const PROBLEM: HeaderName = HeaderName::from_static("sluicegate-problem");
/// The field of RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// How long a client should wait after a refusal that will pass.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Which end of the link speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Upstream,
    Site,
}

impl End {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Site => "site",
        }
    }
}

/// Why there is no answer of the device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no site {site:?} is connected")]
    UnknownSite { site: String },
    #[error("the path names no site and service: it is /proxy/SITE/SERVICE/PATH")]
    NoTarget,
    #[error("the site does not allow the service {service:?}")]
    NotAllowed { service: String },
    #[error("the path leaves the base path of the service {service:?}")]
    Climbs { service: String },
    #[error("the message can be read in two ways: {why}")]
    Ambiguous { why: &'static str },
    #[error("transfer codings other than chunked are not supported")]
    Coding,
    #[error("the header fields take {size} bytes, {limit} are allowed")]
    HeadTooLarge { size: usize, limit: usize },
    #[error("the request has passed this proxy too often")]
    Loop,
    #[error("the upgrade is no WebSocket handshake of version 13")]
    Handshake { status: StatusCode },
    #[error("only HTTP and WebSocket pass this proxy")]
    Upgrade,
    #[error("a trace ends at this proxy")]
    Trace,
    #[error("{limit} requests of this client are in flight, which is the limit")]
    ClientLimit { limit: usize },
    #[error("{limit} requests for this site are in flight, which is the limit")]
    SiteLimit { limit: usize },
    #[error("the link to the site was lost before the answer")]
    SiteLost,
    #[error("the link did not carry the exchange: {source}")]
    LinkRefused { source: hyper::Error },
    #[error("the body of the request came to a halt for {} s", .after.as_secs())]
    UploadSilent { after: Duration },
    #[error("the service has not answered within {} s", .after.as_secs())]
    AnswerTimeout { after: Duration },
    #[error("the connection to the service took longer than {} s", .after.as_secs())]
    ConnectTimeout { after: Duration },
    #[error("the name of the service's host cannot be resolved: {source}")]
    Resolve { source: io::Error },
    #[error("the service refused the connection: {source}")]
    Refused { source: io::Error },
    #[error("the service cannot be reached: {source}")]
    Unreachable { source: io::Error },
    #[error("no TLS with the service: {source}")]
    Tls { source: io::Error },
    #[error("the service closed the connection without an answer")]
    Incomplete,
    #[error("the service answered with something that is not HTTP")]
    Protocol,
    #[error("the header fields of the answer take {size} bytes, {limit} are allowed")]
    AnswerHeadTooLarge { size: usize, limit: usize },
    #[error("the exchange with the service failed: {reason}")]
    Exchange { reason: String },
}

/// The fixed part of a problem: status, code, title, and the error type of RFC 9209 §2.3.
type Kind = (StatusCode, &'static str, &'static str, &'static str);

impl Fault {
    #[rustfmt::skip] // a table
    fn kind(&self) -> Kind {
        use StatusCode as S;
        match self {
            Self::UnknownSite { .. } => (S::NOT_FOUND, "unknown-site", "Unknown site", "destination_not_found"),
            Self::NoTarget => (S::NOT_FOUND, "no-target", "No such path", "destination_not_found"),
            Self::NotAllowed { .. } => (S::FORBIDDEN, "not-allowed", "Service not allowed", "http_request_denied"),
            Self::Climbs { .. } => (S::FORBIDDEN, "climbs", "Path not allowed", "http_request_denied"),
            Self::Ambiguous { .. } => (S::BAD_REQUEST, "ambiguous", "Ambiguous request", "http_request_error"),
            Self::Coding => (S::NOT_IMPLEMENTED, "coding", "Transfer coding not supported", "http_request_error"),
            Self::HeadTooLarge { .. } => {
                (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "Header fields too large", "http_request_error")
            }
            Self::Loop => (S::LOOP_DETECTED, "loop", "Loop detected", "proxy_loop_detected"),
            Self::Handshake { status } => (*status, "handshake", "No WebSocket handshake", "http_upgrade_failed"),
            Self::Upgrade => (S::NOT_IMPLEMENTED, "upgrade", "Tunnel not supported", "http_upgrade_failed"),
            Self::Trace => (S::METHOD_NOT_ALLOWED, "trace", "TRACE ends here", "http_request_denied"),
            Self::ClientLimit { .. } => {
                (S::SERVICE_UNAVAILABLE, "client-limit", "Too many requests in flight", "connection_limit_reached")
            }
            Self::SiteLimit { .. } => {
                (S::SERVICE_UNAVAILABLE, "site-limit", "Too many requests in flight", "connection_limit_reached")
            }
            Self::SiteLost => (S::SERVICE_UNAVAILABLE, "site-lost", "Site lost", "connection_terminated"),
            Self::LinkRefused { .. } => (S::BAD_GATEWAY, "link-refused", "Exchange ended by the link", "proxy_internal_response"),
            Self::UploadSilent { .. } => (S::REQUEST_TIMEOUT, "upload-silent", "Request body halted", "http_request_error"),
            Self::AnswerTimeout { .. } => (S::GATEWAY_TIMEOUT, "answer-timeout", "No answer in time", "http_response_timeout"),
            Self::ConnectTimeout { .. } => (S::GATEWAY_TIMEOUT, "connect-timeout", "No connection in time", "connection_timeout"),
            Self::Resolve { .. } => (S::BAD_GATEWAY, "resolve", "Service not resolved", "dns_error"),
            Self::Refused { .. } => (S::BAD_GATEWAY, "refused", "Service refused the connection", "connection_refused"),
            Self::Unreachable { .. } => (S::BAD_GATEWAY, "unreachable", "Service unreachable", "destination_ip_unroutable"),
            Self::Tls { .. } => (S::BAD_GATEWAY, "tls", "TLS failed", "tls_protocol_error"),
            Self::Incomplete => (S::BAD_GATEWAY, "incomplete", "No answer", "http_response_incomplete"),
            Self::Protocol => (S::BAD_GATEWAY, "protocol", "Not HTTP", "http_protocol_error"),
            Self::AnswerHeadTooLarge { .. } => {
                (S::BAD_GATEWAY, "answer-head-too-large", "Answer too large", "http_response_header_section_size")
            }
            Self::Exchange { .. } => (S::BAD_GATEWAY, "exchange", "Exchange failed", "proxy_internal_error"),
        }
    }

    /// The short name of the cause, for logs, counters and the problem's field.
    pub(crate) fn code(&self) -> &'static str {
        self.kind().1
    }

    /// The same cause once more, for an error that can only be borrowed from the chain it stands in.
    pub(crate) fn again(&self) -> Self {
        let copy = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
        match self {
            Self::ConnectTimeout { after } => Self::ConnectTimeout { after: *after },
            Self::Resolve { source } => Self::Resolve { source: copy(source) },
            Self::Refused { source } => Self::Refused { source: copy(source) },
            Self::Unreachable { source } => Self::Unreachable { source: copy(source) },
            Self::Tls { source } => Self::Tls { source: copy(source) },
            other => Self::Exchange { reason: other.to_string() },
        }
    }

    /// Whether a later attempt may well succeed.
    fn passes(&self) -> bool {
        matches!(self, Self::ClientLimit { .. } | Self::SiteLimit { .. } | Self::SiteLost)
    }

    /// The answer of this end in place of the device's.
    pub(crate) fn into_response(self, end: End) -> Response<Body> {
        let (status, code, title, error) = self.kind();
        let mut response = Problem::new(status).title(title).detail(self.to_string()).into_response();
        let fields = response.headers_mut();
        fields.insert(PROBLEM, HeaderValue::from_static(code));
        if let Ok(value) = HeaderValue::try_from(format!("{PSEUDONYM}-{}; error={error}", end.name())) {
            fields.insert(PROXY_STATUS, value);
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            fields.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if self.passes() {
            fields.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}
