//! The one listener: a router on a port, HTTP/1.1 and HTTP/2, with deadlines and limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower::ServiceExt;

use crate::Error;
use crate::handover;
use crate::port::{Arrival, Limits, Port};
use crate::shutdown::Shutdown;
use crate::tls::ServerTls;

pub use crate::socket::Socket;

/// Limits and times of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a request's head. Default 32 KiB, half of what the link to a site takes, so that no head that is let
    /// in here can break a link. Beyond it the answer is 431.
    pub head_bytes: u32,
    /// How long a request's head may take, and a TLS handshake. Default 10 s.
    pub head_deadline: Duration,
    /// Connections at once; more wait in the system's queue. Default 16,384, at 30 to 60 KiB each with HTTP/1.1.
    pub connections: usize,
    /// Requests at once on one HTTP/2 connection. Default 256.
    pub streams: u32,
    /// How long requests in flight may go on after a shutdown has begun. Default 10 s.
    pub drain: Duration,
    /// Bytes that the kernel may hold unsent for a client (`TCP_NOTSENT_LOWAT`). Default 64 KiB: without it the kernel
    /// takes megabytes for a slow reader, which delays what comes after and hides how slow it is.
    pub unsent_bytes: u32,
    /// How long sent bytes may stay unacknowledged before a connection is lost (`TCP_USER_TIMEOUT`). Default 60 s.
    pub unacknowledged: Duration,
    /// Path prefixes whose plain `GET`s may take the socket (see [`crate::handover`]). Default none.
    pub handover_paths: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            head_bytes: 32 << 10,
            head_deadline: Duration::from_secs(10),
            connections: 16_384,
            streams: 256,
            drain: Duration::from_secs(10),
            unsent_bytes: 64 << 10,
            unacknowledged: Duration::from_secs(60),
            handover_paths: Vec::new(),
        }
    }
}

/// Who sent a request; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectInfo {
    /// The other end of the TCP connection.
    pub peer: SocketAddr,
    /// Whether it is encrypted.
    pub tls: bool,
}

impl Config {
    fn limits(&self) -> Limits {
        Limits {
            connections: self.connections,
            handshake: self.head_deadline,
            unsent_bytes: self.unsent_bytes,
            unacknowledged: self.unacknowledged,
            drain: self.drain,
        }
    }
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    port: Port,
    config: Config,
}

impl Listener {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Option<ServerTls>, config: Config) -> Result<Self, Error> {
        Ok(Self { port: Port::bind(address, tls).await?, config })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.port.local_addr()
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", if self.port.is_tls() { "https" } else { "http" }, self.local_addr())
    }

    /// Serves until `shutdown`; then takes no more connections and returns when requests in flight are done, or
    /// [`Config::drain`] is over.
    pub async fn serve(self, router: Router, shutdown: Shutdown) {
        let Self { port, config } = self;
        let limits = config.limits();
        let connection = Arc::new(Connection { router, config, shutdown: shutdown.clone() });
        let welcome = |arrival| {
            let connection = Arc::clone(&connection);
            async move { connection.serve(arrival).await }
        };
        port.serve(limits, &shutdown, welcome).await;
    }
}

/// What all connections of a listener share.
#[derive(Debug)]
struct Connection {
    router: Router,
    config: Config,
    shutdown: Shutdown,
}

impl Connection {
    async fn serve(&self, arrival: Arrival) {
        let peer = arrival.peer();
        match arrival.open_http().await {
            Ok((socket, _place)) if socket.protocol() == Some(b"h2") => self.http2(socket, peer).await,
            Ok((socket, _place)) => self.http1(socket, peer).await,
            Err(error) => tracing::debug!(%peer, %error, "a connection could not be opened"),
        }
    }

    fn service(&self, peer: SocketAddr, tls: bool) -> Answering {
        Answering { router: self.router.clone(), info: ConnectInfo { peer, tls }, first: Arc::default() }
    }

    async fn http1(&self, mut socket: Socket, peer: SocketAddr) {
        let service = self.service(peer, socket.is_tls());
        if !self.config.handover_paths.is_empty() {
            match self.hand_over(socket, &service).await {
                Some(kept) => socket = kept,
                None => return,
            }
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.head_deadline)
            .max_buf_size(self.head_limit())
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = self.shutdown.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        ended(peer, done);
    }

    fn head_limit(&self) -> usize {
        usize::try_from(self.config.head_bytes).unwrap_or(usize::MAX)
    }

    /// Lets the router take the socket with its first request. Returns the socket when it did not; an answer that was
    /// made meanwhile waits in `service`.
    async fn hand_over(&self, mut socket: Socket, service: &Answering) -> Option<Socket> {
        let reading = handover::first_request(&mut socket, &self.config.handover_paths, self.head_limit());
        let request = tokio::select! {
            read = tokio::time::timeout(self.config.head_deadline, reading) => read.ok()?.ok()?,
            () = self.shutdown.begun() => return None,
        };
        let Some(request) = request else { return Some(socket) };
        let (parts, _) = request.into_parts();
        let head = handover::unparsed(&parts);
        let response = tokio::select! {
            response = service.answer(Request::from_parts(parts, Body::empty())) => response,
            () = handover::gone(&mut socket) => return None,
        };
        let (mut socket, response) = handover::complete(socket, response).await.err()?;
        // The library reads a request in the place of this one and finds the answer ready.
        let rest = socket.take_unread();
        socket.unread([head, rest.to_vec()].concat().into());
        *service.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
        Some(socket)
    }

    async fn http2(&self, socket: Socket, peer: SocketAddr) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(self.config.head_bytes)
            .max_concurrent_streams(self.config.streams)
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .serve_connection(TokioIo::new(socket), self.service(peer, true));
        let mut connection = std::pin::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = self.shutdown.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        ended(peer, done);
    }
}

/// The router for one connection, with the answer to its first request if that was made already.
#[derive(Debug, Clone)]
struct Answering {
    router: Router,
    info: ConnectInfo,
    first: Arc<Mutex<Option<Response<Body>>>>,
}

impl Answering {
    async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(self.info);
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Some(ready) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Box::pin(std::future::ready(Ok(ready)));
        }
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request.map(Body::new)).await) })
    }
}

/// Peers break off all the time; that is worth a line only to somebody who looks for it.
fn ended(peer: SocketAddr, done: Result<(), hyper::Error>) {
    if let Err(error) = done {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "connection ended");
    }
}
