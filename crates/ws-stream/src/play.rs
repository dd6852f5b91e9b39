//! Viewers: by WebSocket on the sharded writers, by HTTP as a response body over the same cursors.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use sluicegate_hub::{Batch, Next, State, Subscriber};
use sluicegate_net::handover::{HandOver, Possible};
use sluicegate_net::listener::Socket;
use sluicegate_net::ws;
use sluicegate_writers::Viewer;

use crate::feed::Feed;
use crate::formats::Container;
use crate::service::Shared;
use crate::target::Target;
use crate::watching::{Playback, Watching};
use crate::{Error, answer};

/// How long an upgrade may take from our 101 to the socket.
pub(crate) const UPGRADE_WAIT: Duration = Duration::from_secs(10);

impl Shared {
    /// A viewer by WebSocket: the socket goes to a writer at once and waits there for the stream.
    pub(crate) fn play_websocket(self: &Arc<Self>, mut request: Request, target: &Target) -> Result<Response, Error> {
        let viewer = Self::viewer(&request, target.choice, websocket_protocol(target.container));
        let (response, accepted) = match ws::accept(&mut request, &[], ws::Config::default()) {
            Ok(accepted) => accepted,
            Err(problem) => return Ok(problem.into_response()),
        };
        let playback = self.playback(self.hub.subscribe(&target.name, viewer), target.container, true);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            match tokio::time::timeout(UPGRADE_WAIT, accepted.socket()).await {
                Ok(Ok((socket, read_ahead))) => {
                    shared.tune(&socket);
                    shared.give(playback.websocket(Box::new(socket), &read_ahead));
                }
                Ok(Err(error)) => tracing::debug!(%error, "a viewer left during its upgrade"),
                Err(_) => tracing::debug!("an upgrade took too long"),
            }
        });
        Ok(response)
    }

    /// A viewer by HTTP: waits for the stream, then streams it as a body.
    pub(crate) async fn play_http(self: &Arc<Self>, request: Request, target: &Target) -> Result<Response, Error> {
        let viewer = Self::viewer(&request, target.choice, http_protocol(target.container));
        let mut subscriber = self.hub.subscribe(&target.name, viewer);
        let can_hand_over = request.extensions().get::<Possible>().is_some();
        drop(request);
        subscriber.ready(self.config.http_wait).await?;
        let first = match subscriber.try_next() {
            Next::Batch(batch) => batch,
            Next::Ended(reason) => return Err(sluicegate_hub::Error::from(sluicegate_hub::Ended { reason }).into()),
            // The stream was there a moment ago and has begun anew; its next batch is on its way.
            Next::Empty => subscriber.next().await.map_err(sluicegate_hub::Error::from)?,
        };
        target.container.carries(&first.tracks)?;
        if can_hand_over {
            return Ok(self.hand_over(subscriber, target.container, first));
        }
        let feed = Feed::new(subscriber, self.outputs.bare(target.container), target.container, first);
        Ok(answer::stream(target.container, feed.into_body(self.config.viewer_stall)))
    }

    /// A response whose socket goes to a writer once its head is sent.
    fn hand_over(self: &Arc<Self>, subscriber: Subscriber, container: Container, first: Arc<Batch>) -> Response {
        let (shared, playback) = (Arc::clone(self), self.playback(subscriber, container, false));
        let hand_over = HandOver::new(move |socket: Socket, _read_ahead| {
            shared.tune(&socket);
            shared.give(playback.bare(Box::new(socket), &first));
        });
        // A body of unknown length, so that no layer above declares one; it is not sent.
        let body = Body::from_stream(futures_util::stream::empty::<io::Result<Bytes>>());
        let mut response = answer::stream(container, body);
        response.extensions_mut().insert(hand_over);
        response
    }

    /// The head of the response to GET, without waiting and without demand.
    pub(crate) fn describe(&self, target: &Target) -> Result<Response, Error> {
        match self.hub.stream(&self.hub.choose(&target.name, target.choice)).map(|stream| stream.state) {
            Some(State::Live | State::Away | State::Offered) => Ok(answer::stream(target.container, Body::empty())),
            _ => Err(sluicegate_hub::Error::NotFound { name: target.name.clone() }.into()),
        }
    }

    fn playback(&self, subscriber: Subscriber, container: Container, websocket: bool) -> Playback {
        let output = if websocket { self.outputs.websocket(container) } else { self.outputs.bare(container) };
        let (wait, stall) = (self.config.websocket_wait, self.config.viewer_stall);
        Playback { subscriber, output, container, wait, stall }
    }

    /// Gives a viewer to a writer of its stream.
    fn give(&self, viewer: Viewer<Watching>) {
        self.writers.add(viewer, self.shutdown.clone().cancelled_owned());
    }

    /// Keeps the kernel from hiding a slow or dead viewer.
    fn tune(&self, socket: &Socket) {
        let set = socket
            .set_notsent_lowat(self.config.unsent_bytes)
            .and_then(|()| socket.set_user_timeout(self.config.viewer_stall));
        if let Err(error) = set {
            tracing::debug!(%error, "socket options");
        }
    }
}

const fn http_protocol(container: Container) -> &'static str {
    match container {
        Container::Flv => "http-flv",
        Container::Mp4 => "http-mp4",
    }
}

const fn websocket_protocol(container: Container) -> &'static str {
    match container {
        Container::Flv => "ws-flv",
        Container::Mp4 => "ws-mp4",
    }
}
