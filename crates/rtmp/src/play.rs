//! A client that plays: it waits for the stream here, then a writer of the stream has its socket.

use sluicegate_hub::{Choice, Viewer};
use sluicegate_writers::Backlog;
use tokio::time::Instant;

use crate::Error;
use crate::connection::{Connection, Run, ended};
use crate::player::{Outcome, Playback};
use crate::protocol::{Request, ServerEvent};

impl Connection {
    /// Waits for the stream and gives the connection to one of its writers, until the stream ends or the client leaves.
    /// Gives it back when the client has asked for nothing any more before there was a stream.
    pub(crate) async fn play(mut self, request: &Request) -> Result<Option<Self>, Error> {
        let chosen = self.admitted(request, false).and_then(|name| Ok(Choice::of(&name, &request.place.query)?));
        let (name, choice) = match chosen {
            Ok(chosen) => chosen,
            Err(error) => return self.refuse(error, false).await.map(|()| None),
        };
        let viewer = Viewer::by("rtmp").from_address(self.peer).choosing(choice);
        let mut subscriber = self.shared.hub.subscribe(&name, viewer);
        let wait = self.shared.config.wait;
        let ready = tokio::select! {
            ready = subscriber.ready(wait) => ready,
            left = self.until_it_leaves() => return left.map(|()| Some(self)),
        };
        if let Err(error) = ready {
            return self.refuse(error.into(), false).await.map(|()| None);
        }
        let output = self.shared.outputs.for_peer(&request.capabilities);
        // A codec that the client does not take is found before it is told that the stream starts.
        let playback = match Playback::begin(subscriber, output, request.capabilities.clone()) {
            Ok(playback) => playback,
            Err(error) => return self.refuse(error, false).await.map(|()| None),
        };
        self.session.accept_play();
        self.flush().await?;
        let (writers, shutdown) = (self.shared.writers.clone(), self.shutdown.clone());
        writers.add(playback.viewer(self), async move { shutdown.begun().await });
        Ok(None)
    }

    /// Goes on when a writer gives the connection back, with what is to be written before anything else.
    pub(crate) async fn resume(mut self, mut queue: Backlog, outcome: Outcome) {
        let peer = self.peer;
        let done = match outcome {
            Outcome::Failed(error) => Err(error),
            Outcome::Over(reason) => self.end(&mut queue, &reason).await.map(|()| Run::Done),
            Outcome::Ended => match self.line.write(&mut queue).await {
                Ok(()) => {
                    self.session.wait_again(Instant::now().into_std());
                    self.run().await
                }
                Err(error) => Err(error),
            },
        };
        ended(peer, &done);
    }

    /// Says that the stream is over.
    async fn end(&mut self, queue: &mut Backlog, reason: &str) -> Result<(), Error> {
        self.line.write(queue).await?;
        self.session.end(reason);
        self.flush().await?;
        self.line.goodbye().await;
        Ok(())
    }

    /// Takes what a client says while it waits, until it has left.
    async fn until_it_leaves(&mut self) -> Result<(), Error> {
        let shutdown = self.shutdown.clone();
        loop {
            let read = tokio::select! {
                read = self.line.read() => read?,
                () = shutdown.begun() => return Err(Error::Closed),
            };
            self.session.handle_bytes(read.ok_or(Error::Closed)?);
            // What the client asks for behind that end waits in the session.
            let ended = self.session.poll_event()? == Some(ServerEvent::Ended);
            self.flush().await?;
            if ended {
                self.session.wait_again(Instant::now().into_std());
                return Ok(());
            }
        }
    }
}
