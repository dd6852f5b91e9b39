//! The socket to the signalling server: dialled, kept alive, dialled again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sluicegate_net::allowance::Allowance;
use sluicegate_net::backoff::Backoff;
use sluicegate_net::causes;
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws::{self, WebSocket};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::wire;

/// How long the server may take to answer our call, and to take a message.
const PATIENCE: Duration = Duration::from_secs(5);
/// What we send at once and in a second: a server of ours takes 400 and 50, and ends the connection beyond it.
const BURST: u32 = 300;
const RATE: u32 = 40;

/// Speaks to the signalling server for as long as the program runs.
pub(super) struct Client {
    url: Url,
    tls: ClientTls,
    ping: Duration,
    incoming: mpsc::Sender<String>,
    outgoing: mpsc::Receiver<String>,
}

impl Client {
    pub(super) fn new(
        url: Url,
        tls: ClientTls,
        ping: Duration,
        incoming: mpsc::Sender<String>,
        outgoing: mpsc::Receiver<String>,
    ) -> Self {
        Self { url, tls, ping, incoming, outgoing }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::new(rand::random());
        let host = self.url.host_str().unwrap_or_default().to_owned();
        // An outage is one line in the log, and its end another.
        let mut told = false;
        loop {
            let wait = backoff.next_wait();
            tokio::select! {
                () = shutdown.begun() => return,
                () = self.discard(wait) => {}
            }
            let dial = ws::connect(&self.url, http::HeaderMap::new(), &[], &self.tls, PATIENCE);
            let dialled = tokio::select! {
                () = shutdown.begun() => return,
                dialled = dial => dialled,
            };
            let why = match dialled {
                Ok((websocket, _)) => {
                    tracing::info!(host, "signalling: connected");
                    told = false;
                    metrics::gauge!("sluicegate_p2p_signal_connected").set(1.0);
                    let start = Instant::now();
                    let why = tokio::select! {
                        () = shutdown.begun() => return,
                        why = self.talk(websocket) => why,
                    };
                    metrics::gauge!("sluicegate_p2p_signal_connected").set(0.0);
                    backoff.held_for(start.elapsed());
                    why
                }
                Err(error) => causes(&error),
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(host, why, "signalling: not connected; trying again");
            }
        }
    }

    /// Waits; what is said meanwhile reaches nobody, and its receivers call again.
    async fn discard(&mut self, wait: Duration) {
        let forever = async {
            while self.outgoing.recv().await.is_some() {}
            std::future::pending::<()>().await;
        };
        // Its end is the time's.
        let _ = tokio::time::timeout(wait, forever).await;
    }

    /// Returns why the connection is over.
    async fn talk(&mut self, websocket: WebSocket) -> String {
        let (mut sink, mut stream) = websocket.split();
        let mut allowance = Allowance::new(Instant::now(), BURST, RATE);
        let mut heard = tokio::time::Instant::now();
        let mut pings = tokio::time::interval(self.ping);
        pings.tick().await;
        let mut first = Some(wire::HELLO.to_owned());
        loop {
            let silent = heard + self.ping * 5 / 2;
            let ready = allowance.next(Instant::now());
            let message = tokio::select! {
                message = stream.next() => {
                    heard = tokio::time::Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            if self.incoming.send(text.as_str().to_owned()).await.is_err() {
                                return "the node ends".to_owned();
                            }
                            continue;
                        }
                        // Our server keeps the kind of frame that a peer has chosen.
                        Some(Ok(Message::Binary(bytes))) => {
                            let text = String::from_utf8_lossy(&bytes).into_owned();
                            if self.incoming.send(text).await.is_err() {
                                return "the node ends".to_owned();
                            }
                            continue;
                        }
                        Some(Ok(Message::Close(_))) | None => return "the server hung up".to_owned(),
                        Some(Ok(_)) => continue,
                        Some(Err(error)) => return causes(&error),
                    }
                }
                Some(text) = next(&mut first, &mut self.outgoing, ready) => {
                    allowance.take(Instant::now());
                    Message::text(text)
                }
                _ = pings.tick() => Message::Ping(Bytes::new()),
                () = tokio::time::sleep_until(silent) => return "the server is silent".to_owned(),
            };
            match tokio::time::timeout(PATIENCE, sink.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return causes(&error),
                Err(_) => return "the server takes nothing".to_owned(),
            }
        }
    }
}

/// The next message to send, once the allowance has room for it.
async fn next(
    first: &mut Option<String>,
    outgoing: &mut mpsc::Receiver<String>,
    ready: Option<Instant>,
) -> Option<String> {
    if let Some(at) = ready {
        tokio::time::sleep_until(at.into()).await;
    }
    match first.take() {
        Some(text) => Some(text),
        None => outgoing.recv().await,
    }
}
