//! What one player gets: its cursor, its numbers and its ways.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sluicegate_hub::{Batch, Next, Reason, Subscriber, TrackSet};
use sluicegate_media::{Codec, Tracks};
use tokio::time::Instant;

use super::format::{INTERLEAVED_HEAD, Numbers, Output, interleave};
use super::udp::Ports;
use crate::Error;
use crate::sdp::chosen;
use crate::server::MAX_TRACKS;

/// Bytes gathered for one write. A player that falls behind holds on to no more than this and one batch.
const GATHER_BYTES: usize = 64 << 10;

/// Where a track's packets go.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Channels of the connection.
    Interleaved(u8, u8),
    /// Ports of the client.
    Udp { ports: Arc<Ports>, rtp: SocketAddr, rtcp: SocketAddr },
}

/// A packet to be sent by UDP.
struct Datagram {
    ports: Arc<Ports>,
    to: SocketAddr,
    is_report: bool,
    bytes: Bytes,
}

/// One player of one stream.
pub(crate) struct Player {
    pub(crate) subscriber: Subscriber,
    output: Output,
    /// The tracks as they were described, and as they were last seen.
    described: Arc<TrackSet>,
    seen: Arc<TrackSet>,
    numbers: Numbers,
    ways: [Option<Way>; MAX_TRACKS],
    datagrams: VecDeque<Datagram>,
}

impl Player {
    pub(crate) fn new(
        subscriber: Subscriber,
        output: Output,
        described: Arc<TrackSet>,
        numbers: Numbers,
        ways: [Option<Way>; MAX_TRACKS],
    ) -> Self {
        let (seen, datagrams) = (Arc::clone(&described), VecDeque::new());
        Self { subscriber, output, described, seen, numbers, ways, datagrams }
    }

    /// `RTP-Info` before `batch`.
    pub(crate) fn info(&self, base: &str, batch: &Batch) -> String {
        let places = self.ways.iter().enumerate().filter(|(_, way)| way.is_some()).map(|(place, _)| place);
        self.numbers.info(base, places, batch.start())
    }

    /// Whether nothing is to be sent by UDP.
    pub(crate) fn is_idle(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Sends what goes by UDP. Where there is nothing, it waits for news of the stream if the caller is `idle`, too.
    pub(crate) async fn next(&mut self, idle: bool) {
        let sends = !self.datagrams.is_empty();
        while let Some(Datagram { ports, to, is_report, bytes }) = self.datagrams.front() {
            let sent = ports.send(*to, *is_report, bytes).await;
            self.subscriber.sent(sent);
            self.datagrams.pop_front();
        }
        if idle {
            self.subscriber.changed().await;
        } else if !sends {
            std::future::pending::<()>().await;
        }
    }

    /// Takes batches from the cursor, as many as one write should hold. Returns why the stream has ended, if it has.
    pub(crate) fn gather(&mut self, queue: &mut VecDeque<Bytes>) -> Result<Option<Reason>, Error> {
        let mut bytes = 0_usize;
        while bytes < GATHER_BYTES {
            match self.subscriber.try_next() {
                Next::Batch(batch) => bytes = bytes.saturating_add(self.put(&batch, queue)?),
                Next::Empty => break,
                Next::Ended(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }

    /// Queues a batch. Returns its bytes.
    pub(crate) fn put(&mut self, batch: &Batch, queue: &mut VecDeque<Bytes>) -> Result<usize, Error> {
        if !Arc::ptr_eq(&self.seen, &batch.tracks) {
            if !are_alike(&self.described, &batch.tracks) {
                return Err(Error::Changed);
            }
            self.seen = Arc::clone(&batch.tracks);
        }
        let mut heads = BytesMut::new();
        let mut bytes = 0_usize;
        let packets = self.output.packets(batch);
        heads.reserve(packets.len().saturating_mul(INTERLEAVED_HEAD));
        for packet in packets {
            let Some((place, header)) = self.numbers.number(&packet) else { continue };
            bytes = bytes.saturating_add(packet.payload.len());
            match self.ways.get(place).and_then(Option::as_ref) {
                Some(Way::Interleaved(rtp, _)) => interleave(*rtp, &header, packet.payload, &mut heads, queue),
                Some(Way::Udp { ports, rtp: to, .. }) => {
                    let (ports, to, bytes) = (Arc::clone(ports), *to, [&header[..], &packet.payload].concat().into());
                    self.datagrams.push_back(Datagram { ports, to, is_report: false, bytes });
                }
                None => {}
            }
        }
        for (place, report) in self.numbers.reports(batch.start(), Instant::now()) {
            match self.ways.get(place).and_then(Option::as_ref) {
                Some(Way::Interleaved(_, rtcp)) => interleave(*rtcp, &report, Bytes::new(), &mut heads, queue),
                Some(Way::Udp { ports, rtcp: to, .. }) => {
                    let (ports, to, bytes) = (Arc::clone(ports), *to, report);
                    self.datagrams.push_back(Datagram { ports, to, is_report: true, bytes });
                }
                None => {}
            }
        }
        Ok(bytes)
    }
}

/// Whether a player of the one can go on with the other. Parameter sets of pictures go with the key frames; AAC tells its
/// configuration nowhere but in the description.
fn are_alike(described: &Tracks, now: &Tracks) -> bool {
    chosen(described).all(|track| {
        let same = chosen(now).find(|other| other.kind() == track.kind());
        same.is_none_or(|other| {
            let configured = track.codec != Codec::Aac || track.configuration == other.configuration;
            track.codec == other.codec && configured
        })
    })
}
