//! The public host's end: takes links and pushes of sites.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use sluicegate_cascade::LeaseId;
use sluicegate_hub::{Hub, Offer, Owner, Publish, StreamName};
use sluicegate_net::link::{self, Connection, Directory, Joined, PATH, SUBPROTOCOL, Site};
use sluicegate_net::listener::ConnectInfo;
use sluicegate_net::problem::Problem;
use sluicegate_net::ws::{self, Accepted};

use crate::tokens::Tokens;
use crate::{Intake, metrics};

pub mod m7s;

mod credentials;
mod session;
#[cfg(test)]
mod tests;

use credentials::Caller;

/// How the upstream treats sites.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Whether a site without a token may join. Only for loopback, or when told so by name.
    pub open: bool,
    /// Limits of the links.
    pub link: link::Config,
    /// Sites of the m7s plugin.
    pub m7s: m7s::Config,
}

/// A site's offers stay for this long after its last connection is lost, so that viewers are kept over a reconnect.
const LINGER: Duration = Duration::from_secs(15);
/// Between two looks at a site without a control stream.
const AGAIN: Duration = Duration::from_millis(50);
/// How long an upgrade may take from our 101 to the socket.
const UPGRADE: Duration = Duration::from_secs(10);

/// All sites of this host. Clones share them.
#[derive(Clone)]
pub struct Sites(Arc<Inner>);

struct Inner {
    hub: Hub,
    directory: Arc<Directory>,
    tokens: Arc<Tokens>,
    intake: Arc<dyn Intake>,
    config: Config,
    /// Leases under which a push is welcome.
    leases: Mutex<HashMap<LeaseId, Leased>>,
    /// Offers by site, which outlive a lost link.
    offers: Mutex<HashMap<String, BTreeMap<String, Arc<Offer>>>>,
}

/// What a lease is for.
#[derive(Debug, Clone)]
struct Leased {
    site: String,
    name: StreamName,
}

impl std::fmt::Debug for Sites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sites").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}

impl Sites {
    /// Sites that appear in `directory` and publish into `hub`.
    pub fn new(
        hub: Hub,
        directory: Arc<Directory>,
        tokens: Arc<Tokens>,
        intake: Arc<dyn Intake>,
        config: Config,
    ) -> Self {
        let (leases, offers) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { hub, directory, tokens, intake, config, leases, offers }))
    }

    /// `/cascade/v1/link` and `/cascade/v1/push/{lease}`; `/erwscascade/wsocket/register` and `/erwscascade/wspush/…` for
    /// sites of the m7s plugin, also behind `/t/TOKEN` or one segment of a `conextpath`.
    pub fn router(&self) -> Router {
        Router::new()
            .route(PATH, get(take_link))
            .route("/cascade/v1/push/{lease}", get(take_push))
            .route("/erwscascade/wsocket/{*register}", get(m7s::take_register))
            .route("/t/{token}/erwscascade/wsocket/{*register}", get(m7s::take_register))
            .route("/erwscascade/wspush/{*stream}", get(m7s::take_push))
            .route("/t/{token}/erwscascade/wspush/{*stream}", get(m7s::take_push))
            .route("/{prefix}/erwscascade/wsocket/{*register}", get(m7s::take_register))
            .route("/{prefix}/erwscascade/wspush/{*stream}", get(m7s::take_push))
            .with_state(self.clone())
    }

    /// Takes no more requests to sites; those in flight end, then the links do.
    pub fn drain(&self) {
        let sites = self.0.directory.list();
        sites.iter().flat_map(|site| site.pool.connections()).for_each(|connection| connection.drain());
    }
}

/// A poisoned lock protects tables whose every change is complete on its own.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn peer(request: &Request) -> SocketAddr {
    let nobody = || SocketAddr::from(([0, 0, 0, 0], 0));
    request.extensions().get::<ConnectInfo>().map_or_else(nobody, |info| info.peer)
}

async fn take_link(State(sites): State<Sites>, mut request: Request) -> Response {
    let taken = sites.0.check(&request).and_then(|caller| {
        sites.0.check_instance(&caller)?;
        let (response, accepted) = ws::accept(&mut request, &[SUBPROTOCOL], ws::Config::default())?;
        Ok((caller, response, accepted))
    });
    match taken {
        Ok((caller, response, accepted)) => {
            let peer = peer(&request);
            tokio::spawn(async move { sites.0.run_link(caller, peer, accepted).await });
            response
        }
        Err(problem) => problem.into_response(),
    }
}

async fn take_push(State(sites): State<Sites>, Path(lease): Path<String>, mut request: Request) -> Response {
    let taken = sites.0.check(&request).and_then(|caller| {
        let leased = sites.0.find_lease(&lease, &caller)?;
        let (response, accepted) = ws::accept(&mut request, &[], ws::Config::default())?;
        Ok((caller, leased, response, accepted))
    });
    match taken {
        Ok((caller, leased, response, accepted)) => {
            let peer = peer(&request);
            tokio::spawn(async move { sites.0.run_push(caller, leased, peer, accepted).await });
            response
        }
        Err(problem) => problem.into_response(),
    }
}

impl Inner {
    fn find_lease(&self, lease: &str, caller: &Caller) -> Result<Leased, Problem> {
        let known = lease.parse().ok().and_then(|lease: LeaseId| lock(&self.leases).get(&lease).cloned());
        let own = known.filter(|leased| leased.site == caller.site);
        own.ok_or_else(|| {
            metrics::refused("lease");
            Problem::new(StatusCode::NOT_FOUND).detail("there is no such lease for this site; wait to be asked")
        })
    }

