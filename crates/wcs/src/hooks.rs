//! Calls of the user's own web server, which decides about clients and is told of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use sluicegate_net::dial;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};

/// What the server can be asked and told, as the original names it.
pub const METHODS: [&str; 8] = [CONNECT, PUBLISH, PLAY, UNPUBLISH, STOP, SEND_DATA, CONNECTION_STATUS, STREAM_STATUS];

pub(crate) const CONNECT: &str = "connect";
pub(crate) const PUBLISH: &str = "publishStream";
pub(crate) const PLAY: &str = "playStream";
pub(crate) const UNPUBLISH: &str = "unPublishStream";
pub(crate) const STOP: &str = "stopStream";
pub(crate) const SEND_DATA: &str = "sendData";
pub(crate) const CONNECTION_STATUS: &str = "ConnectionStatusEvent";
pub(crate) const STREAM_STATUS: &str = "StreamStatusEvent";

/// Questions under way at once; further ones wait, within their time.
const QUESTIONS: usize = 64;
/// Reports that wait for a slow server; further ones are lost and counted. Each has some 300 bytes.
const REPORTS: usize = 4096;
/// Bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// The web server and what it wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Of `http:` or `https:`; the method is put behind its path.
    pub url: Url,
    /// Which of [`METHODS`] are called; others count as allowed.
    pub methods: Vec<String>,
    /// How long an answer may take. Default 10 s: the client is answered within 15 s.
    pub timeout: Duration,
    /// What tells this node from others. Default: empty.
    pub node: String,
}

impl Config {
    /// All methods of a server.
    #[must_use]
    pub fn new(url: Url) -> Self {
        let methods = METHODS.map(str::to_owned).to_vec();
        Self { url, methods, timeout: Duration::from_secs(10), node: String::new() }
    }
}

/// Asks the web server.
pub(crate) struct Hooks {
    config: Config,
    tls: ClientTls,
    questions: Semaphore,
    reports: mpsc::Sender<(&'static str, Value)>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("config", &self.config).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Dial(#[from] sluicegate_net::Error),
    #[error("the server broke off")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    #[error("the answer is longer than {MAX_ANSWER} bytes, or broke off")]
    Body,
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl Hooks {
    /// Makes the caller; reports go out one after another, until the program ends.
    pub(crate) fn start(config: Config, tls: ClientTls, shutdown: &Shutdown) -> Arc<Self> {
        let (reports, waiting) = mpsc::channel(REPORTS);
        let hooks = Arc::new(Self { config, tls, questions: Semaphore::new(QUESTIONS), reports });
        tokio::spawn(report(Arc::downgrade(&hooks), waiting, shutdown.clone()));
        hooks
    }

    /// What tells this node from others.
    pub(crate) fn node(&self) -> &str {
        &self.config.node
    }

    fn wants(&self, method: &str) -> bool {
        self.config.methods.iter().any(|wanted| wanted == method)
    }

    /// Whether the server allows something, and which fields it gives. One that does not answer allows nothing.
    pub(crate) async fn ask(&self, method: &'static str, body: &Value) -> Option<Map<String, Value>> {
        if !self.wants(method) {
            return Some(Map::new());
        }
        let asking = async {
            // The semaphore is never closed.
            let _permit = self.questions.acquire().await;
            self.call(method, body).await
        };
        let asked = tokio::time::timeout(self.config.timeout, asking).await;
        match asked.unwrap_or(Err(Fault::Timeout(self.config.timeout))) {
            Ok((StatusCode::OK, said)) => {
                crate::metrics::hook(method, "allowed");
                Some(serde_json::from_slice(&said).unwrap_or_default())
            }
            Ok((status, _)) => {
                crate::metrics::hook(method, "refused");
                tracing::info!(method, %status, "a hook refuses a client's wish");
                None
            }
            Err(fault) => {
                crate::metrics::hook(method, "failed");
                tracing::warn!(method, error = &fault as &dyn std::error::Error, "a hook cannot be asked: refused");
                None
            }
        }
    }

    /// Tells the server something; what it says to that changes nothing.
    pub(crate) fn tell(&self, method: &'static str, body: Value) {
        if self.wants(method) && self.reports.try_send((method, body)).is_err() {
            crate::metrics::hook(method, "lost");
        }
    }

    async fn call(&self, method: &str, body: &Value) -> Result<(StatusCode, Bytes), Fault> {
        let url = &self.config.url;
        let socket = dial(url, &self.tls, self.config.timeout).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        let _driving = AbortOnDropHandle::new(tokio::spawn(connection));
        let body = body.to_string();
        let path = format!("{}/{method}", url.path().trim_end_matches('/'));
        let request = Request::builder().method(Method::POST).uri(path).header(CONTENT_LENGTH, body.len());
        let request = request.header(HOST, &url[Position::BeforeHost..Position::AfterPort]);
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::<Bytes>::from(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let said = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|_| Fault::Body)?;
        Ok((status, said.to_bytes()))
    }
}

/// Sends reports in their order while the service lives.
async fn report(hooks: std::sync::Weak<Hooks>, mut waiting: mpsc::Receiver<(&'static str, Value)>, shutdown: Shutdown) {
    loop {
        let next = tokio::select! {
            next = waiting.recv() => next,
            () = shutdown.begun() => return,
        };
        let (Some((method, body)), Some(hooks)) = (next, hooks.upgrade()) else { return };
        let told = tokio::time::timeout(hooks.config.timeout, hooks.call(method, &body)).await;
        let outcome = match told {
            Ok(Ok(_)) => "allowed",
            Ok(Err(_)) | Err(_) => "failed",
        };
        crate::metrics::hook(method, outcome);
    }
}
