//! The switchboard on sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::SplitStream;
use futures_util::{Sink, SinkExt, StreamExt};
use http::StatusCode;
use sluicegate_net::allowance::Allowance;
use sluicegate_net::problem::Problem;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::ws::{self, Accepted, WebSocket};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Delivery, Limits, Refusal, SocketId, Switchboard, Target};

/// How long an upgrade may take from our 101 to the socket.
const UPGRADE: Duration = Duration::from_secs(10);
/// How long one message may take to be accepted by a connection.
const SEND: Duration = Duration::from_secs(5);
/// Messages that wait for one socket. A newcomer gets an offer and some candidates of everybody in its room.
const WAITING: usize = 4_096;

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many sockets it takes.
    pub limits: Limits,
    /// Tokens of which one must be shown in the path; without any everybody may connect. Default none.
    pub tokens: Vec<String>,
    /// Bytes of one message. Default 256 KiB: an offer of a browser has some 10 KiB.
    pub max_message_bytes: usize,
    /// Messages that a socket may send at once. Default 400: the offer and candidates to each of a hundred newcomers.
    pub burst: u32,
    /// Messages a second that it may send for long. Default 50.
    pub rate: u32,
    /// Between two pings; a socket without a pong since the last is dropped. Default 30 s, the existing server's.
    pub ping: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            tokens: Vec::new(),
            max_message_bytes: 256 << 10,
            burst: 400,
            rate: 50,
            ping: Duration::from_secs(30),
        }
    }
}

/// The signalling server. Clones share it.
#[derive(Debug, Clone)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    shutdown: Shutdown,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    board: Switchboard,
    queues: HashMap<SocketId, mpsc::Sender<Message>>,
}

impl Service {
    /// A server that closes its sockets when `shutdown` begins.
    #[must_use]
    pub fn new(config: Config, shutdown: Shutdown) -> Self {
        let shared = Shared { board: Switchboard::new(config.limits.clone()), queues: HashMap::new() };
        Self(Arc::new(Inner { config, shutdown, shared: Mutex::new(shared) }))
    }

    /// Answers every path; those that name no uid with 404.
    pub fn router(&self) -> Router {
        Router::new().fallback(take).with_state(self.clone())
    }

    /// Sockets and rooms.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let shared = self.0.lock();
        (shared.board.sockets(), shared.board.rooms())
    }
}

