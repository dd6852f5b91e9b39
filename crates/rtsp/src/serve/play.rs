//! A client that plays: by TCP a writer of the stream has its socket, by UDP it has a task of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sluicegate_hub::{Batch, Choice, Next, StreamName, Subscriber};
use sluicegate_writers::{Backlog, Feed, Viewer};
use tokio::time::Instant;

use super::connection::{Connection, Described};
use super::line::{Step, sleep_until};
use super::player::{Outcome, Player};
use super::share::Share;
use super::udp::Ports;
use crate::Error;
use crate::server::transport::Transport;
use crate::server::{Event, MAX_TRACKS};

/// A player that has been told where its packets begin.
pub(super) struct Playback {
    subscriber: Subscriber,
    share: Share,
    first: Arc<Batch>,
}

/// Where the packets of a track go by UDP, and its reports.
type Way = (SocketAddr, SocketAddr);

/// A packet to be sent by UDP.
struct Datagram {
    to: SocketAddr,
    is_report: bool,
    bytes: Bytes,
}

/// A player by UDP.
struct ByUdp {
    playback: Playback,
    ports: Arc<Ports>,
    ways: [Option<Way>; MAX_TRACKS],
    datagrams: VecDeque<Datagram>,
}

impl Connection {
    /// Answers `PLAY`: packets begin at the newest key frame of this moment, not that of the description.
    pub(super) async fn play(&mut self) -> Result<Playback, Error> {
        let Some(Described { name, mut share, hold }) = self.described.take() else { return Err(Error::Closed) };
        let mut subscriber = self.subscribe(&name, Choice::Exact);
        subscriber.ready(self.visit.shared.config.wait).await?;
        drop(hold);
        let Next::Batch(first) = subscriber.try_next() else { return Err(Error::Closed) };
        let body = share.body(&first, &subscriber)?;
        let places = self.session.tracks().into_iter().enumerate().filter_map(|(place, track)| track.map(|_| place));
        let info = share.info(&self.session.base(), places, &body, &first);
        self.session.accept_play(info);
        tracing::debug!(peer = %self.visit.peer, stream = %name, "playing by RTSP");
        Ok(Playback { subscriber, share, first })
    }

    /// Gives the connection to one of the stream's writers, until the stream ends, or the client ends it or leaves.
    pub(super) async fn hand_over(mut self, Playback { subscriber, share, first }: Playback) {
        let channels = self.session.tracks().map(|track| match track {
            Some(Transport::Interleaved(rtp, rtcp)) => Some((rtp, rtcp)),
            _ => None,
        });
        let mut feed = Feed::new(subscriber);
        std::iter::from_fn(|| self.session.poll_output()).for_each(|answer| feed.push(answer));
        let (writers, shutdown) = (self.visit.shared.writers.clone(), self.visit.shutdown.clone());
        let mut player = Player::new(self, share, channels);
        match player.put(&first, &mut feed) {
            Ok(()) => writers.add(Viewer::new(feed, player), async move { shutdown.begun().await }),
            Err(error) => player.into_connection().end(Err(error)).await,
        }
    }

    /// Goes on when a writer gives the connection back, with what is to be written before anything else.
    pub(super) async fn resume(mut self, share: Share, name: StreamName, queue: Backlog, outcome: Outcome) {
        self.queue = queue;
        match outcome {
            Outcome::Failed(error) => return self.end(Err(error)).await,
            Outcome::Over(reason) => {
                if let Some(reason) = reason {
                    tracing::debug!(%reason, "the stream has ended for an RTSP player");
                }
                return self.end(Ok(())).await;
            }
            Outcome::Paused => self.described = Some(Described { name, share, hold: None }),
            Outcome::Ended => {}
        }
        self.run().await;
    }

    /// Where the tracks go that the client has set up, if they go by UDP.
    pub(super) fn udp_ways(&self) -> Option<[Option<Way>; MAX_TRACKS]> {
        let ways = self.session.tracks().map(|track| match track? {
            Transport::Udp(rtp, rtcp) => Some((self.visit.port(rtp), self.visit.port(rtcp))),
            Transport::Interleaved(..) => None,
        });
        ways.iter().any(Option::is_some).then_some(ways)
    }

    /// Sends the stream until it ends, which ends the connection, or the client ends it or pauses, which does not.
    pub(super) async fn play_by_udp(
        &mut self,
        playback: Playback,
        ways: [Option<Way>; MAX_TRACKS],
    ) -> Result<bool, Error> {
        let Some(ports) = self.visit.udp.clone() else { return Err(Error::Closed) };
        let first = Arc::clone(&playback.first);
        let mut player = ByUdp { playback, ports, ways, datagrams: VecDeque::new() };
        player.put(&first)?;
        loop {
            if player.datagrams.is_empty() {
                match player.playback.subscriber.try_next() {
                    Next::Batch(batch) => player.put(&batch)?,
                    Next::Empty => {}
                    Next::Ended(reason) => {
                        tracing::debug!(%reason, "the stream has ended for an RTSP player");
                        return Ok(false);
                    }
                }
            }
            self.queue_output();
            let deadline = self.session.poll_timeout().map(Instant::from_std);
            let shutdown = self.visit.shutdown.clone();
            tokio::select! {
                step = self.line.step(&mut self.queue) => match step? {
                    Step::Written(bytes) => player.playback.subscriber.sent(bytes),
                    Step::Read(None) => return Err(Error::Closed),
                    Step::Read(Some(bytes)) => match self.hear(bytes)? {
                        Some(Event::Ended) => return Ok(true),
                        Some(Event::Paused) => {
                            let Playback { subscriber, share, .. } = player.playback;
                            self.described = Some(Described { name: subscriber.name().clone(), share, hold: None });
                            return Ok(true);
                        }
                        _ => {}
                    },
                },
                () = player.next() => {}
                () = sleep_until(deadline) => self.session.handle_timeout(Instant::now().into_std())?,
                () = shutdown.begun() => return Ok(false),
            }
        }
    }
}

impl ByUdp {
    /// Queues a batch.
    fn put(&mut self, batch: &Batch) -> Result<(), Error> {
        let Self { playback: Playback { subscriber, share, .. }, ways, datagrams, .. } = self;
        let body = share.body(batch, subscriber)?;
        share.datagrams(batch, &body, |place, is_report, bytes| {
            if let Some(Some((rtp, rtcp))) = ways.get(place) {
                datagrams.push_back(Datagram { to: if is_report { *rtcp } else { *rtp }, is_report, bytes });
            }
        });
        Ok(())
    }

    /// Sends what there is, else waits for news of the stream. Nothing is lost when this is dropped before it is done.
    async fn next(&mut self) {
        if self.datagrams.is_empty() {
            return self.playback.subscriber.changed().await;
        }
        while let Some(Datagram { to, is_report, bytes }) = self.datagrams.front() {
            let sent = self.ports.send(*to, *is_report, bytes).await;
            self.playback.subscriber.sent(sent);
            self.datagrams.pop_front();
        }
    }
}
