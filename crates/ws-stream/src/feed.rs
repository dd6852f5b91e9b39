//! A viewer whose bytes go through the HTTP library: by HTTP/2, and where a socket cannot be handed over.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use sluicegate_hub::{Batch, Output, Subscriber, TrackSet};
use tokio::sync::mpsc;

use crate::formats::Container;
use crate::{Error, metrics};

/// Batches that wait for the viewer's window, beside the hub's ring.
const AHEAD: usize = 1;

/// The source of a response body.
#[derive(Debug)]
pub(crate) struct Feed {
    subscriber: Subscriber,
    output: Output,
    container: Container,
    tracks: Option<Arc<TrackSet>>,
    first: Option<Arc<Batch>>,
}

impl Feed {
    pub(crate) fn new(subscriber: Subscriber, output: Output, container: Container, first: Arc<Batch>) -> Self {
        Self { subscriber, output, container, tracks: None, first: Some(first) }
    }

    /// A body that gives up its viewer when it is not read for `stall`. HTTP/2 asks for bytes only while the viewer's
    /// window is open, so the watch is kept by a task beside it.
    pub(crate) fn into_body(mut self, stall: Duration) -> Body {
        let (chunks, body) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            loop {
                let chunk = tokio::select! {
                    chunk = self.next() => chunk,
                    () = chunks.closed() => return,
                };
                let Some(chunk) = chunk else { return };
                match tokio::time::timeout(stall, chunks.send(chunk)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        metrics::stalled();
                        drop(self);
                        // Whoever opens the window again is told; the wait costs a task and one chunk.
                        let late = io::Error::new(io::ErrorKind::TimedOut, "the viewer took nothing for too long");
                        let _ = chunks.send(Err(late)).await;
                        return;
                    }
                }
            }
        });
        let chunks = futures_util::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) });
        Body::from_stream(chunks)
    }

    /// The next bytes; `None` at the stream's end, an error when the container cannot carry what it has become.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let batch = match self.first.take() {
                Some(first) => first,
                None => self.subscriber.next().await.ok()?,
            };
            let bytes = match self.bytes(&batch) {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(io::Error::other(error))),
            };
            if !bytes.is_empty() {
                self.subscriber.sent(bytes.len());
                return Some(Ok(bytes));
            }
        }
    }

    /// The shared bytes of the batch, behind a head where the tracks are new.
    fn bytes(&mut self, batch: &Batch) -> Result<Bytes, Error> {
        let body = self.output.body(batch);
        if self.tracks.as_ref().is_some_and(|tracks| Arc::ptr_eq(tracks, &batch.tracks)) {
            return Ok(body);
        }
        self.container.carries(&batch.tracks)?;
        let head = self.output.head(batch, self.tracks.is_none());
        self.tracks = Some(Arc::clone(&batch.tracks));
        let mut both = BytesMut::with_capacity(head.len().saturating_add(body.len()));
        both.extend_from_slice(&head);
        both.extend_from_slice(&body);
        Ok(both.freeze())
    }
}
