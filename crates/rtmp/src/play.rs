//! A client that plays: shared bytes in vectored writes, several batches at once for one that has fallen behind.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use sluicegate_hub::{Batch, Next, Output, Subscriber, TrackSet, Viewer};
use tokio::time::Instant;

use crate::Error;
use crate::connection::Connection;
use crate::formats::taken;
use crate::line::MAX_SLICES;
use crate::protocol::{Capabilities, Request, ServerEvent};

/// Bytes gathered for one write. A player that falls behind holds on to no more than this and one batch.
const GATHER_BYTES: usize = 64 << 10;

/// What is on its way to one player.
struct Playback<'a> {
    subscriber: Subscriber,
    output: Output,
    capabilities: &'a Capabilities,
    tracks: Option<Arc<TrackSet>>,
    queue: VecDeque<Bytes>,
}

/// What a look at the cursor has found.
enum Found {
    /// Something to write.
    Bytes,
    Nothing,
    /// The stream is over, as this says.
    End(String),
}

impl Connection {
    /// Waits for the stream and sends it, until it ends or the client leaves.
    pub(crate) async fn play(&mut self, request: &Request) -> Result<(), Error> {
        let name = match self.admitted(request, false) {
            Ok(name) => name,
            Err(error) => return self.refuse(error, false).await,
        };
        let mut subscriber = self.shared.hub.subscribe(&name, Viewer::by("rtmp").from_address(self.peer));
        let wait = self.shared.config.wait;
        let ready = tokio::select! {
            ready = subscriber.ready(wait) => ready,
            left = self.until_it_leaves() => return left,
        };
        if let Err(error) = ready {
            return self.refuse(error.into(), false).await;
        }
        let output = self.shared.outputs.for_peer(&request.capabilities);
        let capabilities = &request.capabilities;
        let mut playback = Playback { subscriber, output, capabilities, tracks: None, queue: VecDeque::new() };
        // The first look finds a codec that the client does not take before it is told that the stream starts.
        let mut found = match playback.gather() {
            Ok(found) => found,
            Err(error) => return self.refuse(error, false).await,
        };
        self.session.accept_play();
        self.flush().await?;
        let shutdown = self.shutdown.clone();
        let mut going = std::pin::pin!(shutdown.begun());
        loop {
            match found {
                Found::Bytes => playback.write(self).await?,
                Found::End(reason) => return self.end(&mut playback, &reason).await,
                Found::Nothing => tokio::select! {
                    biased;
                    () = playback.subscriber.changed() => {}
                    read = self.line.read() => {
                        let Some(bytes) = read? else { return Ok(()) };
                        if self.has_ended(bytes).await? {
                            self.session.wait_again(Instant::now().into_std());
                            return Ok(());
                        }
                    }
                    () = &mut going => return self.end(&mut playback, "the server is going away").await,
                },
            }
            found = playback.gather()?;
        }
    }

    /// Takes what a client says while it waits, until it has left.
    async fn until_it_leaves(&mut self) -> Result<(), Error> {
        let shutdown = self.shutdown.clone();
        loop {
            let read = tokio::select! {
                read = self.line.read() => read?,
                () = shutdown.begun() => return Err(Error::Closed),
            };
            let Some(bytes) = read else { return Err(Error::Closed) };
            if self.has_ended(bytes).await? {
                self.session.wait_again(Instant::now().into_std());
                return Ok(());
            }
        }
    }

    /// Takes what the client says. Returns whether it has ended the stream.
    async fn has_ended(&mut self, bytes: Bytes) -> Result<bool, Error> {
        self.session.handle_bytes(bytes);
        // What the client asks for behind that end waits in the session.
        let ended = self.session.poll_event()? == Some(ServerEvent::Ended);
        self.flush().await?;
        Ok(ended)
    }

    /// Sends what is left and says that it was the last.
    async fn end(&mut self, playback: &mut Playback<'_>, reason: &str) -> Result<(), Error> {
        playback.write(self).await?;
        self.session.end(reason);
        self.flush().await?;
        self.line.goodbye().await;
        Err(Error::Closed)
    }
}

impl Playback<'_> {
    /// Takes batches from the cursor, as many as one write should hold.
    fn gather(&mut self) -> Result<Found, Error> {
        let mut bytes = 0_usize;
        // Two slices a batch at most: a head and a body.
        while bytes < GATHER_BYTES && self.queue.len() + 2 <= MAX_SLICES {
            match self.subscriber.try_next() {
                Next::Batch(batch) => bytes = bytes.saturating_add(self.enqueue(&batch)?),
                Next::Empty => break,
                Next::Ended(reason) => return Ok(Found::End(reason.to_string())),
            }
        }
        Ok(if self.queue.is_empty() { Found::Nothing } else { Found::Bytes })
    }

    fn enqueue(&mut self, batch: &Batch) -> Result<usize, Error> {
        let known = self.tracks.as_ref().is_some_and(|tracks| Arc::ptr_eq(tracks, &batch.tracks));
        let head = if known {
            Bytes::new()
        } else {
            taken(&batch.tracks, self.capabilities)?;
            let head = self.output.head(batch, self.tracks.is_none());
            self.tracks = Some(Arc::clone(&batch.tracks));
            head
        };
        let body = self.output.body(batch);
        let bytes = head.len().saturating_add(body.len());
        self.queue.extend([head, body].into_iter().filter(|part| !part.is_empty()));
        Ok(bytes)
    }

    async fn write(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let bytes = self.queue.iter().map(Bytes::len).sum();
        connection.line.write(&mut self.queue).await?;
        self.subscriber.sent(bytes);
        Ok(())
    }
}
