//! Sample entries: what a decoder needs to know of a track (ISO/IEC 14496-12 §8.5.2).

use bytes::{BufMut, BytesMut};
use sluicegate_media::{Codec, Track};

use crate::boxes::{put, put_full};

/// 72 dpi in 16.16, the value that ISO/IEC 14496-12 §12.1.3 fixes.
const RESOLUTION: u32 = 0x0048_0000;
/// `objectTypeIndication` of MPEG-4 audio (ISO/IEC 14496-1).
const MPEG4_AUDIO: u8 = 0x40;
/// `streamType` audio, `upStream` 0 and the reserved bit 1.
const AUDIO_STREAM: u8 = 0x15;
/// Opus decodes 80 ms before it is right (RFC 7845 §4.6): 3,840 samples; encoders say less.
const OPUS_PRE_SKIP: u16 = 312;

/// Appends the sample entry of a track; nothing for a codec that we do not carry.
pub(crate) fn put_entry(track: &Track, out: &mut BytesMut) {
    match track.codec {
        Codec::H264 => picture(track, b"avc1", b"avcC", out),
        Codec::H265 => picture(track, b"hvc1", b"hvcC", out),
        Codec::Av1 => picture(track, b"av01", b"av1C", out),
        Codec::Aac => sound(track, b"mp4a", out, esds),
        Codec::Opus => sound(track, b"Opus", out, opus_specific),
        _ => {}
    }
}

fn picture(track: &Track, kind: &[u8; 4], configuration: &[u8; 4], out: &mut BytesMut) {
    put(out, kind, |out| {
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_bytes(0, 16);
        out.put_u16(u16::try_from(track.video.width).unwrap_or(u16::MAX));
        out.put_u16(u16::try_from(track.video.height).unwrap_or(u16::MAX));
        out.put_u32(RESOLUTION);
        out.put_u32(RESOLUTION);
        out.put_u32(0);
        out.put_u16(1);
        out.put_bytes(0, 32);
        out.put_u16(24);
        out.put_u16(u16::MAX);
        put(out, configuration, |out| out.put_slice(&track.configuration));
    });
}

fn sound(track: &Track, kind: &[u8; 4], out: &mut BytesMut, specific: impl FnOnce(&Track, &mut BytesMut)) {
    put(out, kind, |out| {
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_u64(0);
        out.put_u16(u16::from(track.audio.channels.max(1)));
        out.put_u16(16);
        out.put_u32(0);
        // 16.16; rates above 65,535 Hz do not fit and readers take them from the configuration.
        out.put_u32(u32::from(u16::try_from(track.audio.sample_rate).unwrap_or(0)) << 16);
        specific(track, out);
    });
}

/// `ESDBox`: descriptors of ISO/IEC 14496-1 §7.2.6 around the `AudioSpecificConfig`.
fn esds(track: &Track, out: &mut BytesMut) {
    let config = &track.configuration;
    let length = u8::try_from(config.len()).unwrap_or(u8::MAX).min(64);
    put_full(out, b"esds", 0, 0, |out| {
        out.put_slice(&[3, length.saturating_add(23), 0, 0, 0]);
        out.put_slice(&[4, length.saturating_add(15), MPEG4_AUDIO, AUDIO_STREAM, 0, 0, 0]);
        out.put_u64(0);
        out.put_slice(&[5, length]);
        out.put_slice(config.get(..usize::from(length)).unwrap_or(config));
        out.put_slice(&[6, 1, 2]);
    });
}

/// `dOps` (Opus in ISOBMFF §4.3.2): the fields of `OpusHead` after its version, in big endian.
fn opus_specific(track: &Track, out: &mut BytesMut) {
    let head = track.configuration.strip_prefix(b"OpusHead").and_then(|head| head.first_chunk::<11>());
    put(out, b"dOps", |out| match head {
        Some(&[_, channels, skip0, skip1, rate0, rate1, rate2, rate3, gain0, gain1, family]) => {
            out.put_slice(&[0, channels]);
            out.put_u16(u16::from_le_bytes([skip0, skip1]));
            out.put_u32(u32::from_le_bytes([rate0, rate1, rate2, rate3]));
            out.put_u16(u16::from_le_bytes([gain0, gain1]));
            out.put_u8(family);
            if family != 0 {
                out.put_slice(track.configuration.get(19..).unwrap_or_default());
            }
        }
        None => {
            out.put_slice(&[0, track.audio.channels.clamp(1, 2)]);
            out.put_u16(OPUS_PRE_SKIP);
            out.put_u32(track.audio.sample_rate);
            out.put_slice(&[0, 0, 0]);
        }
    });
}
