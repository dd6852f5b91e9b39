//! The other end: pushes a stream to a server (`ANNOUNCE`, `RECORD`), packets on the connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluicegate_hub::{Batch, Reason, Subscriber};
use sluicegate_net::tls::ClientTls;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

mod session;
mod target;

pub use session::fuzz_client;
pub use target::RtspTarget;

use session::{ClientSession, Event, Place};

use crate::serve::Output;
use crate::serve::format::Numbers;
use crate::serve::line::{Line, Step, sleep_until};
use crate::serve::player::{Player, Way};
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
    let (mut client, batch) = opened?;
    metrics::pushed();
    started();
    let ways: [Option<Way>; MAX_TRACKS] = std::array::from_fn(|place| {
        let rtp = u8::try_from(place.saturating_mul(2)).ok()?;
        Some(Way::Interleaved(rtp, rtp.saturating_add(1)))
    });
    let (described, numbers) = (Arc::clone(&batch.tracks), Numbers::new(&batch.tracks));
    let mut player = Player::new(subscriber, output.clone(), described, numbers, ways);
    player.put(&batch, &mut client.queue)?;
    let done = client.run(&mut player, &stop).await;
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
    let mut client = Client { session, line: Line::new(socket, STALL), queue: VecDeque::new() };
    client.started().await?;
    Ok((client, batch))
}

/// A connection to a server.
struct Client {
    session: ClientSession,
    line: Line,
    queue: VecDeque<Bytes>,
}

impl Client {
    /// Waits until the server takes the stream.
    async fn started(&mut self) -> Result<(), Error> {
        loop {
            self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
            if let Some(bytes) = self.step().await? {
                self.session.handle_bytes(&bytes);
                if self.session.poll_event(Instant::now().into_std())? == Some(Event::Started) {
                    return Ok(());
                }
            }
        }
    }

    /// What arrives next; nothing when something else has happened.
    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
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

    async fn run(&mut self, player: &mut Player, stop: &CancellationToken) -> Result<Reason, Error> {
        loop {
            if self.queue.is_empty()
                && let Some(reason) = player.gather(&mut self.queue)?
            {
                return Ok(reason);
            }
            self.queue.extend(std::iter::from_fn(|| self.session.poll_output()));
            let idle = self.queue.is_empty();
            let before: usize = self.queue.iter().map(Bytes::len).sum();
            tokio::select! {
                read = self.step() => {
                    if let Some(bytes) = read? {
                        self.session.handle_bytes(&bytes);
                        self.session.poll_event(Instant::now().into_std())?;
                    }
                }
                () = player.next(idle) => {}
                () = stop.cancelled() => return Ok(Reason::Finished),
            }
            let after: usize = self.queue.iter().map(Bytes::len).sum();
            player.subscriber.sent(before.saturating_sub(after));
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
