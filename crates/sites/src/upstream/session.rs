//! One control stream to a site: drives the session's state machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sluicegate_cascade::upstream::{Event, Session};
use sluicegate_cascade::{LeaseId, Offers};
use sluicegate_hub::{Owner, StreamName};
use sluicegate_net::link::{Connection, Pool, ServiceInfo, Site};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Inner, Leased, lock};
use crate::control::{AUTHORITY, Receiver, Sender};
use crate::metrics;

/// How long a site may take to answer the control request.
const OPEN: Duration = Duration::from_secs(10);
/// Changes of demand that wait for the session.
const DEMANDS: usize = 256;

/// Why no control stream came up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the site does not answer")]
    Silent,
    #[error("the site answers {0}")]
    Status(http::StatusCode),
    #[error(transparent)]
    Link(#[from] sluicegate_net::link::Error),
    #[error(transparent)]
    Request(#[from] http::Error),
}

/// Runs a session until its connection ends.
pub(super) async fn run(inner: &Arc<Inner>, site: &Arc<Site>, connection: &Connection) -> Result<(), Failed> {
    let (sender, body) = Sender::new();
    let request = Request::builder().method(Method::POST).uri(format!("http://{AUTHORITY}/control")).body(body)?;
    let answer = tokio::time::timeout(OPEN, Pool::send_on(connection, request)).await;
    let response = answer.map_err(|_| Failed::Silent)??;
    if !response.status().is_success() {
        return Err(Failed::Status(response.status()));
    }
    let (demands, changes) = mpsc::channel(DEMANDS);
    let mut driver = Driver {
        inner: Arc::clone(inner),
        site: Arc::clone(site),
        session: Session::new(),
        sender,
        demands,
        watching: JoinSet::new(),
        leases: Vec::new(),
    };
    driver.run(Receiver::new(response.into_body()), changes).await;
    Ok(())
}

struct Driver {
    inner: Arc<Inner>,
    site: Arc<Site>,
    session: Session,
    sender: Sender,
    demands: mpsc::Sender<(String, usize)>,
    watching: JoinSet<()>,
    leases: Vec<LeaseId>,
}

impl Drop for Driver {
    /// A new control stream has new leases; pushes under old ones go on, but none may begin.
    fn drop(&mut self) {
        let mut leases = lock(&self.inner.leases);
        self.leases.iter().for_each(|lease| drop(leases.remove(lease)));
    }
}

impl Driver {
    async fn run<B>(&mut self, mut messages: Receiver<B>, mut changes: mpsc::Receiver<(String, usize)>)
    where
        B: http_body::Body<Data = bytes::Bytes> + Unpin,
    {
        loop {
            let due = self.session.poll_timeout();
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.session.handle_message(message),
                    None => return,
                },
                Some((name, viewers)) = changes.recv() => {
                    self.session.handle_viewers(&name, viewers, Instant::now(), fresh_lease);
                }
                () = timer => {}
            }
            self.session.handle_timeout(Instant::now());
            self.act();
            while let Some(message) = self.session.poll_message() {
                if !self.sender.send(&message) {
                    return;
                }
            }
        }
    }

    fn act(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Hello(hello) => {
                    tracing::info!(site = self.site.id, software = hello.software, "site says hello");
                    self.site.info.send_modify(|info| info.name = hello.name);
                }
                Event::Offers(offers) => self.offers(&offers),
                Event::Leased(lease, name) => self.leased(lease, &name),
                Event::Released(lease, name) => {
                    lock(&self.inner.leases).remove(&lease);
                    tracing::info!(site = self.site.id, stream = name, "released: nobody watches");
                }
                Event::Failed(name, reason) => {
                    tracing::warn!(site = self.site.id, stream = name, reason, "the site cannot push");
                }
                _ => {}
            }
        }
    }

    fn leased(&mut self, lease: LeaseId, name: &str) {
        let Some(hub_name) = self.hub_name(name) else { return };
        tracing::info!(site = self.site.id, stream = name, "asked to push");
        metrics::leased();
        self.leases.push(lease);
        lock(&self.inner.leases).insert(lease, Leased { site: self.site.id.clone(), name: hub_name });
    }

    fn hub_name(&self, name: &str) -> Option<StreamName> {
        StreamName::parse(name).and_then(|name| name.at_site(&self.site.id)).ok()
    }

    /// Reserves what is offered now, frees what is not any more, and follows the demand of each.
    fn offers(&mut self, offers: &Offers) {
        let mut all = lock(&self.inner.offers);
        let own = all.entry(self.site.id.clone()).or_default();
        own.retain(|name, _| offers.streams.iter().any(|offer| offer.name == *name));
        self.watching.abort_all();
        let mut shown = Vec::new();
        for offer in &offers.streams {
            let Some(name) = self.hub_name(&offer.name) else {
                tracing::warn!(site = self.site.id, stream = offer.name, "the site offers what is no stream name");
                continue;
            };
            if !own.contains_key(&offer.name) {
                match self.inner.hub.offer(&name, Owner::new(&self.site.id)) {
                    Ok(reserved) => drop(own.insert(offer.name.clone(), Arc::new(reserved))),
                    Err(error) => {
                        tracing::warn!(site = self.site.id, stream = offer.name, %error, "an offer was refused");
                        continue;
                    }
                }
            }
            if let Some(reserved) = own.get(&offer.name) {
                self.watching.spawn(follow(offer.name.clone(), reserved.demand(), self.demands.clone()));
            }
            shown.push(name.to_string());
        }
        drop(all);
        let services = offers.services.iter().map(|name| ServiceInfo { name: name.clone() }).collect();
        self.site.info.send_modify(|info| (info.services, info.streams) = (services, shown));
    }
}

/// Tells the session how many watch, now and at every change.
async fn follow(name: String, mut demand: tokio::sync::watch::Receiver<usize>, tell: mpsc::Sender<(String, usize)>) {
    loop {
        let viewers = *demand.borrow_and_update();
        if tell.send((name.clone(), viewers)).await.is_err() || demand.changed().await.is_err() {
            return;
        }
    }
}

/// 128 bits of the system's randomness; without any the lease is one that nobody can name.
fn fresh_lease() -> LeaseId {
    let mut bits = [0; 16];
    if OsRng.try_fill_bytes(&mut bits).is_err() {
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut bits);
    }
    LeaseId(bits)
}
