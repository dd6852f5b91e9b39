//! The other end: pushes a stream to a server (`ANNOUNCE`, `RECORD`), packets on the connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sluicegate_hub::{Batch, Next, Reason, Subscriber};
use sluicegate_net::tls::ClientTls;
use sluicegate_writers::Backlog;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

mod session;
mod target;

pub use session::fuzz_client;
pub use target::RtspTarget;

use session::{ClientSession, Event, Place};

use crate::serve::Output;
use crate::serve::line::{Line, Step, sleep_until};
use crate::serve::share::Share;
use crate::server::MAX_TRACKS;
use crate::{Error, Violation, metrics, sdp};

/// How long the connection may take, TLS included.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// A server that takes nothing for this long is left.
const STALL: Duration = Duration::from_secs(15);
/// How long the stream may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// Pushes the stream to `url` until it ends, `stop` is cancelled or the server closes. `started` is called when the
/// server takes it. User and password of the URL are used for basic and digest authentication.
///
/// # Errors
/// The server cannot be reached, refuses, breaks off or takes nothing for 15 s; or nothing of the stream can go by RTSP.
pub async fn push(
    url: &Url,
    tls: &ClientTls,
    mut subscriber: Subscriber,
    output: &Output,
    stop: CancellationToken,
    started: impl FnOnce(),
) -> Result<Reason, Error> {
    let opening = open(url, tls, &mut subscriber);
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(Reason::Finished) };
    let (client, batch) = opened?;
    metrics::pushed();
    started();
    let share = Share::new(output.clone(), subscriber.name(), &batch.tracks);
    let mut pushing = Pushing { client, subscriber, share };
    let done = match pushing.put(&batch) {
        Ok(()) => pushing.run(&stop).await,
        Err(error) => Err(error),
    };
    let mut client = pushing.client;
    if !matches!(done, Err(Error::Closed | Error::Io(_) | Error::Stalled { .. })) {
        client.goodbye().await;
    }
    done
}

async fn open(url: &Url, tls: &ClientTls, subscriber: &mut Subscriber) -> Result<(Client, Arc<Batch>), Error> {
    let place = Place::parse(url).ok_or(Error::Url)?;
    let not_found = sluicegate_hub::Error::NotFound { name: subscriber.name().clone() };
    let batch = tokio::time::timeout(FIRST_FRAME, subscriber.next()).await.map_err(|_| not_found)?;
    let batch = batch.map_err(sluicegate_hub::Error::from)?;
    let description = sdp::describe(&subscriber.name().to_string(), &batch.tracks).ok_or(Violation::Description)?;
    let count = sdp::chosen(&batch.tracks).count();
    let socket = sluicegate_net::dial(url, tls, CONNECT_WAIT).await.map_err(Error::Connect)?;
    socket.set_user_timeout(STALL)?;
    let session = ClientSession::new(place, description, count, Instant::now().into_std());
    let mut client = Client { session, line: Line::new(socket, STALL), queue: Backlog::default() };
    client.started().await?;
    Ok((client, batch))
}

/// A connection to a server.
struct Client {
    session: ClientSession,
    line: Line,
    queue: Backlog,
}

impl Client {
    /// Waits until the server takes the stream.
    async fn started(&mut self) -> Result<(), Error> {
        loop {
            self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
            if let Some(bytes) = self.step().await? {
                self.session.handle_bytes(bytes);
                if self.session.poll_event(Instant::now().into_std())? == Some(Event::Started) {
                    return Ok(());
                }
            }
        }
    }

    /// What arrives next; nothing when something else has happened.
    async fn step(&mut self) -> Result<Option<BytesMut>, Error> {
        let deadline = self.session.poll_timeout().map(Instant::from_std);
        tokio::select! {
            step = self.line.step(&mut self.queue) => match step? {
                Step::Read(Some(bytes)) => Ok(Some(bytes)),
                Step::Read(None) => Err(Error::Closed),
                Step::Written(_) => Ok(None),
            },
            () = sleep_until(deadline) => {
                self.session.handle_timeout(Instant::now().into_std())?;
                Ok(None)
            }
        }
    }

    async fn goodbye(&mut self) {
        self.session.finish();
        self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
        if self.line.write(&mut self.queue).await.is_ok() {
            self.line.goodbye().await;
        }
    }
}

/// The channels of the tracks at their places.
const CHANNELS: [Option<(u8, u8)>; MAX_TRACKS] = [Some((0, 1)), Some((2, 3))];

/// A stream on its way to a server.
struct Pushing {
    client: Client,
    subscriber: Subscriber,
    share: Share,
}

impl Pushing {
    /// Queues a batch.
    fn put(&mut self, batch: &Batch) -> Result<(), Error> {
        let body = self.share.body(batch, &self.subscriber)?;
        let queue = &mut self.client.queue;
        self.share.interleave(batch, &body, &CHANNELS, |bytes| queue.push(bytes));
        Ok(())
    }

    /// Queues as many batches as one write should hold. Returns why the stream has ended, if it has.
    fn gather(&mut self) -> Result<Option<Reason>, Error> {
        while self.client.queue.has_room() {
            match self.subscriber.try_next() {
                Next::Batch(batch) => self.put(&batch)?,
                Next::Empty => break,
                Next::Ended(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }

    async fn run(&mut self, stop: &CancellationToken) -> Result<Reason, Error> {
        loop {
            if self.client.queue.is_empty()
                && let Some(reason) = self.gather()?
            {
                return Ok(reason);
            }
            let client = &mut self.client;
            client.queue.extend(std::iter::from_fn(|| client.session.poll_output()));
            let (idle, before) = (client.queue.is_empty(), client.queue.bytes());
            tokio::select! {
                read = client.step() => {
                    if let Some(bytes) = read? {
                        client.session.handle_bytes(bytes);
                        client.session.poll_event(Instant::now().into_std())?;
                    }
                }
                () = self.subscriber.changed(), if idle => {}
                () = stop.cancelled() => return Ok(Reason::Finished),
            }
            self.subscriber.sent(before.saturating_sub(self.client.queue.bytes()));
        }
    }
}
