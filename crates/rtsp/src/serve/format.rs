//! What the hub's batches become: packets as they go on a connection, numbered in the stream's order, made once for all
//! players.
//!
//! A session has its own numbers only by custom: RTP wants them to begin anywhere and to go on without gaps, and
//! `RTP-Info` tells where (RFC 3550 section 5.1, RFC 2326 section 12.33). So all players of a stream get the same ones,
//! and the same source, and with them the same bytes.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sluicegate_hub::{Batch, Format, Hub, StreamName, Subscriber};
use sluicegate_media::{Kind, Timestamp, Tracks};
use sluicegate_rtp::{pack, unpack};

use crate::sdp::{chosen, payload_type};
use crate::wire::rtp;

/// Bytes of an RTP payload: an Ethernet frame less the headers of IPv6, UDP and RTP, and some for tunnels.
const PAYLOAD: usize = 1_400;
/// `$`, channel, length (RFC 2326 section 10.12).
pub(crate) const FRAME_HEAD: usize = 4;
/// The same with an RTP header.
pub(crate) const HEAD: usize = FRAME_HEAD + rtp::HEADER;
/// Pictures and sound.
pub(crate) const KINDS: usize = 2;
/// Streams that are numbered at once do not wait for each other, unless they have the same turn.
const TURNS: usize = 16;

/// The place of a kind where there is one for each.
pub(crate) fn index(kind: Kind) -> usize {
    usize::from(kind != Kind::Video)
}

/// What a batch has of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The channel that its packets name: twice the place of the track.
    pub(crate) channel: u8,
    /// The number of its first packet.
    pub(crate) first: u16,
    pub(crate) packets: u32,
    /// Bytes of payload.
    pub(crate) octets: u32,
}

impl Part {
    /// Bytes of a part before the packets.
    const BYTES: usize = 11;

    /// The number behind its last packet.
    pub(crate) fn next(&self) -> u16 {
        let [_, _, a, b] = self.packets.to_be_bytes();
        self.first.wrapping_add(u16::from_be_bytes([a, b]))
    }

    fn read(bytes: &mut Bytes) -> Option<Self> {
        let (channel, first) = (bytes.try_get_u8().ok()?, bytes.try_get_u16().ok()?);
        Some(Self { channel, first, packets: bytes.try_get_u32().ok()?, octets: bytes.try_get_u32().ok()? })
    }

    fn write(&self, mut out: &mut [u8]) {
        if out.len() >= Self::BYTES {
            out.put_u8(self.channel);
            out.put_u16(self.first);
            out.put_u32(self.packets);
            out.put_u32(self.octets);
        }
    }
}

/// A batch as it goes to players.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) parts: [Part; KINDS],
    /// The packets, each behind its head.
    pub(crate) bytes: Bytes,
}

impl Body {
    fn read(mut bytes: Bytes) -> Self {
        let mut part = || Part::read(&mut bytes).unwrap_or_default();
        let parts = [part(), part()];
        Self { parts, bytes }
    }

    /// How many packets there are.
    pub(crate) fn packets(&self) -> usize {
        self.parts.iter().map(|part| usize::try_from(part.packets).unwrap_or_default()).sum()
    }

    /// The packets with their kind's place, cut out without copying.
    pub(crate) fn split(&self) -> impl Iterator<Item = (usize, Bytes)> {
        let (parts, mut rest) = (self.parts, self.bytes.clone());
        std::iter::from_fn(move || {
            let [_, channel, a, b] = *rest.first_chunk()?;
            let whole = usize::from(u16::from_be_bytes([a, b])).saturating_add(FRAME_HEAD).min(rest.len());
            Some((kind_at(&parts, channel), rest.split_to(whole)))
        })
    }
}

/// The kind whose packets name this channel. Sound without pictures has the channel that pictures have else.
fn kind_at(parts: &[Part; KINDS], channel: u8) -> usize {
    parts.iter().position(|part| part.packets > 0 && part.channel == channel).unwrap_or_default()
}

/// Packets of the first pictures and the first sound, whose numbers and sources are still to be set.
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
        let (mut packed, mut parts) = (BytesMut::new(), [Part::default(); KINDS]);
        let mut types = [0_u8; KINDS];
        for (track, place) in chosen(&batch.tracks).zip(0_u8..) {
            let at = index(track.kind());
            if let (Some(part), Some(kind)) = (parts.get_mut(at), types.get_mut(at)) {
                (part.channel, *kind) = (place.saturating_mul(2), payload_type(track.codec));
            }
        }
        for frame in &batch.frames {
            if let Some(track) = chosen(&batch.tracks).find(|track| track.id == frame.track) {
                pack(frame, track, PAYLOAD, &mut packed);
            }
        }
        let packets = unpack(packed.freeze());
        let room = packets.iter().map(|packet| HEAD.saturating_add(packet.payload.len())).sum::<usize>();
        let mut out = BytesMut::with_capacity(room.saturating_add(KINDS * Part::BYTES));
        out.put_bytes(0, KINDS * Part::BYTES);
        for packet in packets {
            let at = index(packet.kind);
            let (Some(part), Some(kind)) = (parts.get_mut(at), types.get(at)) else { continue };
            let Ok(length) = u16::try_from(rtp::HEADER.saturating_add(packet.payload.len())) else { continue };
            part.packets = part.packets.saturating_add(1);
            part.octets = part.octets.saturating_add(u32::try_from(packet.payload.len()).unwrap_or_default());
            out.put_slice(&[b'$', part.channel]);
            out.put_u16(length);
            out.put_slice(&rtp::header(*kind, packet.marker, packet.timestamp));
            out.put_slice(&packet.payload);
        }
        write_parts(&parts, &mut out);
        out.freeze()
    }
}

