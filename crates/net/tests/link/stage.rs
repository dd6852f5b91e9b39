//! A public host with one route, and sites that dial it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use http_body_util::BodyExt;
use sluicegate_net::link::{self, Connection, DialState, Dialer, PATH, Pool, SUBPROTOCOL, Upstream};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws::{self, KeepAlive};
use tokio::sync::watch;

/// How long a step of a test may take before it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A public host and the pool of its one site.
pub(crate) struct Host {
    pub(crate) pool: Arc<Pool>,
    pub(crate) address: String,
    joined: watch::Receiver<usize>,
    _shutdown: Shutdown,
}

/// Times short enough for a test.
pub(crate) fn quick() -> link::Config {
    let keep_alive = KeepAlive { interval: Duration::from_millis(100), timeout: Duration::from_millis(200) };
    link::Config { keep_alive, ..link::Config::default() }
}

impl Host {
    pub(crate) async fn start(config: link::Config) -> Self {
        let pool: Arc<Pool> = Arc::default();
        let (tell, joined) = watch::channel(0);
        let (pool_of_route, tell) = (Arc::clone(&pool), Arc::new(tell));
        let take = move |mut request: Request| {
            let (pool, tell) = (Arc::clone(&pool_of_route), Arc::clone(&tell));
            async move {
                let (response, accepted) = match ws::accept(&mut request, &[SUBPROTOCOL], ws::Config::default()) {
                    Ok(agreed) => agreed,
                    Err(problem) => return problem.into_response(),
                };
                tokio::spawn(async move {
                    let websocket = accepted.websocket().await.unwrap();
                    let connection = Connection::open(websocket, config).await.unwrap();
                    pool.add(Arc::new(connection));
                    tell.send_modify(|count| *count += 1);
                });
                response
            }
        };
        let refuse = get(|| async { StatusCode::CONFLICT });
        let router = Router::new().route(PATH, get(take)).route(&format!("/taken{PATH}"), refuse);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None, listener::Config::default()).await.unwrap();
        let address = listener.local_addr().to_string();
        let shutdown = Shutdown::new();
        tokio::spawn(listener.serve(router, shutdown.clone()));
        Self { pool, address, joined, _shutdown: shutdown }
    }

    /// Waits until this many connections have joined since the start.
    pub(crate) async fn joined(&self, count: usize) {
        let mut joined = self.joined.clone();
        tokio::time::timeout(PATIENCE, joined.wait_for(|have| *have >= count)).await.unwrap().unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response<link::Body>, link::Error> {
        let request = Request::get(format!("http://site{path}")).body(Body::empty()).unwrap();
        tokio::time::timeout(PATIENCE, self.pool.send(request)).await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let body = self.get(path).await.unwrap().into_body();
        let bytes = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

/// A site that serves `router` to a host.
pub(crate) struct Site {
    pub(crate) state: watch::Receiver<DialState>,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: tokio::task::JoinHandle<bool>,
}

impl Site {
    pub(crate) fn dial(address: &str, prefix: &str, config: link::Config, connections: usize, router: Router) -> Self {
        let upstream = Upstream {
            url: format!("ws://{address}{prefix}").parse().unwrap(),
            site: "cam-7".into(),
            instance: "1".into(),
            token: None,
            tls: ClientTls::insecure().unwrap(),
        };
        let dialer = Dialer::new(upstream, config, connections);
        let (state, shutdown) = (dialer.state(), Shutdown::new());
        let task = tokio::spawn(dialer.run(router, shutdown.clone()));
        Self { state, shutdown, task }
    }

    pub(crate) async fn until(&mut self, what: impl FnMut(&DialState) -> bool) -> DialState {
        tokio::time::timeout(PATIENCE, self.state.wait_for(what)).await.unwrap().unwrap().clone()
    }
}

/// A site with one connection that serves `router`.
pub(crate) async fn linked(config: link::Config, router: Router) -> (Host, Site) {
    let host = Host::start(config).await;
    let site = Site::dial(&host.address, "", config, 1, router);
    host.joined(1).await;
    (host, site)
}