async fn take(State(Service(inner)): State<Service>, mut request: Request) -> Response {
    let Some(target) = Target::parse(request.uri().path()) else {
        let detail = "connect to /uid/UID, /ROOM/uid/UID or /ROOM/TOKEN/uid/UID; a UID has 36 of A-Z a-z 0-9 _ -";
        return Problem::new(StatusCode::NOT_FOUND).detail(detail).into_response();
    };
    if !inner.admits(&target) {
        metrics::counter!("sluicegate_p2p_signal_refused_total", "why" => "token").increment(1);
        let detail = "a token is needed: /ROOM/TOKEN/uid/UID";
        return Problem::new(StatusCode::UNAUTHORIZED).detail(detail).into_response();
    }
    let config = ws::Config { max_message_bytes: inner.config.max_message_bytes, ..ws::Config::default() };
    match ws::accept(&mut request, &[], config) {
        Ok((response, accepted)) => {
            tokio::spawn(async move { inner.serve(target, accepted).await });
            response
        }
        Err(problem) => problem.into_response(),
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, target: &Target) -> bool {
        let shown = target.token.as_ref();
        self.config.tokens.is_empty() || shown.is_some_and(|shown| self.config.tokens.contains(shown))
    }

    async fn serve(&self, target: Target, accepted: Accepted) {
        // The program ends when its sockets are told.
        let _guard = self.shutdown.guard();
        let mut websocket = match tokio::time::timeout(UPGRADE, accepted.websocket()).await {
            Ok(Ok(websocket)) => websocket,
            Ok(Err(error)) => return tracing::debug!(%error, "a peer left during its upgrade"),
            Err(_) => return tracing::debug!("a peer's upgrade took too long"),
        };
        let (queue, waiting) = mpsc::channel(WAITING);
        let id = match self.join(&target, queue) {
            Ok(id) => id,
            Err(refusal) => {
                tracing::warn!(uid = target.uid, room = target.room, %refusal, "a peer was refused");
                let frame = CloseFrame { code: 1013.into(), reason: refusal.to_string().into() };
                // A peer that takes nothing is left as it is.
                let _ = tokio::time::timeout(SEND, websocket.close(Some(frame))).await;
                return;
            }
        };
        tracing::debug!(uid = target.uid, room = target.room, "online");
        let why = self.run(id, websocket, waiting).await;
        tracing::debug!(uid = target.uid, room = target.room, why, "offline");
        let mut shared = self.lock();
        shared.queues.remove(&id);
        let out = shared.board.leave(id);
        shared.deliver(out);
    }

    fn join(&self, target: &Target, queue: mpsc::Sender<Message>) -> Result<SocketId, Refusal> {
        let mut shared = self.lock();
        let (id, out) = shared.board.join(target)?;
        shared.queues.insert(id, queue);
        shared.deliver(out);
        Ok(id)
    }

    /// Returns why the socket's life is over.
    async fn run(&self, id: SocketId, websocket: WebSocket, mut waiting: mpsc::Receiver<Message>) -> &'static str {
        let (mut sink, stream) = websocket.split();
        let allowance = Allowance::new(Instant::now(), self.config.burst, self.config.rate);
        let mut hearing = Hearing { stream, has_answered: true, allowance };
        let mut pings = tokio::time::interval(self.config.ping);
        pings.tick().await;
        loop {
            let sent = tokio::select! {
                heard = hearing.next() => match heard {
                    Ok(Some((payload, text))) => {
                        let mut shared = self.lock();
                        let out = shared.board.handle_message(id, &payload, text);
                        shared.deliver(out);
                        continue;
                    }
                    Ok(None) => continue,
                    Err(why) => return why,
                },
                message = waiting.recv() => match message {
                    Some(message) => send(&mut sink, message).await,
                    // Whoever empties its queue too slowly has lost it.
                    None => return "it takes too little",
                },
                _ = pings.tick() => {
                    if !std::mem::replace(&mut hearing.has_answered, false) {
                        return "it does not answer pings";
                    }
                    send(&mut sink, Message::Ping(Bytes::new())).await
                }
                () = self.shutdown.begun() => {
                    let frame = CloseFrame { code: 1001.into(), reason: "the server ends".into() };
                    send(&mut sink, Message::Close(Some(frame))).await;
                    return "the server ends";
                }
            };
            if !sent {
                return "it takes nothing";
            }
        }
    }
}

impl Shared {
    /// Queues messages for their sockets; a socket whose queue is full loses its place.
    fn deliver(&mut self, out: Vec<Delivery>) {
        metrics::counter!("sluicegate_p2p_signal_messages_total").increment(out.len() as u64);
        metrics::gauge!("sluicegate_p2p_signal_sockets").set(self.board.sockets() as f64);
        for Delivery { to, payload, text } in out {
            let message = match text {
                true => String::from_utf8(payload.to_vec()).map(Message::text).unwrap_or(Message::Binary(payload)),
                false => Message::Binary(payload),
            };
            let full = self.queues.get(&to).is_some_and(|queue| queue.try_send(message).is_err());
            if full {
                metrics::counter!("sluicegate_p2p_signal_overflows_total").increment(1);
                self.queues.remove(&to);
            }
        }
    }
}

/// What comes from a socket.
struct Hearing {
    stream: SplitStream<WebSocket>,
    has_answered: bool,
    allowance: Allowance,
}

impl Hearing {
    /// The next message; `None` for what is none, an error at the end.
    async fn next(&mut self) -> Result<Option<(Bytes, bool)>, &'static str> {
        let message = match self.stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(_)) => return Err("its connection failed"),
            None => return Err("it left"),
        };
        let message = match message {
            Message::Text(text) => (Bytes::from(text), true),
            Message::Binary(bytes) => (bytes, false),
            Message::Close(_) => return Err("it left"),
            Message::Pong(_) => {
                self.has_answered = true;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        if self.allowance.take(Instant::now()) { Ok(Some(message)) } else { Err("it sends too much") }
    }
}

async fn send(sink: &mut (impl Sink<Message> + Unpin), message: Message) -> bool {
    matches!(tokio::time::timeout(SEND, sink.send(message)).await, Ok(Ok(())))
}
