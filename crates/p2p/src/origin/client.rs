//! The HTTP client that asks origins.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Proxy, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::{Access, SetupError};
use crate::media::MediaError;

/// Redirects that are followed, where they are.
const REDIRECTS: usize = 5;
/// Idle connections that are kept to one origin.
const IDLE: usize = 32;
/// The unit in which bytes in flight are counted.
const UNIT: u64 = 1 << 10;
/// What we call ourselves.
const AGENT: &str = concat!("sluicegate-cdn-node/", env!("CARGO_PKG_VERSION"));

/// How origins are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A proxy for all requests: `http`, `https` or `socks5`, which resolves the origins' names. Default none.
    pub proxy: Option<Url>,
    /// Whether names may be those of private addresses. Default no; an address itself, and `localhost`, may be named.
    pub allow_private: bool,
    /// Whether redirects are followed, five at most. Default no.
    pub follow_redirects: bool,
    /// PEM files of authorities that are trusted beside the system's. Default none.
    pub authorities: Vec<PathBuf>,
    /// How long a connection may take. Default 5 s.
    pub connect: Duration,
    /// How long the head of an answer may take. Default 15 s, the existing node's.
    pub head: Duration,
    /// How long the body may be silent. Default 10 s; where answers are passed on, as long as the head may take if that
    /// is longer.
    pub silence: Duration,
    /// Requests at once; what is more waits as long as a head may take. Answers that are passed on do not count: each has
    /// a client of its own. Default 256.
    pub requests: usize,
    /// Bytes of answers that are being received, at most; what is more waits before its body is read. Default 64 MiB.
    pub in_flight: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            proxy: None,
            allow_private: false,
            follow_redirects: false,
            authorities: Vec::new(),
            connect: Duration::from_secs(5),
            head: Duration::from_secs(15),
            silence: Duration::from_secs(10),
            requests: 256,
            in_flight: 64 << 20,
        }
    }
}

/// Asks origins. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    access: Access,
    room: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    config: Arc<Config>,
}

impl Client {
    /// A client for these origins, whose private addresses are allowed.
    ///
    /// # Errors
    /// The proxy is none, or certificates cannot be read.
    pub fn new(config: Config, origins: &[Url]) -> Result<Self, SetupError> {
        let access = Access::new(origins, config.allow_private);
        // One that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().user_agent(AGENT).no_proxy().connect_timeout(config.connect);
        builder = builder.read_timeout(config.silence.max(config.head)).pool_max_idle_per_host(IDLE).redirect(
            if config.follow_redirects {
                let access = access.clone();
                Policy::custom(move |attempt| follow(attempt, &access))
            } else {
                Policy::none()
            },
        );
        let mut resolver = access.clone();
        if let Some(url) = &config.proxy {
            builder = builder.proxy(proxy(url)?);
            resolver = access.with_host(url.host_str());
        }
        let authorities = config.authorities.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        builder = builder.dns_resolver(resolver).tls_certs_merge(authorities.into_iter().flatten());
        let http = builder.build().map_err(|error| SetupError::Client(error.into()))?;
        let units = usize::try_from(config.in_flight / UNIT).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(config.requests.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self { http, access, room: Arc::new(Semaphore::new(units)), slots, config: Arc::new(config) })
    }

