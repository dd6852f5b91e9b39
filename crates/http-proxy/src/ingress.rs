//! The upstream's end: `/proxy/{site}/{service}/…` becomes a request on the site's link.

mod answer;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use http::header::{EXPECT, HOST, HeaderValue, LOCATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use ipnet::IpNet;
use sluicegate_net::link::{self, Directory, Pool};
use sluicegate_net::listener::ConnectInfo;

use crate::Error;
use crate::admission::{self, Gate, Pass};
use crate::fault::{End, Fault};
use crate::headers::{self, forwarding, forwarding::Client};
use crate::metrics::{self, InFlight};
use crate::request::{self, Target};
use crate::transfer::upload::{Overdue, Upload};
use websocket::Offer;

/// Limits and times of the upstream's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Requests of one client in flight; a client is an IPv4 address or an IPv6 /64. Default 2,048: half of what a site
    /// takes, so that no client has a site for itself.
    pub per_client: usize,
    /// Requests for one site in flight. Default 4,096, which is also the most: what the link's connections carry without
    /// queueing unseen.
    pub per_site: usize,
    /// How long the site may take for the head of an answer, counted as at the site. Default 60 s: above the site's own
    /// 30 s, so that the site's reason is the one that is told.
    pub answer_timeout: Duration,
    /// How long the body of a request may come to a halt before the answer began. Default 120 s.
    pub upload_silence: Duration,
    /// How long a client may keep its window shut before its answer is given up. Default 30 s. A silent device costs
    /// nothing and has no limit.
    pub stall: Duration,
    /// The header bytes of a request, counted as in HTTP/2 with 32 bytes a field and with what this proxy adds. Default
    /// 48 KiB, which is below what the link takes.
    pub max_head_bytes: usize,
    /// Proxies in front of this one whose `X-Forwarded-*` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            per_client: 2_048,
            per_site: link::MAX_REQUESTS,
            answer_timeout: Duration::from_secs(60),
            upload_silence: Duration::from_secs(120),
            stall: Duration::from_secs(30),
            max_head_bytes: 48 << 10,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Config {
    /// Checks that the limits and times leave room to work.
    ///
    /// # Errors
    /// [`Error::Zero`] names the field.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, zero) in [
            ("per_client", self.per_client == 0),
            ("per_site", self.per_site == 0),
            ("answer_timeout", self.answer_timeout.is_zero()),
            ("upload_silence", self.upload_silence.is_zero()),
            ("stall", self.stall.is_zero()),
            ("max_head_bytes", self.max_head_bytes == 0),
        ] {
            if zero {
                return Err(Error::Zero { field });
            }
        }
        Ok(())
    }
}

/// What the routes share.
#[derive(Debug)]
struct Ingress {
    directory: Arc<Directory>,
    config: Config,
    clients: Arc<Gate<std::net::IpAddr>>,
}

/// What one request holds until its answer has ended.
#[derive(Debug)]
struct Held {
    _client: Pass<std::net::IpAddr>,
    _count: InFlight,
}

/// The routes `/proxy/{site}/{service}/…`, and without the slash a redirect to it.
///
/// Every answer that leaves them carries `Content-Security-Policy: sandbox allow-scripts allow-forms`: pages of devices
/// share our origin and must not act for it.
pub fn router(directory: Arc<Directory>, config: Config) -> Router {
    let clients = Gate::new(config.per_client);
    let ingress = Arc::new(Ingress { directory, config, clients });
    Router::new()
        .route("/proxy/{site}/{service}", any(serve))
        .route("/proxy/{site}/{service}/", any(serve))
        .route("/proxy/{site}/{service}/{*path}", any(serve))
        .with_state(ingress)
}

async fn serve(State(ingress): State<Arc<Ingress>>, request: Request<Body>) -> Response<Body> {
    let mut response = ingress.handle(request).await.unwrap_or_else(|fault| {
        metrics::problem(&fault, End::Upstream);
        tracing::debug!(code = fault.code(), %fault, "a request is not answered by its device");
        fault.into_response(End::Upstream)
    });
    headers::confine(response.headers_mut());
    response
}

