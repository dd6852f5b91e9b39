//! An upstream that runs the original plugin: one register connection, and a push for each stream that is always wanted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use rand::Rng;
use sluicegate_cascade::m7s::downstream::Session;
use sluicegate_cascade::m7s::{Info, Request};
use sluicegate_hub::{Hub, Viewer};
use sluicegate_net::Error;
use sluicegate_net::backoff::Backoff;
use sluicegate_net::link::{self, DialState, Upstream};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::ws::{self, WebSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::streams::{Fed, Streams};
use crate::{FlvPort, PortError, metrics};

mod answer;

/// Between two pings, which the original answers on this connection.
const PING: Duration = Duration::from_secs(4);
/// An upstream that has said nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(8);
/// How long one message may take to be accepted, and a close to be answered.
const SEND: Duration = Duration::from_secs(5);
/// Between the end of a connection and the next dial: an original that is dialled by one site twice loses it.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the source may take for its first frame before the push is tried anew.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// Segments of a stream's name in an original's push route.
const SEGMENTS: usize = 2;
/// Between two looks at which streams are to be pushed; a reload changes them.
const LOOK: Duration = Duration::from_secs(1);

/// An upstream that may be an original.
pub(super) struct Original {
    pub(super) upstream: Upstream,
    pub(super) name: String,
    pub(super) config: link::Config,
    pub(super) router: Router,
    pub(super) streams: Arc<Streams>,
    pub(super) hub: Hub,
    pub(super) port: Arc<dyn FlvPort>,
    pub(super) state: watch::Sender<DialState>,
}

impl Original {
    /// Registers and comes back after every loss, until `shutdown`; when not `forced` also until the upstream answers
    /// that it does not know the route.
    pub(super) async fn run(&self, forced: bool, shutdown: &Shutdown) {
        let mut backoff = Backoff::new(rand::rng().random());
        let mut refused = false;
        while !shutdown.is_begun() {
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = shutdown.begun() => return,
            }
            let begun = Instant::now();
            let dialled = tokio::select! {
                dialled = self.dial() => dialled,
                () = shutdown.begun() => return,
            };
            match dialled {
                Ok(websocket) => {
                    refused = false;
                    self.serve(websocket, shutdown).await;
                    backoff.held_for(begun.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    self.failed(&error);
                    if !forced && std::mem::replace(&mut refused, error.is_foreign()) && error.is_foreign() {
                        return;
                    }
                }
            }
        }
    }

    /// The route in the original's own spelling, in which the question mark is escaped.
    async fn dial(&self) -> Result<WebSocket, Error> {
        let url = self.url(&format!("/erwscascade/wsocket/register%3Fcid={}", self.upstream.site));
        let deadline = self.config.connect_deadline;
        let connecting = ws::connect(&url, HeaderMap::new(), &[], &self.upstream.tls, deadline);
        connecting.await.map(|(websocket, _)| websocket)
    }

    /// A route there. An upstream of ours that is spoken to as an original takes the token in the path.
    fn url(&self, path: &str) -> Url {
        let token = self.upstream.token.as_ref().map(|token| format!("/t/{token}")).unwrap_or_default();
        self.upstream.route(&format!("{token}{path}"))
    }

    /// Answers requests and pushes streams until the connection ends.
    async fn serve(&self, mut websocket: WebSocket, shutdown: &Shutdown) {
        tracing::info!(upstream = %self.upstream.url, site = self.upstream.site, "connected, as a site of the m7s plugin");
        self.state.send_replace(DialState { connected: 1, problem: None });
        let stop = CancellationToken::new();
        let mut pushes = std::pin::pin!(self.push_all(&stop));
        let why = tokio::select! {
            why = self.answer_all(&mut websocket) => why,
            () = &mut pushes => "pushes ended",
            () = shutdown.begun() => "the site ends",
        };
        tracing::warn!(upstream = %self.upstream.url, site = self.upstream.site, why, "disconnected");
        self.state.send_replace(DialState { connected: 0, problem: Some(why.to_owned()) });
        stop.cancel();
        let _ = tokio::time::timeout(SEND, pushes).await;
        // The old socket is closed before the next is dialled.
        let _ = tokio::time::timeout(SEND, websocket.close(None)).await;
    }

    /// Returns why the connection cannot go on.
    async fn answer_all(&self, websocket: &mut WebSocket) -> &'static str {
        let info = Info { cid: self.upstream.site.clone(), name: self.name.clone(), serial: String::new() };
        let mut session = Session::new(info);
        let (answers, mut answered) = mpsc::channel::<(i64, Vec<u8>)>(1);
        let mut working = JoinSet::new();
        let (mut pings, mut heard) = (tokio::time::interval(PING), Instant::now());
        loop {
            while let Some(text) = session.poll_text() {
                if !send(websocket, Message::Text(text.into())).await {
                    return "it takes nothing";
                }
            }
            while let Some((sn, request)) = session.poll_request() {
                working.spawn(self.work(sn, request, answers.clone()));
            }
            tokio::select! {
                message = websocket.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) if is_json(text.as_bytes()) => session.handle_text(text.as_bytes()),
                        Some(Ok(Message::Binary(bytes))) if is_json(&bytes) => session.handle_text(&bytes),
                        // Under load an original's writers interleave: what comes after that is anything but messages.
                        Some(Ok(Message::Text(_) | Message::Binary(_)) | Err(_)) => return "its messages are damaged",
                        Some(Ok(Message::Close(_))) | None => return "it closed",
                        Some(Ok(_)) => {}
                    }
                }
                Some((sn, body)) = answered.recv() => session.handle_answer(sn, &body),
                Some(_) = working.join_next() => {}
                _ = pings.tick() => {
                    if heard.elapsed() >= SILENCE {
                        return "it does not answer";
                    }
                    if !send(websocket, Message::Ping(bytes::Bytes::new())).await {
                        return "it takes nothing";
                    }
                }
            }
        }
    }

    fn work(
        &self,
        sn: i64,
        request: Request,
        answers: mpsc::Sender<(i64, Vec<u8>)>,
    ) -> impl Future<Output = ()> + use<> {
        let router = self.router.clone();
        async move {
            let body = answer::to(router, request).await;
            // Without a connection nobody waits for the answer.
            let _ = answers.send((sn, body)).await;
        }
    }

    /// Pushes the streams that are wanted always, until `stop`; the plugin has no way to ask for the others.
    async fn push_all(&self, stop: &CancellationToken) {
        let mut running: JoinSet<()> = JoinSet::new();
        let mut pushed: Vec<(Arc<Fed>, CancellationToken)> = Vec::new();
        loop {
            let wanted = self.streams.always();
            pushed.retain(|(fed, end)| {
                let stays = wanted.iter().any(|other| Arc::ptr_eq(fed, other));
                if !stays {
                    end.cancel();
                }
                stays
            });
            for fed in wanted {
                if pushed.iter().any(|(other, _)| Arc::ptr_eq(&fed, other)) {
                    continue;
                }
                let end = stop.child_token();
                if fed.name.to_string().split('/').count() == SEGMENTS {
                    running.spawn(self.push(Arc::clone(&fed), end.clone()));
                } else {
                    tracing::warn!(stream = %fed.name, "the m7s plugin takes names of two segments only; not pushed to it");
                }
                pushed.push((fed, end));
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                break;
            }
        }
        while running.join_next().await.is_some() {}
    }

    fn push(&self, fed: Arc<Fed>, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        let mut url = self.url(&format!("/erwscascade/wspush/{}", fed.name));
        url.set_query(Some(&format!("cid={}", self.upstream.site)));
        let push = Push { url, upstream: self.upstream.clone(), hub: self.hub.clone(), port: Arc::clone(&self.port) };
        let deadline = self.config.connect_deadline;
        async move {
            let mut backoff = Backoff::new(rand::rng().random());
            while stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.is_some() {
                let begun = Instant::now();
                if let Some(Err(error)) = stop.run_until_cancelled(push.once(&fed, deadline, &stop)).await {
                    tracing::warn!(stream = %fed.name, %error, "push failed; trying again");
                }
                backoff.held_for(begun.elapsed());
            }
        }
    }

    /// Tells the operator once per cause.
    fn failed(&self, error: &Error) {
        let problem = error.to_string();
        if self.state.borrow().problem.as_ref() != Some(&problem) {
            tracing::warn!(upstream = %self.upstream.url, site = self.upstream.site, problem, "cannot register; trying on");
        }
        self.state.send_replace(DialState { connected: 0, problem: Some(problem) });
    }
}

/// What a push needs.
struct Push {
    url: Url,
    upstream: Upstream,
    hub: Hub,
    port: Arc<dyn FlvPort>,
}

impl Push {
    async fn once(&self, fed: &Fed, deadline: Duration, stop: &CancellationToken) -> Result<(), PortError> {
        let mut subscriber = self.hub.subscribe(&fed.name, Viewer::by("push"));
        subscriber.ready(FIRST_FRAME).await?;
        let (websocket, _) = ws::connect(&self.url, HeaderMap::new(), &[], &self.upstream.tls, deadline).await?;
        metrics::pushed();
        tracing::info!(stream = %fed.name, upstream = %self.upstream.url, "pushing, as the m7s plugin does");
        self.port.push_m7s(subscriber, websocket, stop.clone()).await
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

async fn send(websocket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(SEND, websocket.send(message)).await, Ok(Ok(())))
}
