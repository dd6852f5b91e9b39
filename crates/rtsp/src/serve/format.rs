//! What the hub's batches become: RTP payloads, made once for all players, and what one player adds to them.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use sluicegate_hub::{Batch, Format, Hub};
use sluicegate_media::{ClockRate, Kind, Timestamp, Tracks};
use sluicegate_rtp::{Packed, pack, track_clock_rate, unpack};
use tokio::time::Instant;

use crate::sdp::{chosen, payload_type};
use crate::wire::rtp::{self, Source};

/// Bytes of an RTP payload: an Ethernet frame less the headers of IPv6, UDP and RTP, and some for tunnels.
const PAYLOAD: usize = 1_400;
/// Between two sender reports (RFC 3550 section 6.2).
const REPORTS: Duration = Duration::from_secs(5);
/// `$`, channel, length and an RTP header.
pub(crate) const INTERLEAVED_HEAD: usize = 4 + rtp::HEADER;

/// RTP payloads of the first pictures and the first sound.
#[derive(Debug)]
struct Packets;

impl Format for Packets {
    fn name(&self) -> &'static str {
        "rtsp"
    }

    fn head(&self, _tracks: &Tracks, _first: bool, _at: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        let mut packed = BytesMut::new();
        for frame in &batch.frames {
            if let Some(track) = chosen(&batch.tracks).find(|track| track.id == frame.track) {
                pack(frame, track, PAYLOAD, &mut packed);
            }
        }
        packed.freeze()
    }
}

/// The registered output format of one hub; make it once and share it between the service and the pushes.
#[derive(Debug, Clone)]
pub struct Output(sluicegate_hub::Output);

impl Output {
    /// Registers the format.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        Self(hub.output(Packets))
    }

    /// How many batches were converted; with any number of players at most one conversion a batch.
    #[must_use]
    pub fn conversions(&self) -> u64 {
        self.0.conversions()
    }

    pub(crate) fn packets(&self, batch: &Batch) -> impl ExactSizeIterator<Item = Packed> + use<> {
        unpack(self.0.body(batch)).into_iter()
    }
}

/// One track of one player.
#[derive(Debug)]
struct Sent {
    kind: Kind,
    rate: ClockRate,
    source: Source,
    /// The first report follows the first packet: receivers cannot use one before.
    report_due: Option<Instant>,
}

/// The numbers of one player's tracks, at their places in the description.
#[derive(Debug)]
pub(crate) struct Numbers {
    tracks: Vec<Sent>,
    /// Media time 0 in the time since 1970.
    origin: Option<Timestamp>,
}

impl Numbers {
    pub(crate) fn new(tracks: &Tracks) -> Self {
        let sent = chosen(tracks).map(|track| Sent {
            kind: track.kind(),
            rate: track_clock_rate(track),
            source: Source::new(rand::random(), payload_type(track.codec), rand::random()),
            report_due: None,
        });
        Self { tracks: sent.collect(), origin: None }
    }

    pub(crate) fn ssrc(&self, place: usize) -> u32 {
        self.tracks.get(place).map_or(0, |track| track.source.ssrc)
    }

    pub(crate) fn has(&self, place: usize) -> bool {
        self.tracks.get(place).is_some()
    }

    /// `RTP-Info` of the tracks at these places: where the numbers are at media time `at`.
    pub(crate) fn info(&self, base: &str, places: impl Iterator<Item = usize>, at: Timestamp) -> String {
        let info = |place: usize| {
            let track = self.tracks.get(place)?;
            let (sequence, ticks) = (track.source.sequence, low32(at.ticks(track.rate)));
            Some(format!("url={base}/trackID={place};seq={sequence};rtptime={ticks}"))
        };
        places.filter_map(info).collect::<Vec<_>>().join(",")
    }

    /// A packet's place and its header.
    pub(crate) fn number(&mut self, packet: &Packed) -> Option<(usize, [u8; rtp::HEADER])> {
        let place = self.tracks.iter().position(|track| track.kind == packet.kind)?;
        let track = self.tracks.get_mut(place)?;
        track.report_due.get_or_insert_with(Instant::now);
        Some((place, track.source.header(packet.marker, packet.timestamp, packet.payload.len())))
    }

    /// Sender reports that are due, at media time `at`.
    pub(crate) fn reports(&mut self, at: Timestamp, now: Instant) -> Vec<(usize, Bytes)> {
        let mut reports = Vec::new();
        for (place, track) in self.tracks.iter_mut().enumerate() {
            if track.report_due.is_none_or(|due| now < due) {
                continue;
            }
            track.report_due = Some(now + REPORTS);
            // One origin for all tracks keeps them in step; it stays, so that a source's clock may run as it likes.
            let origin = *self.origin.get_or_insert_with(|| {
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from(since_1970).saturating_sub(at)
            });
            let ntp = rtp::ntp(origin.saturating_add(at));
            reports.push((place, track.source.report(ntp, low32(at.ticks(track.rate)))));
        }
        reports
    }
}

/// Adds a packet as interleaved data: `$`, channel and length before the header (RFC 2326 section 10.12). `heads` has the
/// memory of all heads of a batch.
pub(crate) fn interleave(
    channel: u8,
    header: &[u8],
    payload: Bytes,
    heads: &mut BytesMut,
    queue: &mut VecDeque<Bytes>,
) {
    let Ok(length) = u16::try_from(header.len().saturating_add(payload.len())) else { return };
    heads.put_slice(&[b'$', channel]);
    heads.put_u16(length);
    heads.put_slice(header);
    queue.extend([heads.split().freeze(), payload].into_iter().filter(|part| !part.is_empty()));
}

fn low32(ticks: i64) -> u32 {
    let [_, _, _, _, a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