    /// A newer instance of a site takes its place; an older one is told to wait.
    fn check_instance(&self, caller: &Caller) -> Result<(), Problem> {
        let newer = self.directory.get(&caller.site).is_some_and(|site| site.instance > caller.instance);
        if newer {
            metrics::refused("instance");
            let detail = format!("a newer instance of site {} is connected", caller.site);
            return Err(Problem::new(StatusCode::CONFLICT).detail(detail));
        }
        Ok(())
    }

    /// Waits until the caller's token is revoked; one without a token stays.
    async fn revoked(&self, caller: &Caller) {
        match &caller.token {
            Some(hash) => self.tokens.revoked(hash).await,
            None => std::future::pending().await,
        }
    }

    async fn run_link(self: Arc<Self>, caller: Caller, peer: SocketAddr, accepted: Accepted) {
        let websocket = match tokio::time::timeout(UPGRADE, accepted.websocket()).await {
            Ok(Ok(websocket)) => websocket,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "a site left during its upgrade"),
            Err(_) => return tracing::debug!(%peer, "a site's upgrade took too long"),
        };
        if let Err(error) = websocket.get_ref().set_notsent_lowat(self.config.link.notsent_lowat) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT");
        }
        let connection = match Connection::open(websocket, self.config.link).await {
            Ok(connection) => Arc::new(connection),
            Err(error) => return tracing::warn!(site = caller.site, %peer, %error, "a link could not be set up"),
        };
        let Some(site) = self.join(&caller, peer, &connection) else { return connection.cut() };
        tokio::select! {
            () = connection.ended() => {}
            () = self.revoked(&caller) => {
                tracing::info!(site = caller.site, "the token was revoked; the link is cut");
                connection.cut();
                connection.ended().await;
            }
        }
        site.keep_counts(&connection);
    }

    /// Adds a connection to the running instance that it belongs to; a new one replaces what was there. None where there is
    /// a newer one by now: the site is told when it dials again.
    fn join(self: &Arc<Self>, caller: &Caller, peer: SocketAddr, connection: &Arc<Connection>) -> Option<Arc<Site>> {
        let site = Arc::new(Site::new(&caller.site, &caller.instance, peer));
        site.pool.add(Arc::clone(connection));
        let old = match self.directory.join(&site) {
            Joined::Older => return None,
            Joined::There(listed) => {
                listed.pool.add(Arc::clone(connection));
                // Who has replaced it meanwhile has cut what was there before.
                return self.directory.lists(&listed).then_some(listed);
            }
            Joined::New(old) => old,
        };
        if let Some(old) = old {
            tracing::info!(site = caller.site, "replaced by a newer instance");
            old.pool.connections().iter().for_each(|connection| connection.cut());
        }
        tracing::info!(site = caller.site, %peer, "site connected");
        metrics::connected(self.directory.list().len());
        tokio::spawn(Arc::clone(self).keep_site(Arc::clone(&site)));
        Some(site)
    }

    /// Runs control sessions as long as the site has connections, and a while longer.
    async fn keep_site(self: Arc<Self>, site: Arc<Site>) {
        let mut lost = tokio::time::Instant::now();
        while lost.elapsed() < LINGER {
            if !self.directory.lists(&site) {
                return;
            }
            let Some(connection) = site.pool.connections().into_iter().next() else {
                // A lost link is dialled again within seconds.
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            if let Err(error) = session::run(&self, &site, &connection).await {
                tracing::debug!(site = site.id, %error, "the control stream could not be opened");
                connection.cut();
                connection.ended().await;
                tokio::time::sleep(AGAIN).await;
            }
            lost = tokio::time::Instant::now();
        }
        if self.directory.remove(&site) {
            // One that has come since the last look would be nobody's; it is dialled again.
            site.pool.connections().iter().for_each(|connection| connection.cut());
            lock(&self.offers).remove(&site.id);
            tracing::info!(site = site.id, "site gone");
            metrics::connected(self.directory.list().len());
        }
    }

    async fn run_push(self: Arc<Self>, caller: Caller, leased: Leased, peer: SocketAddr, accepted: Accepted) {
        let mut websocket = match tokio::time::timeout(UPGRADE, accepted.websocket()).await {
            Ok(Ok(websocket)) => websocket,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "a push left during its upgrade"),
            Err(_) => return tracing::debug!(%peer, "a push's upgrade took too long"),
        };
        if let Some(site) = self.directory.get(&leased.site) {
            websocket.get_mut().count_reads(site.media_counter());
        }
        let publish = Publish::by("push").owned_by(Owner::new(&leased.site)).from_address(peer);
        // The site pushes again only when it has given up on the old push.
        let publisher = match self.hub.publish(&leased.name, Publish { replace: true, ..publish }) {
            Ok(publisher) => publisher,
            Err(error) => return tracing::warn!(stream = %leased.name, %error, "a push was refused"),
        };
        tokio::select! {
            done = self.intake.ingest(websocket, publisher) => match done {
                Ok(()) => tracing::info!(stream = %leased.name, "push ended"),
                Err(error) => tracing::info!(stream = %leased.name, error = error.as_ref() as &dyn std::error::Error, "push ended"),
            },
            () = self.revoked(&caller) => {}
        }
    }
}
