//! Frames to RTP payloads and back.
//!
//! Out: [`pack`] makes all packets of a frame in one buffer, which any number of viewers share; [`unpack`] cuts them out
//! again without copying. In: [`Inbound`] takes the packets of a publisher's tracks as they arrive, puts them in order,
//! and gives frames on one timeline; sender reports keep sound and pictures in step. Neither knows sources, payload types
//! or sequence numbers on the way out: these belong to a session.
//!
//! Sources: H.264 RFC 6184, H.265 RFC 7798, VP8 RFC 7741, VP9 RFC 9628, AV1 "RTP Payload Format For AV1" v1.0,
//! Opus RFC 7587, G.711 RFC 3551, AAC RFC 3640.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod aac;
mod av1;
mod clock;
mod depacketizer;
mod error;
mod h264;
mod h265;
mod inbound;
mod nal;
mod pack;
mod reorder;
mod vp8;
mod vp9;

pub use error::Error;
pub use inbound::{Inbound, Limits, Output};
pub use pack::{Packed, clock_rate, encoding_name, pack, supports, timestamp, track_clock_rate, unpack};
pub use reorder::Packet;

/// One fuzzed run over the whole input path. The first byte chooses the codec; then follow packets: a length, two bytes
/// of sequence number, a byte of timestamp and marker, and the payload.
pub fn fuzz_inbound(data: &[u8]) {
    const CODECS: [sluicegate_media::Codec; 8] = {
        use sluicegate_media::Codec::{Aac, Av1, G711A, H264, H265, Opus, Vp8, Vp9};
        [H264, H265, Vp8, Vp9, Av1, Opus, G711A, Aac]
    };
    let Some((&first, mut rest)) = data.split_first() else { return };
    let Some(&codec) = CODECS.iter().cycle().nth(usize::from(first)) else { return };
    let mut inbound = Inbound::new(Limits::default());
    let id = sluicegate_media::TrackId(0);
    inbound.add_track(id, codec);
    let now = std::time::Instant::now();
    while let Some((&[length, high, low, mark], packet)) = rest.split_first_chunk() {
        let (payload, next) = packet.split_at(usize::from(length).min(packet.len()));
        rest = next;
        let sequence = u16::from_be_bytes([high, low]);
        let (timestamp, marker) = (u32::from(mark >> 1).wrapping_mul(3_000), mark & 1 == 1);
        let payload = bytes::Bytes::copy_from_slice(payload);
        inbound.handle_packet(now, id, Packet { sequence, timestamp, marker, payload });
        while inbound.poll_output().is_some() {}
    }
}
