//! The other end: pushes a stream to a server and pulls one from a server.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_hub::{Ended, Next, Output, Publisher, Reason, Subscriber, TrackSet};
use sluicegate_net::tls::ClientTls;
use sluicegate_writers::Backlog;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::connection::sleep_until;
use crate::formats::{Form, taken};
use crate::intake::Intake;
use crate::line::Line;
use crate::protocol::{Address, Capabilities, ClientConfig, ClientEvent, ClientSession, Purpose};
use crate::{Error, Limits, Outputs, metrics};

/// How long the connection may take, TLS included.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// A server that takes nothing for this long is left.
const STALL: Duration = Duration::from_secs(15);

/// A connection to a server.
struct Client {
    session: ClientSession,
    line: Line,
}

impl Client {
    async fn connect(url: &Url, tls: &ClientTls, purpose: Purpose) -> Result<Self, Error> {
        if !matches!(url.scheme(), "rtmp" | "rtmps") {
            return Err(Error::Url);
        }
        let address = Address::parse(url).ok_or(Error::Url)?;
        let socket = sluicegate_net::dial(url, tls, CONNECT_WAIT).await.map_err(Error::Connect)?;
        socket.set_user_timeout(STALL)?;
        let config = ClientConfig { address, purpose };
        let session = ClientSession::new(config, rand::random(), Instant::now().into_std());
        Ok(Self { session, line: Line::new(socket, STALL) })
    }

    /// Waits until the server takes or sends the stream.
    async fn started(&mut self) -> Result<(u32, Capabilities), Error> {
        loop {
            self.flush().await?;
            match self.session.poll_event(Instant::now().into_std())? {
                Some(ClientEvent::Started { stream, capabilities }) => return Ok((stream, capabilities)),
                Some(ClientEvent::Ended) => return Err(Error::Closed),
                Some(ClientEvent::Media(_)) => continue,
                None => self.flush().await?,
            }
            let deadline = self.session.poll_timeout().map(Instant::from_std);
            tokio::select! {
                read = self.line.read() => self.session.handle_bytes(read?.ok_or(Error::Closed)?),
                () = sleep_until(deadline) => self.session.handle_timeout(Instant::now().into_std())?,
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let mut queue: Backlog = std::iter::from_fn(|| self.session.poll_output()).collect();
        if queue.is_empty() { Ok(()) } else { self.line.write(&mut queue).await }
    }

    async fn goodbye(&mut self) {
        self.session.finish();
        if self.flush().await.is_ok() {
            self.line.goodbye().await;
        }
    }
}

/// Pushes the stream to `url` until it ends, `stop` is cancelled or the server closes. `started` is called when the
/// server takes it.
///
/// # Errors
/// The server cannot be reached, refuses, breaks off, takes nothing for 15 s, or has said that it does not take the
/// stream's codec.
pub async fn push(
    url: &Url,
    tls: &ClientTls,
    subscriber: Subscriber,
    outputs: &Outputs,
    stop: CancellationToken,
    started: impl FnOnce(),
) -> Result<Reason, Error> {
    let opening = async {
        let mut client = Client::connect(url, tls, Purpose::Publish).await?;
        let begun = client.started().await?;
        Ok::<_, Error>((client, begun))
    };
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(Reason::Finished) };
    let (client, (stream, capabilities)) = opened?;
    metrics::pushed();
    started();
    let output = outputs.for_peer(&capabilities);
    let form = Form { stream, multitrack: capabilities.multitrack(), publishes: true, left_out: None };
    let (tracks, queue) = (None, Backlog::default());
    let mut push = Push { client, subscriber, output, capabilities, form, tracks, queue };
    let done = push.run(&stop).await;
    if !matches!(done, Err(Error::Closed | Error::Io(_) | Error::Stalled { .. })) {
        push.client.goodbye().await;
    }
    done
}

struct Push {
    client: Client,
    subscriber: Subscriber,
    output: Output,
    capabilities: Capabilities,
    form: Form,
    tracks: Option<Arc<TrackSet>>,
    queue: Backlog,
}

impl Push {
    async fn run(&mut self, stop: &CancellationToken) -> Result<Reason, Error> {
        loop {
            let ended = self.gather()?;
            let bytes = self.queue.bytes();
            if bytes > 0 {
                self.client.line.write(&mut self.queue).await?;
                self.subscriber.sent(bytes);
            }
            if let Some(reason) = ended {
                return Ok(reason);
            }
            if bytes > 0 && !stop.is_cancelled() {
                continue;
            }
            tokio::select! {
                () = self.subscriber.changed() => {}
                read = self.client.line.read() => {
                    self.client.session.handle_bytes(read?.ok_or(Error::Closed)?);
                    while let Some(event) = self.client.session.poll_event(Instant::now().into_std())? {
                        if event == ClientEvent::Ended {
                            return Ok(Reason::Finished);
                        }
                    }
                    self.client.flush().await?;
                }
                () = stop.cancelled() => return Ok(Reason::Finished),
            }
        }
    }

