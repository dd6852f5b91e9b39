//! Relays to and from other servers: the protocol `wcs` of the table of relays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use sluicegate_hub::StreamName;
use sluicegate_hub::relay::{Direction, Progress, Spec, Target, TargetError, Transfer};
use sluicegate_net::shutdown::Shutdown;
use sluicegate_net::tls::ClientTls;
use sluicegate_net::ws::{self, WebSocket};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use crate::client::{Action, Config, Ended, Session, Wish};
use crate::media::{Accept, Event, Failure, Leg, Media, MediaFuture, Offer};
use crate::message::Role;
use crate::registry::{Registry, Told};
use crate::{address, info};

/// How long one message may take to be accepted by a connection.
const SEND: Duration = Duration::from_secs(5);
/// How long the socket's own goodbye may take.
const CLOSE: Duration = Duration::from_millis(500);
/// The application that is there unless somebody made another.
const APP_KEY: &str = "defaultApp";

/// Publishes at other servers and plays from them.
pub(crate) struct WcsTarget {
    pub(crate) registry: Registry,
    pub(crate) media: Arc<dyn Media>,
    pub(crate) tls: ClientTls,
    pub(crate) config: Config,
    pub(crate) dial: Duration,
    pub(crate) shutdown: Shutdown,
}

impl Target for WcsTarget {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        let (media, tls, config, dial) = (Arc::clone(&self.media), self.tls.clone(), self.config.clone(), self.dial);
        let registry = self.registry.clone();
        // The program waits for the goodbye.
        let guard = self.shutdown.guard();
        Box::pin(async move {
            let _guard = guard;
            let role = match spec.direction {
                Direction::Push => Role::Publish,
                Direction::Pull => Role::Play,
            };
            let stopped = progress.stopped();
            let Some(websocket) = stopped.run_until_cancelled(connect(&spec.target, &tls, dial)).await else {
                return Ok(());
            };
            let mut websocket = websocket?;
            let wish = Wish {
                role,
                name: spec.remote.clone().unwrap_or_else(|| spec.stream.to_string()),
                media_session_id: uuid::Uuid::new_v4().to_string(),
                app_key: APP_KEY.to_owned(),
            };
            let patience = config.answer;
            let session = Session::new(config, wish.clone(), Instant::now());
            let (stream, accept, leg) = (spec.stream, None, None);
            let told = (role == Role::Publish).then(|| registry.listen(stream.as_str()));
            let mut relay = Relay { session, wish, stream, registry, told, media, progress, patience, accept, leg };
            let ended = relay.run(&mut websocket).await;
            relay.end().await;
            let _ = tokio::time::timeout(CLOSE, websocket.close(None)).await;
            match ended {
                Ended::Stopped => Ok(()),
                ended => Err(TargetError::from(ended)),
            }
        })
    }

    fn pulls(&self) -> bool {
        true
    }
}

/// Opens the address, and where its path is refused the other spelling of it.
async fn connect(target: &str, tls: &ClientTls, dial: Duration) -> Result<WebSocket, TargetError> {
    let url = address::canonical(target).ok_or("the address is none of ws: and wss:")?;
    let url: Url = url.parse()?;
    let first = ws::connect(&url, HeaderMap::new(), &[], tls, dial).await;
    let (websocket, _) = match (first, address::without_path(&url)) {
        (Err(sluicegate_net::Error::Refused { .. }), Some(bare)) => {
            ws::connect(&bare, HeaderMap::new(), &[], tls, dial).await?
        }
        (first, _) => first?,
    };
    Ok(websocket)
}

/// One relay's session with its media.
struct Relay {
    session: Session,
    wish: Wish,
    stream: StreamName,
    registry: Registry,
    /// What the publisher of the stream tells its players.
    told: Option<mpsc::Receiver<Told>>,
    media: Arc<dyn Media>,
    progress: Progress,
    /// How long the media engine may take.
    patience: Duration,
    accept: Option<Accept>,
    leg: Option<Leg>,
}

