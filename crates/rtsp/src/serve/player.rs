//! What one player gets: its cursor, its numbers and its ways.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sluicegate_hub::{Batch, Next, Reason, Subscriber, TrackSet};
use sluicegate_media::{Codec, Tracks};
use tokio::time::Instant;

use super::format::{Numbers, Output, interleave};
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

/// What a look at the cursor has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As much as one write should hold; there may be more.
    Much,
    /// All that there is, perhaps nothing.
    All,
    /// The stream is over.
    End(Reason),
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
    space: BytesMut,
}

impl Player {
    pub(crate) fn new(
        subscriber: Subscriber,
        output: Output,
        described: Arc<TrackSet>,
        numbers: Numbers,
        ways: [Option<Way>; MAX_TRACKS],
    ) -> Self {
        let (seen, space) = (Arc::clone(&described), BytesMut::new());
        Self { subscriber, output, described, seen, numbers, ways, space }
    }

    /// `RTP-Info` before `batch`.
    pub(crate) fn info(&self, base: &str, batch: &Batch) -> String {
        let places = self.ways.iter().enumerate().filter(|(_, way)| way.is_some()).map(|(place, _)| place);
        self.numbers.info(base, places, batch.start())
    }

    /// Takes batches from the cursor: what goes by UDP is sent, the rest is put into the queue.
    pub(crate) fn gather(&mut self, queue: &mut VecDeque<Bytes>) -> Result<Found, Error> {
        let mut bytes = 0_usize;
        while bytes < GATHER_BYTES {
            match self.subscriber.try_next() {
                Next::Batch(batch) => bytes = bytes.saturating_add(self.put(&batch, queue)?),
                Next::Empty => return Ok(Found::All),
                Next::Ended(reason) => return Ok(Found::End(reason)),
            }
        }
        Ok(Found::Much)
    }

    /// Sends or queues a batch. Returns its bytes.
    pub(crate) fn put(&mut self, batch: &Batch, queue: &mut VecDeque<Bytes>) -> Result<usize, Error> {
        if !Arc::ptr_eq(&self.seen, &batch.tracks) {
            if !are_alike(&self.described, &batch.tracks) {
                return Err(Error::Changed);
            }
            self.seen = Arc::clone(&batch.tracks);
        }
        for (place, report) in self.numbers.reports(batch.start(), Instant::now()) {
            match self.ways.get(place).and_then(Option::as_ref) {
                Some(Way::Interleaved(_, rtcp)) => interleave(*rtcp, &report, Bytes::new(), queue),
                Some(Way::Udp { ports, rtcp, .. }) => drop(ports.send_report(*rtcp, &report)),
                None => {}
            }
        }
        let mut bytes = 0_usize;
        for packet in self.output.packets(batch) {
            let Some((place, header)) = self.numbers.number(&packet) else { continue };
            bytes = bytes.saturating_add(packet.payload.len());
            match self.ways.get(place).and_then(Option::as_ref) {
                Some(Way::Interleaved(rtp, _)) => interleave(*rtp, &header, packet.payload, queue),
                Some(Way::Udp { ports, rtp, .. }) => {
                    let sent = ports.send_packet(*rtp, &header, &packet.payload, &mut self.space);
                    self.subscriber.sent(sent);
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
