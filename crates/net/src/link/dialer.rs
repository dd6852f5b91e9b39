//! The site's end: dials, serves its router over each connection, comes back after every loss.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rand::Rng;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Config, INSTANCE_HEADER, PATH, RESET_STREAMS, SITE_HEADER, SUBPROTOCOL};
use crate::Error;
use crate::backoff::Backoff;
use crate::shutdown::Shutdown;
use crate::tls::ClientTls;
use crate::ws::{self, ByteStream};

/// How long an instance waits that was told that a newer one of its site is connected.
const REPLACED_WAIT: Duration = Duration::from_secs(30);

/// Where and as whom a site dials.
#[derive(Clone)]
pub struct Upstream {
    /// `ws://` or `wss://`, with a path prefix if the upstream stands behind one.
    pub url: Url,
    /// The site's id.
    pub site: String,
    /// The id of this run of the program.
    pub instance: String,
    /// The site's token; without one only an open upstream lets it in.
    pub token: Option<String>,
    /// Whom to trust.
    pub tls: ClientTls,
}

impl std::fmt::Debug for Upstream {
    /// The token stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("url", &self.url.as_str()).field("site", &self.site).finish_non_exhaustive()
    }
}

impl Upstream {
    /// The URL of a route at the upstream, behind its prefix.
    #[must_use]
    pub fn route(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        url
    }

    /// The headers that say who dials.
    #[must_use]
    pub fn credentials(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(HeaderName::from_static(SITE_HEADER), &self.site);
        put(HeaderName::from_static(INSTANCE_HEADER), &self.instance);
        if let Some(token) = &self.token {
            put(AUTHORIZATION, &format!("Bearer {token}"));
        }
        headers
    }
}

/// How a site stands with one upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialState {
    /// Open connections.
    pub connected: usize,
    /// What went wrong last, until a connection is open again.
    pub problem: Option<String>,
}

/// Keeps connections to one upstream open.
#[derive(Debug)]
pub struct Dialer {
    upstream: Upstream,
    config: Config,
    connections: usize,
    state: watch::Sender<DialState>,
    /// Whether to give up when the other side speaks another protocol, and the word that it does.
    gives_up: bool,
    foreign: CancellationToken,
}

impl Dialer {
    /// A dialer that keeps this many connections open, 1 to 4 by custom.
    #[must_use]
    pub fn new(upstream: Upstream, config: Config, connections: usize) -> Self {
        let (state, foreign) = (watch::Sender::default(), CancellationToken::new());
        Self { upstream, config, connections: connections.max(1), state, gives_up: false, foreign }
    }

    /// The same, giving up when the other side answers but does not know links ([`Error::is_foreign`]).
    #[must_use]
    pub fn giving_up(self) -> Self {
        Self { gives_up: true, ..self }
    }

    /// The same, telling how it stands by `state`, which an earlier one has told by.
    #[must_use]
    pub fn telling(self, state: watch::Sender<DialState>) -> Self {
        Self { state, ..self }
    }

    /// How it stands, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<DialState> {
        self.state.subscribe()
    }

    /// Dials and serves `router` until `shutdown`; then requests in flight end. Returns whether it gave up before,
    /// because the other side knows no links.
    pub async fn run(self, router: Router, shutdown: Shutdown) -> bool {
        let dialer = Arc::new(self);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..dialer.connections {
            tasks.spawn(Arc::clone(&dialer).keep(router.clone(), shutdown.clone()));
        }
        while tasks.join_next().await.is_some() {}
        dialer.foreign.is_cancelled()
    }

    /// Keeps one connection open.
    async fn keep(self: Arc<Self>, router: Router, shutdown: Shutdown) {
        let mut backoff = Backoff::new(rand::rng().random());
        while !shutdown.is_begun() {
            let wait = backoff.next_wait();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.begun() => return,
                () = self.foreign.cancelled() => return,
            }
            let dialled = tokio::select! {
                dialled = self.dial() => dialled,
                () = shutdown.begun() => return,
            };
            match dialled {
                Ok(stream) => {
                    let begun = Instant::now();
                    let orderly = self.serve(stream, router.clone(), &shutdown).await;
                    backoff.held_for(begun.elapsed());
                    if orderly {
                        backoff.reset();
                    }
                }
                Err(error) if self.gives_up && error.is_foreign() && self.state.borrow().connected == 0 => {
                    return self.foreign.cancel();
                }
                Err(error) => self.failed(&error, &shutdown).await,
            }
        }
    }

    async fn dial(&self) -> Result<ByteStream<crate::listener::Socket>, Error> {
        let url = self.upstream.route(PATH);
        let deadline = self.config.connect_deadline;
        let credentials = self.upstream.credentials();
        let connecting = ws::connect(&url, credentials, &[SUBPROTOCOL], &self.upstream.tls, deadline);
        let (websocket, _) = connecting.await?;
        if let Err(error) = websocket.get_ref().set_notsent_lowat(self.config.notsent_lowat) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT");
        }
        Ok(ByteStream::new(websocket, self.config.keep_alive, CancellationToken::new()))
    }

    /// Serves one connection to its end; returns whether that was an orderly one.
    async fn serve(&self, stream: ByteStream<crate::listener::Socket>, router: Router, shutdown: &Shutdown) -> bool {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .initial_stream_window_size(self.config.stream_window)
            .initial_connection_window_size(self.config.connection_window)
            .max_header_list_size(self.config.head_bytes)
            .max_concurrent_streams(self.config.streams)
            .max_send_buf_size(self.config.send_buffer)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(None);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let mut connection = std::pin::pin!(connection);
        self.opened();
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = shutdown.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        self.closed(done.as_ref().err());
        done.is_ok()
    }

    fn opened(&self) {
        let mut connected = 0;
        self.state.send_modify(|state| {
            state.connected += 1;
            state.problem = None;
            connected = state.connected;
        });
        if connected == 1 {
            tracing::info!(upstream = %self.upstream.url, site = self.upstream.site, "connected");
        }
    }

    fn closed(&self, error: Option<&hyper::Error>) {
        let mut connected = 0;
        self.state.send_modify(|state| {
            state.connected = state.connected.saturating_sub(1);
            connected = state.connected;
        });
        let error = error.map(|error| error as &dyn std::error::Error);
        if connected == 0 {
            tracing::warn!(upstream = %self.upstream.url, site = self.upstream.site, error, "disconnected");
        }
    }

    /// Tells the operator once per cause; a site that was replaced waits for long.
    async fn failed(&self, error: &Error, shutdown: &Shutdown) {
        let replaced = error.refused() == Some(StatusCode::CONFLICT);
        let problem = match error.refused() {
            Some(StatusCode::CONFLICT) => "a newer instance of this site is connected".to_owned(),
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                format!("the upstream does not accept this site's token: {error}")
            }
            _ => crate::causes(error),
        };
        let news = self.state.borrow().problem.as_ref() != Some(&problem);
        if news && self.state.borrow().connected == 0 {
            tracing::warn!(upstream = %self.upstream.url, site = self.upstream.site, problem, "cannot connect; trying on");
        }
        self.state.send_modify(|state| state.problem = Some(problem));
        if replaced {
            tokio::select! {
                () = tokio::time::sleep(REPLACED_WAIT) => {}
                () = shutdown.begun() => {}
            }
        }
    }
}