    /// Sends a request without a body and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// The address is refused, or there is no answer in time.
    pub async fn ask(&self, method: Method, url: Url, headers: HeaderMap) -> Result<Response, MediaError> {
        self.access.check(&url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let sending = self.http.request(method, url).headers(headers).send();
        let outcome = match tokio::time::timeout(self.config.head, sending).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(fault(&error, &self.config)),
            Err(_) => Err(MediaError::Timeout { deadline: self.config.head }),
        };
        let kind = match &outcome {
            Ok(response) if response.status().is_success() => "ok",
            Ok(_) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!("sluicegate_p2p_origin_requests_total", "outcome" => kind).increment(1);
        if let Err(error) = &outcome {
            tracing::debug!(host, %error, "the origin was asked in vain");
        }
        outcome
    }

    /// The body of an answer with 200, at most `limit` bytes. The statuses of what does not exist become `missing`.
    ///
    /// # Errors
    /// The answer is another one, or too large, or breaks off.
    pub async fn get(&self, url: Url, limit: u64, missing: MediaError) -> Result<(Bytes, HeaderMap), MediaError> {
        let _slot = self.wait_for(&self.slots, 1).await?;
        let mut response = self.ask(Method::GET, url, HeaderMap::new()).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Err(MediaError::Denied),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(missing),
            status if status.is_redirection() => {
                let why = "it redirects; name where to, or set follow_redirects".to_owned();
                return Err(MediaError::Refused { why });
            }
            status => return Err(MediaError::Status { status: status.as_u16() }),
        }
        let too_large = |bytes| MediaError::TooLarge { what: "the origin's answer", bytes, limit };
        let announced = response.content_length();
        if let Some(bytes) = announced.filter(|bytes| *bytes > limit) {
            return Err(too_large(bytes));
        }
        // An answer that does not say how large it is may become as large as it may.
        let expected = announced.unwrap_or(limit);
        let _room = self.room(expected).await?;
        let mut body = BytesMut::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0));
        loop {
            let silent = |_| MediaError::Timeout { deadline: self.config.silence };
            let chunk = tokio::time::timeout(self.config.silence, response.chunk()).await.map_err(silent)?;
            let Some(chunk) = chunk.map_err(|error| fault(&error, &self.config))? else { break };
            let bytes = u64::try_from(body.len() + chunk.len()).unwrap_or(u64::MAX);
            if bytes > limit {
                return Err(too_large(bytes));
            }
            body.extend_from_slice(&chunk);
        }
        metrics::counter!("sluicegate_p2p_origin_bytes_total").increment(body.len() as u64);
        Ok((body.freeze(), std::mem::take(response.headers_mut())))
    }

    /// Waits until so many bytes may be received.
    async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, MediaError> {
        let all = self.config.in_flight / UNIT;
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, all.max(1))).unwrap_or(u32::MAX);
        self.wait_for(&self.room, units).await
    }

    async fn wait_for(&self, of: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, MediaError> {
        let waiting = Arc::clone(of).acquire_many_owned(count);
        match tokio::time::timeout(self.config.head, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(MediaError::Timeout { deadline: self.config.head }),
        }
    }
}

fn follow(attempt: Attempt<'_>, access: &Access) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("too many redirects");
    }
    match access.check(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(error) => attempt.error(error),
    }
}

/// Names are resolved by the proxy, as the existing node has it.
fn proxy(url: &Url) -> Result<Proxy, SetupError> {
    let mut shown = url.clone();
    // A URL without a host has no password either.
    let _ = shown.set_password(None);
    let bad = || SetupError::Proxy { url: shown.to_string() };
    let text = match url.scheme() {
        "http" | "https" | "socks5h" => url.to_string(),
        "socks5" => url.as_str().replacen("socks5", "socks5h", 1),
        _ => return Err(bad()),
    };
    if url.host_str().is_none_or(str::is_empty) { Err(bad()) } else { Proxy::all(text).map_err(|_| bad()) }
}

fn read(path: &Path) -> Result<Vec<Certificate>, SetupError> {
    let bad = |source| SetupError::Authorities { path: path.display().to_string(), source };
    let pem = std::fs::read(path).map_err(|error| bad(error.into()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| bad(error.into()))?;
    if found.is_empty() { Err(bad("it holds no certificate".into())) } else { Ok(found) }
}

/// A failure without the origin's URL.
fn fault(error: &reqwest::Error, config: &Config) -> MediaError {
    if error.is_timeout() {
        let deadline = if error.is_connect() { config.connect } else { config.silence };
        return MediaError::Timeout { deadline };
    }
    let causes = std::iter::successors(error.source(), |error: &&dyn Error| (*error).source());
    let why = causes.map(ToString::to_string).last().unwrap_or_else(|| "no answer".to_owned());
    if why.contains("allow_private") { MediaError::Refused { why } } else { MediaError::Unreachable { why } }
}