    /// Takes batches from the cursor, as many as one write should hold. Returns why the stream has ended, if it has.
    fn gather(&mut self) -> Result<Option<Reason>, Error> {
        while self.queue.has_room() {
            let batch = match self.subscriber.try_next() {
                Next::Batch(batch) => batch,
                Next::Empty => break,
                Next::Ended(reason) => return Ok(Some(reason)),
            };
            if !self.tracks.as_ref().is_some_and(|tracks| Arc::ptr_eq(tracks, &batch.tracks)) {
                self.form.left_out = taken(&batch.tracks, &self.capabilities)?;
                if let Some(codec) = self.form.left_out {
                    tracing::warn!(stream = %self.subscriber.name(), %codec, "the server does not take the sound; it is left out");
                }
                self.queue.push(self.form.head(&batch.tracks, batch.start()));
                self.tracks = Some(Arc::clone(&batch.tracks));
            }
            let body = if self.form.is_shared() { self.output.body(&batch) } else { self.form.body(&batch) };
            self.queue.push(body);
        }
        Ok(None)
    }
}

/// Publishes the stream at `url` until it ends. The publisher is made when the server sends the stream.
///
/// # Errors
/// The server cannot be reached, refuses or breaks off, or what it sends is damaged or late; or the stream was cut here.
pub async fn pull(
    url: &Url,
    tls: &ClientTls,
    limits: Limits,
    publish: impl FnOnce() -> Result<Publisher, sluicegate_hub::Error>,
) -> Result<(), Error> {
    let mut client = Client::connect(url, tls, Purpose::Play).await?;
    client.started().await?;
    client.line.expect_media();
    let publisher = publish()?;
    metrics::pulled();
    let done = feed(&mut client, &publisher, limits).await;
    drop(publisher);
    if matches!(done, Err(Error::Hub(_))) {
        client.goodbye().await;
    }
    done
}

async fn feed(client: &mut Client, publisher: &Publisher, limits: Limits) -> Result<(), Error> {
    let mut intake = Intake::new(limits);
    let closed = publisher.closed();
    tokio::pin!(closed);
    loop {
        while let Some(event) = client.session.poll_event(Instant::now().into_std())? {
            match event {
                ClientEvent::Media(message) => intake.take(message, publisher)?,
                ClientEvent::Ended => return Ok(()),
                ClientEvent::Started { .. } => {}
            }
        }
        client.flush().await?;
        tokio::select! {
            read = client.line.read() => match read? {
                Some(bytes) => {
                    intake.hear();
                    client.session.handle_bytes(bytes);
                }
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(intake.deadline()) => return Err(intake.late()),
            reason = &mut closed => return Err(sluicegate_hub::Error::from(Ended { reason }).into()),
        }
    }
}
