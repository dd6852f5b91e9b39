//! What one player gets of a stream: its tracks, where its numbers are, and its reports.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use sluicegate_hub::{Batch, StreamName, Subscriber, TrackSet};
use sluicegate_media::{ClockRate, Codec, Timestamp, Tracks};
use sluicegate_rtp::track_clock_rate;
use tokio::time::Instant;

use super::format::{Body, FRAME_HEAD, HEAD, KINDS, Output, index};
use crate::Error;
use crate::sdp::chosen;
use crate::wire::rtp::{self, Source};

/// Between two sender reports (RFC 3550 section 6.2).
const REPORTS: Duration = Duration::from_secs(5);

/// One track of one player.
#[derive(Debug)]
struct Sent {
    /// Where it is in the description.
    place: usize,
    rate: ClockRate,
    source: Source,
    /// The number of the next packet. Others than the stream's follow what the player was too slow for, or paused.
    next: Option<u16>,
    /// The first report follows the first packet: receivers cannot use one before.
    report_due: Option<Instant>,
}

/// One player's share of a stream.
#[derive(Debug)]
pub(crate) struct Share {
    output: Output,
    /// The tracks as they were described, and as they were last seen.
    described: Arc<TrackSet>,
    seen: Arc<TrackSet>,
    /// By kind.
    sent: [Option<Sent>; KINDS],
    /// Media time 0 in the time since 1970.
    origin: Option<Timestamp>,
}

/// How much one player's numbers of each kind are ahead of the stream's; nothing of a kind that was not described.
type Shifts = [Option<u16>; KINDS];

impl Share {
    /// Nothing sent yet of the stream `name`, whose tracks are described to the player as these.
    pub(crate) fn new(output: Output, name: &StreamName, tracks: &Arc<TrackSet>) -> Self {
        let ssrc = output.sources(name);
        let mut sent = [None, None];
        for (place, track) in chosen(tracks).enumerate() {
            let at = index(track.kind());
            if let (Some(slot), Some(ssrc)) = (sent.get_mut(at), ssrc.get(at)) {
                let (rate, source) = (track_clock_rate(track), Source::new(*ssrc));
                *slot = Some(Sent { place, rate, source, next: None, report_due: None });
            }
        }
        Self { output, described: Arc::clone(tracks), seen: Arc::clone(tracks), sent, origin: None }
    }

    fn at(&self, place: usize) -> Option<&Sent> {
        self.sent.iter().flatten().find(|sent| sent.place == place)
    }

