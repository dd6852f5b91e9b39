//! One register connection: drives the session, and keeps the site in the directory while it is open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sluicegate_cascade::m7s::Request;
use sluicegate_cascade::m7s::upstream::{Asker, Event, Session};
use sluicegate_net::link::{Protocol, ServiceInfo, Site};
use sluicegate_net::ws::{Accepted, WebSocket};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use super::super::{Inner, UPGRADE};
use super::{SERVICE, stand_in};
use crate::metrics;
use crate::upstream::credentials::Caller;

/// Between two pings. The original answers pings of its register connection, unlike those of a push.
const PING: Duration = Duration::from_secs(4);
/// A site without a request that has said nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(8);
/// The same for a site that works on a request: the original reads nothing meanwhile.
const BUSY_SILENCE: Duration = Duration::from_secs(30);
/// How long one message may take to be accepted by the connection.
const SEND: Duration = Duration::from_secs(10);
/// Askers that wait for the session's attention.
const ASKERS: usize = 64;

/// Where an answer goes.
type Reply = oneshot::Sender<Result<Vec<u8>, NoAnswer>>;

/// A request and who waits for its answer.
pub(super) struct Ask {
    pub(super) request: Request,
    pub(super) reply: Reply,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Too many wait already.
    Full,
    /// None came in time.
    Late,
}

pub(super) async fn run(inner: &Arc<Inner>, caller: Caller, peer: SocketAddr, accepted: Accepted) {
    let websocket = match tokio::time::timeout(UPGRADE, accepted.websocket()).await {
        Ok(Ok(websocket)) => websocket,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a site left during its upgrade"),
        Err(_) => return tracing::debug!(%peer, "a site's upgrade took too long"),
    };
    let (asks, asked) = mpsc::channel(ASKERS);
    let connection = match stand_in::link(asks, inner.config.link).await {
        Ok(connection) => Arc::new(connection),
        Err(error) => return tracing::warn!(site = caller.site, %error, "a link could not be set up"),
    };
    let site = join(inner, &caller, peer);
    site.pool.add(Arc::clone(&connection));
    let session = Session::new();
    let deadline = inner.config.m7s.deadline;
    let now = Instant::now();
    let mut driver =
        Driver { websocket, session, site: Arc::clone(&site), deadline, replies: Vec::new(), asker: 0, heard: now };
    let why = tokio::select! {
        why = driver.run(asked) => why,
        () = connection.ended() => "another connection of this site has come",
        () = inner.revoked(&caller) => "its token was revoked",
    };
    tracing::info!(site = caller.site, why, "site gone");
    // An original must see its socket closed before it dials again.
    let _ = tokio::time::timeout(SEND, driver.websocket.close(None)).await;
    connection.cut();
    inner.directory.remove(&site);
    metrics::connected(inner.directory.list().len());
}

/// Puts the site into the directory; one that had its id makes way.
fn join(inner: &Inner, caller: &Caller, peer: SocketAddr) -> Arc<Site> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let site = Arc::new(Site::new(&caller.site, &format!("{:013x}-m7s", since.as_millis()), peer));
    site.info.send_modify(|info| {
        info.protocol = Protocol::M7s;
        info.services = vec![ServiceInfo { name: SERVICE.to_owned() }];
    });
    if let Some(old) = inner.directory.insert(Arc::clone(&site)) {
        tracing::info!(site = caller.site, "replaced by a newer connection");
        old.pool.connections().iter().for_each(|connection| connection.cut());
    }
    tracing::info!(site = caller.site, %peer, "site connected, by the m7s plugin");
    metrics::connected(inner.directory.list().len());
    site
}

struct Driver {
    websocket: WebSocket,
    session: Session,
    site: Arc<Site>,
    deadline: Duration,
    replies: Vec<(Asker, Reply)>,
    asker: Asker,
    heard: Instant,
}

impl Driver {
    /// Runs until the connection ends; returns why.
    async fn run(&mut self, mut asked: mpsc::Receiver<Ask>) -> &'static str {
        let mut pings = tokio::time::interval(PING);
        loop {
            let due = self.session.poll_timeout();
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.websocket.next() => match message {
                    Some(Ok(message)) => {
                        self.heard = Instant::now();
                        match message {
                            Message::Text(text) => self.session.handle_text(text.as_bytes()),
                            Message::Binary(bytes) => self.session.handle_text(&bytes),
                            Message::Close(_) => return "it closed",
                            _ => {}
                        }
                    }
                    Some(Err(_)) => return "its connection failed",
                    None => return "its connection ended",
                },
                Some(ask) = asked.recv() => self.ask(ask),
                () = timer => self.session.handle_timeout(Instant::now()),
                _ = pings.tick() => {
                    let limit = if self.replies.is_empty() { SILENCE } else { BUSY_SILENCE };
                    if self.heard.elapsed() >= limit {
                        return "it does not answer";
                    }
                    if !self.send(Message::Ping(Bytes::new())).await {
                        return "it takes nothing";
                    }
                }
            }
            self.act();
            while let Some(text) = self.session.poll_text() {
                if !self.send(Message::Text(text.into())).await {
                    return "it takes nothing";
                }
            }
        }
    }

    fn ask(&mut self, Ask { request, reply }: Ask) {
        self.forget_the_gone();
        self.asker += 1;
        match self.session.ask(self.asker, request, Instant::now(), self.deadline) {
            Ok(()) => self.replies.push((self.asker, reply)),
            Err(_) => drop(reply.send(Err(NoAnswer::Full))),
        }
    }

    /// What nobody waits for is not asked.
    fn forget_the_gone(&mut self) {
        let session = &mut self.session;
        self.replies.retain(|(asker, reply)| {
            let gone = reply.is_closed();
            if gone {
                session.cancel(*asker);
            }
            !gone
        });
    }

    fn act(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Info(said) => self.site.info.send_modify(|info| info.name = said.name),
                Event::Answer(asker, body) => self.reply(asker, Ok(body)),
                Event::Expired(asker) => self.reply(asker, Err(NoAnswer::Late)),
                Event::Late => tracing::debug!(site = self.site.id, "an answer came too late"),
                _ => {}
            }
        }
    }

    fn reply(&mut self, asker: Asker, answer: Result<Vec<u8>, NoAnswer>) {
        if let Some(at) = self.replies.iter().position(|(waiting, _)| *waiting == asker) {
            // Whoever has gone meanwhile needs no answer.
            let _ = self.replies.swap_remove(at).1.send(answer);
        }
    }

    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(SEND, self.websocket.send(message)).await, Ok(Ok(())))
    }
}