impl Relay {
    async fn run(&mut self, websocket: &mut WebSocket) -> Ended {
        let stopped = self.progress.stopped();
        let mut stopping = false;
        loop {
            while let Some(text) = self.session.poll_text() {
                let sent = tokio::time::timeout(SEND, websocket.send(Message::text(text))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    self.session.handle_closed();
                }
            }
            if let Some(action) = self.session.poll_action() {
                if let Some(ended) = self.act(action).await {
                    return ended;
                }
                continue;
            }
            let Some(due) = self.session.poll_timeout() else { return Ended::Closed };
            tokio::select! {
                message = websocket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if let Err(error) = self.session.handle_text(Instant::now(), text.as_str()) {
                            crate::metrics::unreadable();
                            tracing::debug!(error = &error as &dyn std::error::Error, "a server's text is skipped");
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => self.session.handle_closed(),
                    Some(Ok(_)) => {}
                },
                event = next(&mut self.leg) => self.hear(event),
                (kind, payload) = next_told(&mut self.told) => {
                    self.session.handle_event(Instant::now(), &kind, payload);
                }
                () = stopped.cancelled(), if !stopping => {
                    stopping = true;
                    self.session.stop(Instant::now());
                }
                () = tokio::time::sleep_until(due.into()) => self.session.handle_timeout(Instant::now()),
            }
        }
    }

    /// Ends the media and waits for it, so that a name into which it was pulled is free when the relay is over.
    async fn end(self) {
        let Self { accept, leg, wish, registry, stream, .. } = self;
        if wish.role == Role::Play {
            registry.unpublished(stream.as_str());
        }
        let Some(Leg { mut events, guard }) = leg else { return };
        drop((accept, guard));
        let over = async { while !matches!(events.recv().await, Some(Event::Ended(_)) | None) {} };
        let _ = tokio::time::timeout(CLOSE, over).await;
    }

    async fn act(&mut self, action: Action) -> Option<Ended> {
        match action {
            Action::Offer => {
                let offer = in_time(self.patience, self.media.offer(self.wish.role, self.stream.clone()));
                let stopped = self.progress.stopped();
                match stopped.run_until_cancelled(offer).await {
                    None => self.session.stop(Instant::now()),
                    Some(Ok(Offer { sdp, kinds, accept, leg })) => {
                        (self.accept, self.leg) = (Some(accept), Some(leg));
                        self.progress.asked(self.wish.media_session_id.clone());
                        self.session.handle_offer(Instant::now(), sdp, kinds);
                    }
                    Some(Err(failure)) => self.fail(&failure),
                }
            }
            Action::Accept(sdp) => {
                let accept = self.accept.take()?;
                if let Err(failure) = in_time(self.patience, accept(sdp)).await {
                    self.fail(&failure);
                }
            }
            Action::Up if self.wish.role == Role::Publish => {
                self.progress.publishing();
                for kind in self.registry.muted(self.stream.as_str()).events() {
                    self.session.handle_event(Instant::now(), kind, None);
                }
            }
            Action::Up => self.progress.playing(),
            Action::Tell { kind, payload } => self.registry.tell(self.stream.as_str(), &kind, payload.as_ref()),
            Action::Ended(ended) => return Some(ended),
        }
        None
    }

    fn hear(&mut self, event: Event) {
        if let Event::Ended(failure) = event {
            self.leg = None;
            tracing::info!(stream = %self.stream, why = failure.detail, "a relay's media ended");
            if failure.end.in_order {
                // The source has ended: the other side is told.
                self.session.stop(Instant::now());
            } else {
                self.fail(&failure);
            }
        }
    }

    fn fail(&mut self, failure: &Failure) {
        tracing::info!(stream = %self.stream, why = failure.detail, "a relay has no media");
        self.session.handle_media_end(failure.end.info);
    }
}

/// What an operation of the media engine comes to, at most after so long.
async fn in_time<T>(patience: Duration, operation: MediaFuture<T>) -> Result<T, Failure> {
    let done = tokio::time::timeout(patience, operation).await;
    done.unwrap_or_else(|_| Err(Failure::failed(info::FAILED, "the media engine takes too long")))
}

/// The next event of a leg; never without one.
async fn next(leg: &mut Option<Leg>) -> Event {
    match leg {
        Some(leg) => leg.events.recv().await.unwrap_or_else(|| Event::Ended(Failure::silent())),
        None => std::future::pending().await,
    }
}

/// The next thing that the publisher tells; never where nobody listens.
async fn next_told(told: &mut Option<mpsc::Receiver<Told>>) -> Told {
    match told {
        Some(receiver) => match receiver.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