    /// Whether a track is described at this place.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.at(place).is_some()
    }

    /// The source of the track at this place.
    pub(crate) fn ssrc(&self, place: usize) -> u32 {
        self.at(place).map_or(0, |sent| sent.source.ssrc)
    }

    /// The packets of a batch that `viewer` has taken.
    ///
    /// # Errors
    /// Its tracks have become others than those that were described.
    pub(crate) fn body(&mut self, batch: &Batch, viewer: &Subscriber) -> Result<Body, Error> {
        if !Arc::ptr_eq(&self.seen, &batch.tracks) {
            if !are_alike(&self.described, &batch.tracks) {
                return Err(Error::Changed);
            }
            self.seen = Arc::clone(&batch.tracks);
        }
        let own = self.sent.each_ref().map(|sent| sent.as_ref()?.next);
        Ok(self.output.body(batch, viewer, own))
    }

    /// `RTP-Info` of the tracks at these places before this batch: where their numbers and times are.
    pub(crate) fn info(&self, base: &str, places: impl Iterator<Item = usize>, body: &Body, batch: &Batch) -> String {
        let info = |place: usize| {
            let (sent, part) = self.sent.iter().zip(&body.parts).find_map(|(sent, part)| {
                let sent = sent.as_ref().filter(|sent| sent.place == place)?;
                Some((sent, part))
            })?;
            let (sequence, ticks) = (sent.next.unwrap_or(part.first), low32(batch.start().ticks(sent.rate)));
            Some(format!("url={base}/trackID={place};seq={sequence};rtptime={ticks}"))
        };
        places.filter_map(info).collect::<Vec<_>>().join(",")
    }

    /// Gives out a batch as it goes on a connection: `channels` are those of the tracks at their places. Where they and
    /// the numbers are those of the stream it is one piece that all players share.
    pub(crate) fn interleave(
        &mut self,
        batch: &Batch,
        body: &Body,
        channels: &[Option<(u8, u8)>],
        mut out: impl FnMut(Bytes),
    ) {
        let channel = |place: usize| channels.get(place).copied().flatten();
        let shifts = self.count(body);
        let places = self.places();
        let common = places.iter().zip(&shifts).zip(&body.parts).all(|((place, shift), part)| {
            let is_own = place.and_then(channel).is_some_and(|(rtp, _)| rtp == part.channel);
            part.packets == 0 || (is_own && *shift == Some(0))
        });
        if common {
            out(body.bytes.clone());
        } else {
            let mut heads = BytesMut::with_capacity(body.packets().saturating_mul(HEAD));
            for (kind, packet) in body.split() {
                let way = places.get(kind).copied().flatten().and_then(channel);
                let shift = shifts.get(kind).copied().flatten();
                let (Some((rtp, _)), Some(shift), Some(head)) = (way, shift, packet.first_chunk()) else { continue };
                heads.put_slice(&renumbered(*head, rtp, shift));
                out(heads.split().freeze());
                out(packet.slice(HEAD..));
            }
        }
        for (place, report) in self.reports(batch.start(), Instant::now()) {
            let Some((_, rtcp)) = channel(place) else { continue };
            let mut framed = BytesMut::with_capacity(FRAME_HEAD.saturating_add(report.len()));
            framed.put_slice(&[b'$', rtcp]);
            framed.put_u16(u16::try_from(report.len()).unwrap_or_default());
            framed.put_slice(&report);
            out(framed.freeze());
        }
    }

    /// Gives out a batch as datagrams: the place of the track, whether it is a report, the bytes.
    pub(crate) fn datagrams(&mut self, batch: &Batch, body: &Body, mut out: impl FnMut(usize, bool, Bytes)) {
        let (shifts, places) = (self.count(body), self.places());
        for (kind, packet) in body.split() {
            let (place, shift) = (places.get(kind).copied().flatten(), shifts.get(kind).copied().flatten());
            let (Some(place), Some(shift), Some(head)) = (place, shift, packet.first_chunk()) else { continue };
            let whole = match shift {
                0 => packet,
                shift => [&renumbered(*head, 0, shift)[..], packet.get(HEAD..).unwrap_or_default()].concat().into(),
            };
            out(place, false, whole.slice(FRAME_HEAD..));
        }
        self.reports(batch.start(), Instant::now()).into_iter().for_each(|(place, report)| out(place, true, report));
    }

    fn places(&self) -> [Option<usize>; KINDS] {
        self.sent.each_ref().map(|sent| sent.as_ref().map(|sent| sent.place))
    }

    /// Counts a batch.
    fn count(&mut self, body: &Body) -> Shifts {
        let mut shifts = [None; KINDS];
        for ((shift, sent), part) in shifts.iter_mut().zip(&mut self.sent).zip(&body.parts) {
            let Some(sent) = sent else { continue };
            let own = sent.next.unwrap_or(part.first);
            *shift = Some(own.wrapping_sub(part.first));
            sent.next = Some(own.wrapping_add(part.next().wrapping_sub(part.first)));
            if part.packets > 0 {
                sent.source.count(part.packets, part.octets);
                sent.report_due.get_or_insert_with(Instant::now);
            }
        }
        shifts
    }

    /// Sender reports that are due, at media time `at`.
    fn reports(&mut self, at: Timestamp, now: Instant) -> Vec<(usize, Bytes)> {
        let mut reports = Vec::new();
        for sent in self.sent.iter_mut().flatten() {
            if sent.report_due.is_none_or(|due| now < due) {
                continue;
            }
            sent.report_due = Some(now + REPORTS);
            // One origin for all tracks keeps them in step; it stays, so that a source's clock may run as it likes.
            let origin = *self.origin.get_or_insert_with(|| {
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from(since_1970).saturating_sub(at)
            });
            let ntp = rtp::ntp(origin.saturating_add(at));
            reports.push((sent.place, sent.source.report(ntp, low32(at.ticks(sent.rate)))));
        }
        reports
    }
}

/// A head with another channel, and a number that is ahead by `shift`.
fn renumbered(mut head: [u8; HEAD], channel: u8, shift: u16) -> [u8; HEAD] {
    let [_, own, _, _, header @ ..] = &mut head;
    *own = channel;
    let [_, _, a, b, ..] = *header;
    rtp::set_number(header, u16::from_be_bytes([a, b]).wrapping_add(shift));
    head
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

fn low32(ticks: i64) -> u32 {
    let [_, _, _, _, a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;
