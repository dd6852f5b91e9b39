//! A client that publishes.

use sluicegate_hub::{Ended, Publish, Publisher};
use tokio::time::Instant;

use crate::Error;
use crate::connection::Connection;
use crate::intake::Intake;
use crate::protocol::{Request, ServerEvent};

/// How a publisher's stream came to its end.
enum End {
    /// The client has ended it, and may publish another.
    Stream,
    /// The client or the server goes away.
    Connection,
}

impl Connection {
    /// Takes the publisher's place and feeds it until the client ends the stream. Viewers wait a while for another
    /// publisher then, as after a lost connection: encoders say goodbye also when they restart.
    pub(crate) async fn publish(&mut self, request: &Request) -> Result<(), Error> {
        let by = Publish { replace: self.shared.config.replace_publisher, ..Publish::by("rtmp") };
        let by = by.from_address(self.peer);
        let admitted = self.admitted(request, true);
        let publisher = match admitted.and_then(|name| Ok(self.shared.hub.publish(&name, by)?)) {
            Ok(publisher) => publisher,
            Err(error) => return self.refuse(error, true).await,
        };
        tracing::info!(peer = %self.peer, software = request.software, "publishing by RTMP");
        self.session.accept_publish();
        self.line.expect_media();
        match self.feed(&publisher).await {
            Ok(End::Stream) => {
                tracing::info!("the publisher has left");
                self.session.wait_again(Instant::now().into_std());
                Ok(())
            }
            Ok(End::Connection) => Err(Error::Closed),
            Err(error) => {
                tracing::info!(error = error.reason(), "the publisher's connection ended");
                drop(publisher);
                self.refuse(error, true).await
            }
        }
    }

    async fn feed(&mut self, publisher: &Publisher) -> Result<End, Error> {
        let mut intake = Intake::new(self.shared.config.limits());
        let closed = publisher.closed();
        tokio::pin!(closed);
        let shutdown = self.shutdown.clone();
        loop {
            while let Some(event) = self.session.poll_event()? {
                match event {
                    ServerEvent::Media(message) => intake.take(message, publisher)?,
                    _ => return Ok(End::Stream),
                }
            }
            self.flush().await?;
            tokio::select! {
                read = self.line.read() => match read? {
                    Some(bytes) => {
                        intake.hear();
                        self.session.handle_bytes(bytes);
                    }
                    None => return Ok(End::Connection),
                },
                () = tokio::time::sleep_until(intake.deadline()) => return Err(intake.late()),
                reason = &mut closed => return Err(sluicegate_hub::Error::from(Ended { reason }).into()),
                () = shutdown.begun() => return Ok(End::Connection),
            }
        }
    }
}
