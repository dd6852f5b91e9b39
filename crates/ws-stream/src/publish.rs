//! Publishers: by WebSocket and by the body of a request.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt;
use http::StatusCode;
use sluicegate_hub::Publisher;
use sluicegate_net::ws;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tracing::Instrument;

use crate::formats::Container;
use crate::ingest::{self, Limits};
use crate::play::UPGRADE_WAIT;
use crate::service::Shared;
use crate::target::Target;
use crate::{Error, answer};

impl Shared {
    /// A publisher by WebSocket. A name that is taken is refused before the upgrade.
    pub(crate) fn publish_websocket(
        self: &Arc<Self>,
        mut request: Request,
        target: &Target,
    ) -> Result<Response, Error> {
        check_container(target)?;
        let config = ws::Config { max_message_bytes: self.config.max_message_bytes, ..ws::Config::default() };
        let (response, accepted) = match ws::accept(&mut request, &[], config) {
            Ok(accepted) => accepted,
            Err(problem) => return Ok(problem.into_response()),
        };
        let publisher = self.publisher(&request, &target.name, "ws-flv")?;
        let shared = Arc::clone(self);
        let span = tracing::info_span!("stream", name = %target.name);
        let task = async move {
            match tokio::time::timeout(UPGRADE_WAIT, accepted.websocket()).await {
                Ok(Ok(websocket)) => shared.ingest(websocket, publisher).await,
                Ok(Err(error)) => tracing::debug!(%error, "a publisher left during its upgrade"),
                Err(_) => tracing::debug!("an upgrade took too long"),
            }
        };
        tokio::spawn(task.instrument(span));
        Ok(response)
    }

    async fn ingest<S>(&self, websocket: WebSocketStream<S>, publisher: Publisher)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let done = tokio::select! {
            done = ingest::from_websocket(websocket, publisher, self.limits()) => done,
            () = self.shutdown.cancelled() => return,
        };
        report(&done);
    }

    /// A publisher by POST or PUT; the answer comes when the body has ended.
    pub(crate) async fn publish_http(&self, request: Request, target: &Target) -> Result<Response, Error> {
        check_container(target)?;
        let publisher = self.publisher(&request, &target.name, "http-flv")?;
        let chunks = request.into_body().into_data_stream();
        let chunks = chunks.map(|chunk| chunk.map_err(|error| Error::Io(std::io::Error::other(error))));
        let done = tokio::select! {
            done = ingest::from_chunks(chunks, publisher, self.limits()) => done,
            () = self.shutdown.cancelled() => return Ok(answer::going_away()),
        };
        report(&done);
        done?;
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    fn limits(&self) -> Limits {
        Limits { silence: self.config.publisher_silence, frame: self.config.publisher_frame }
    }
}

fn check_container(target: &Target) -> Result<(), Error> {
    if target.container == Container::Flv { Ok(()) } else { Err(Error::NotPublishable) }
}

/// What an operator may want to know of a publisher's end.
fn report(done: &Result<(), Error>) {
    match done {
        Ok(()) => tracing::info!("the publisher has left"),
        Err(error) => tracing::info!(error = ingest::reason(error), "the publisher's connection ended"),
    }
}
