//! A client that plays: it waits for the stream here, then a writer of the stream has its socket.

use sluicegate_hub::Viewer;
use tokio::time::Instant;

use crate::Error;
use crate::connection::Connection;
use crate::players::{Back, Outcome, Playback, Player};
use crate::protocol::{Request, ServerEvent};

impl Connection {
    /// Waits for the stream and has it sent, until it ends or the client leaves. Gives the connection back when the
    /// client may ask for another stream.
    pub(crate) async fn play(mut self, request: &Request) -> Result<Self, Error> {
        let name = match self.admitted(request, false) {
            Ok(name) => name,
            Err(error) => return self.refused(error).await,
        };
        let mut subscriber = self.shared.hub.subscribe(&name, Viewer::by("rtmp").from_address(self.peer));
        let wait = self.shared.config.wait;
        let ready = tokio::select! {
            ready = subscriber.ready(wait) => ready,
            left = self.until_it_leaves() => return left.map(|()| self),
        };
        if let Err(error) = ready {
            return self.refused(error.into()).await;
        }
        let output = self.shared.outputs.for_peer(&request.capabilities);
        // A codec that the client does not take is found before it is told that the stream starts.
        let playback = match Playback::begin(subscriber, output, request.capabilities.clone()) {
            Ok(playback) => playback,
            Err(error) => return self.refused(error).await,
        };
        self.session.accept_play();
        self.flush().await?;
        self.hand_over(playback).await
    }

    /// Lets a writer drive the socket until it is given back.
    async fn hand_over(self, playback: Playback) -> Result<Self, Error> {
        let Self { shared, session, line, peer, shutdown } = self;
        let (player, came_back) = Player::new(line, session, playback, shared.config.stall);
        shared.players.add(player, &shutdown);
        // A writer that has gone without a word went with the runtime.
        let Back { line, session, mut queue, outcome } = came_back.await.map_err(|_| Error::Closed)?;
        let mut connection = Self { shared, session, line, peer, shutdown };
        match outcome {
            Outcome::Failed(error) => Err(error),
            Outcome::Ended => {
                connection.line.write(&mut queue).await?;
                connection.session.wait_again(Instant::now().into_std());
                Ok(connection)
            }
            Outcome::Over(reason) => {
                connection.line.write(&mut queue).await?;
                connection.session.end(&reason);
                connection.flush().await?;
                connection.line.goodbye().await;
                Err(Error::Closed)
            }
        }
    }

    async fn refused(mut self, error: Error) -> Result<Self, Error> {
        self.refuse(error, false).await.map(|()| self)
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