fn write_parts(parts: &[Part; KINDS], out: &mut [u8]) {
    out.chunks_mut(Part::BYTES).zip(parts).for_each(|(out, part)| part.write(out));
}

/// Sets the numbers of all packets, which begin at `first`, and their sources.
fn number(unnumbered: Bytes, first: [u16; KINDS], ssrc: [u32; KINDS]) -> Bytes {
    let mut parts = Body::read(unnumbered.clone()).parts;
    parts.iter_mut().zip(first).for_each(|(part, first)| part.first = first);
    // Nobody else has the bytes yet, so they are not copied.
    let mut out = BytesMut::from(unnumbered);
    write_parts(&parts, &mut out);
    let mut next = first;
    let mut rest = out.get_mut(KINDS * Part::BYTES..).unwrap_or_default();
    while let Some((head, behind)) = rest.split_first_chunk_mut::<HEAD>() {
        let [_, channel, a, b, header @ ..] = head;
        let length = usize::from(u16::from_be_bytes([*a, *b])).saturating_sub(rtp::HEADER);
        let kind = kind_at(&parts, *channel);
        if let (Some(next), Some(ssrc)) = (next.get_mut(kind), ssrc.get(kind)) {
            rtp::set_number(header, *next);
            rtp::set_source(header, *ssrc);
            *next = next.wrapping_add(1);
        }
        rest = behind.get_mut(length..).unwrap_or_default();
    }
    out.freeze()
}

/// The registered output format of one hub; make it once and share it between the service and the pushes.
#[derive(Debug, Clone)]
pub struct Output {
    output: sluicegate_hub::Output,
    seed: RandomState,
    turns: Arc<[Mutex<()>; TURNS]>,
}

impl Output {
    /// Registers the format.
    #[must_use]
    pub fn new(hub: &Hub) -> Self {
        Self { output: hub.output(Packets), seed: RandomState::new(), turns: Arc::default() }
    }

    /// How many batches were converted; with any number of players at most one conversion a batch.
    #[must_use]
    pub fn conversions(&self) -> u64 {
        self.output.conversions()
    }

    /// The sources of a stream's packets: as good as random, and the same for all who play it.
    pub(crate) fn sources(&self, name: &StreamName) -> [u32; KINDS] {
        let [a, b, c, d, e, f, g, h] = self.seed.hash_one(name).to_be_bytes();
        [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
    }

    /// The packets of a batch that the viewer has taken, for a player whose next numbers are `own`.
    pub(crate) fn body(&self, batch: &Batch, viewer: &Subscriber, own: [Option<u16>; KINDS]) -> Body {
        let bytes = self.output.made_body(batch).unwrap_or_else(|| self.numbered(batch, viewer, own));
        Body::read(bytes)
    }

    /// Numbers a batch behind those before it. Some players may have to take these still, while one that has just come
    /// starts at this one: theirs are numbered first, so that nobody's numbers have a gap.
    fn numbered(&self, batch: &Batch, viewer: &Subscriber, own: [Option<u16>; KINDS]) -> Bytes {
        let ssrc = self.sources(viewer.name());
        let turn = usize::try_from(self.seed.hash_one(viewer.name())).unwrap_or_default() % TURNS;
        let _turn = self.turns.get(turn).map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut between, mut first) = (Vec::new(), None);
        let mut seq = batch.seq;
        while let Some(earlier) = seq.checked_sub(1).and_then(|seq| viewer.batch(seq)) {
            if let Some(made) = self.output.made_body(&earlier) {
                first = Some(Body::read(made).parts.map(|part| part.next()));
                break;
            }
            seq = earlier.seq;
            between.push(earlier);
        }
        // Nothing goes before: nobody has played the stream lately, or all have fallen behind, perhaps together.
        let Some(mut first) = first else {
            let first = own.map(|own| own.unwrap_or_else(rand::random));
            return self.output.finished_body(batch, |bytes| number(bytes, first, ssrc));
        };
        for earlier in between.iter().rev() {
            let made = self.output.finished_body(earlier, |bytes| number(bytes, first, ssrc));
            first = Body::read(made).parts.map(|part| part.next());
        }
        self.output.finished_body(batch, |bytes| number(bytes, first, ssrc))
    }
}