impl Ingress {
    async fn handle(&self, mut request: Request<Body>) -> Result<Response<Body>, Fault> {
        request::check(request.version(), request.headers(), self.config.max_head_bytes)?;
        let offer = Offer::read(&mut request)?;
        let (mut parts, body) = request.into_parts();
        let target = Target::parse(&parts.uri).ok_or(Fault::NoTarget)?;
        if target.path.is_empty() {
            return Ok(with_slash(&target));
        }
        if forwarding::is_loop(&parts.headers) {
            return Err(Fault::Loop);
        }
        if parts.method == Method::TRACE && headers::is_last_hop(&mut parts.headers) {
            return Err(Fault::Trace);
        }
        let (peer, tls) = peer(&parts.extensions);
        let client = Client::read(&parts.headers, &parts.uri, peer, tls, &self.config.trusted_proxies);
        let site = self.directory.get(target.site);
        let site = site.ok_or_else(|| Fault::UnknownSite { site: target.site.to_owned() })?;
        let held = self.admit(&client, &site.pool)?;

        let prefix = target.prefix();
        let on_link = on_link(&target)?;
        self.fit(&mut parts, &client, peer, &prefix);
        parts.uri = on_link;
        let size = headers::list_size(&parts.headers);
        if size > self.config.max_head_bytes {
            return Err(Fault::HeadTooLarge { size, limit: self.config.max_head_bytes });
        }
        let public = answer::Public { method: parts.method.clone(), prefix, client };
        if offer.is_some() {
            Offer::ask(&mut parts);
        }
        let response = self.exchange(&site.pool, parts, body).await?;
        let stall = self.config.stall;
        match offer {
            Some(offer) if response.status() == StatusCode::OK => Ok(offer.join(response, held, stall)),
            _ => Ok(answer::to_public(response, &public, held, stall)),
        }
    }

    fn admit(&self, client: &Client, pool: &Pool) -> Result<Held, Fault> {
        let key = admission::client_key(client.address);
        let limit = self.clients.limit();
        let client = self.clients.enter(key).ok_or(Fault::ClientLimit { limit })?;
        // The pool counts what it carries and has the last word at its own limit.
        if pool.in_flight() >= self.config.per_site {
            return Err(Fault::SiteLimit { limit: self.config.per_site });
        }
        Ok(Held { _client: client, _count: InFlight::begin() })
    }

    /// The head as the link carries it.
    fn fit(&self, parts: &mut http::request::Parts, client: &Client, peer: SocketAddr, prefix: &str) {
        let fields = &mut parts.headers;
        headers::remove_hop_by_hop(fields);
        headers::remove_own(fields);
        // The listener above answers `100 (Continue)` itself as soon as the link asks for the body.
        fields.remove(EXPECT);
        fields.remove(HOST);
        if let Ok(prefix) = HeaderValue::try_from(prefix) {
            client.write(fields, peer.ip(), &prefix);
        }
        forwarding::add_via(fields, parts.version);
        parts.version = Version::HTTP_2;
        parts.extensions = http::Extensions::new();
    }

    async fn exchange(
        &self,
        pool: &Pool,
        parts: http::request::Parts,
        body: Body,
    ) -> Result<Response<link::Body>, Fault> {
        let (upload, meter) = Upload::new(body, metrics::uploaded);
        let request = Request::from_parts(parts, Body::new(upload));
        let Config { answer_timeout, upload_silence, .. } = self.config;
        let start = Instant::now();
        tokio::select! {
            biased;
            answered = pool.send(request) => {
                let response = answered.map_err(link_fault)?;
                metrics::answered(start.elapsed());
                Ok(response)
            }
            overdue = meter.overdue(answer_timeout, upload_silence) => Err(match overdue {
                Overdue::Answer => Fault::AnswerTimeout { after: answer_timeout },
                Overdue::Sender => Fault::UploadSilent { after: upload_silence },
            }),
        }
    }
}

/// Why the link did not carry a request to its answer.
fn link_fault(error: link::Error) -> Fault {
    match error {
        link::Error::Busy { limit } => Fault::SiteLimit { limit },
        link::Error::Refused(source) => Fault::LinkRefused { source },
        _ => Fault::SiteLost,
    }
}

/// Who is connected to us, as the listener tells it.
fn peer(extensions: &http::Extensions) -> (SocketAddr, bool) {
    match extensions.get::<ConnectInfo>() {
        Some(info) => (info.peer, info.tls),
        // Without our listener nobody is known apart, so all share one client's limit.
        None => (SocketAddr::from(([0, 0, 0, 0], 0)), false),
    }
}

/// The link's URI: the service as authority, the device's path as it came.
fn on_link(target: &Target<'_>) -> Result<Uri, Fault> {
    let path = PathAndQuery::try_from(target.on_device()).map_err(|_| Fault::NoTarget)?;
    let authority = Authority::try_from(target.service).map_err(|_| Fault::NoTarget)?;
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path);
    uri.build().map_err(|_| Fault::NoTarget)
}

/// Relative references of a page need the slash to stay below the service.
fn with_slash(target: &Target<'_>) -> Response<Body> {
    let query = target.query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(location) = HeaderValue::try_from(format!("{}/{query}", target.prefix())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
