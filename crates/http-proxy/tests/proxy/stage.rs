//! The stage of all tests: a public server with the ingress, a link, a site with the egress, and a test device.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use sluicegate_http_proxy::egress::{self, Service, Services};
use sluicegate_http_proxy::ingress;
use sluicegate_net::link::{self, Connection, Dialer, Directory, Pool, Site, Upstream};
use sluicegate_net::listener::{self, Listener};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::device::Device;

/// The most that any step of a test may take; reached only by a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const SITE: &str = "cam-7";
/// Connections of the site's link.
const CONNECTIONS: usize = 2;

/// Everything between a client and a device.
pub(crate) struct Stage {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    pub(crate) device: Device,
    directory: Arc<Directory>,
    site: AbortHandle,
    public: Shutdown,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_site();
        self.public.begin();
    }
}

/// What a test wants otherwise.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) ingress: ingress::Config,
    pub(crate) egress: egress::Config,
    /// Further services beside `web`, `base` (with a base path) and `dead` (nobody listens).
    pub(crate) services: Vec<(&'static str, String)>,
    /// Whom the site trusts at `https` services.
    pub(crate) tls: Option<ClientTls>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let device = Device::start().await;
        let tls = setup.tls.unwrap_or_else(|| ClientTls::insecure().unwrap());
        let mut services = Services::new();
        let mut allow = |name: &str, url: String| {
            let service = Service { url: url.parse().unwrap(), host: None, tls: tls.clone() };
            services.insert(name, service).unwrap();
        };
        allow("web", format!("http://{}", device.address));
        allow("base", format!("http://{}/base/", device.address));
        allow("dead", format!("http://{}", unused_address()));
        for (name, url) in setup.services {
            allow(name, url);
        }
        let site = egress::service(services, setup.egress).unwrap();
        let directory = Arc::new(Directory::default());
        let at_upstream = Arc::new(Site::new(SITE, "run-1", SocketAddr::from(([127, 0, 0, 1], 1))));
        directory.insert(Arc::clone(&at_upstream));
        let router = ingress::router(Arc::clone(&directory), setup.ingress);
        let (joined, mut arrivals) = mpsc::channel(CONNECTIONS);
        let (address, public) = serve(router.merge(accepting(Arc::clone(&at_upstream.pool), joined))).await;
        let site = join(address, site, &tls);
        for _ in 0..CONNECTIONS {
            timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
        }
        Self { address, device, directory, site, public }
    }

    /// The ingress once more, for another listener.
    pub(crate) fn ingress(&self) -> Router {
        ingress::router(Arc::clone(&self.directory), ingress::Config::default())
    }

    /// Cuts the link at the upstream, as when a token is revoked.
    pub(crate) fn cut_link(&self) {
        for connection in self.directory.get(SITE).unwrap().pool.connections() {
            connection.cut();
        }
    }

    /// Ends the site's end of the link as the death of its program would: without a word.
    pub(crate) fn kill_site(&self) {
        self.site.abort();
    }
}

async fn serve(router: Router) -> (SocketAddr, Shutdown) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any, None, listener::Config::default()).await.unwrap();
    let (address, shutdown) = (listener.local_addr(), Shutdown::new());
    tokio::spawn(listener.serve(router, shutdown.clone()));
    (address, shutdown)
}

/// The upstream's route for links: every connection belongs to the one site.
fn accepting(pool: Arc<Pool>, joined: mpsc::Sender<()>) -> Router {
    let accept = async move |mut request: Request<Body>| {
        let (response, accepted) = ws::accept(&mut request, &[link::SUBPROTOCOL], ws::Config::default()).unwrap();
        tokio::spawn(async move {
            let websocket = accepted.websocket().await.unwrap();
            let connection = Connection::open(websocket, link::Config::default()).await.unwrap();
            pool.add(Arc::new(connection));
            let _ = joined.send(()).await;
        });
        response
    };
    Router::new().route(link::PATH, get(accept))
}

/// The downstream: dials the upstream and serves its services.
fn join(address: SocketAddr, site: Router, tls: &ClientTls) -> AbortHandle {
    let upstream = Upstream {
        url: format!("ws://{address}").parse().unwrap(),
        site: SITE.to_owned(),
        instance: "run-1".to_owned(),
        token: None,
        tls: tls.clone(),
    };
    let dialer = Dialer::new(upstream, link::Config::default(), CONNECTIONS);
    tokio::spawn(dialer.run(site, Shutdown::new())).abort_handle()
}

/// An address where nobody listens.
fn unused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
